"""Searches faces at several scales: the near ones in a small image, the far ones in larger ones.

In a large image alone, detectors miss near faces, or find several in the parts of one.
"""
from gaze_ros.core.detectors import Detector
from gaze_ros.core.types import Face
import numpy as np

#: Longer side in pixels of the largest faces that are taken from all images but the smallest. The
#: image of half the size finds them as well.
MAX_SIDE = 96

#: Boxes with a larger intersection over union are one face, as those of which one holds the
#: center of the other: the one with the better score is kept.
OVERLAP = 0.2


class PyramidDetector:
    """A detector for each scale; see :class:`gaze_ros.core.detectors.Detector`.

    :param levels: the long side of its image in pixels, and a detector, the smallest first.
    """

    def __init__(self, levels: list[tuple[int, Detector]]) -> None:
        self.name = levels[0][1].name
        self._levels = levels

    @property
    def min_score(self) -> float:
        """Minimum score of returned faces, 0..1."""
        return self._levels[0][1].min_score

    @min_score.setter
    def min_score(self, value: float) -> None:
        for _, detector in self._levels:
            detector.min_score = value

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""
        long_side = max(image.shape[:2])
        smaller, coarse = self._levels[0]
        faces = coarse.detect(image)
        for size, detector in self._levels[1:]:
            if smaller >= long_side:  # enlarging the image shows nothing new
                break
            limit = MAX_SIDE * long_side / size
            faces += [face for face in detector.detect(image) if max(face.box[2:]) <= limit]
            smaller = size
        kept: list[Face] = []
        for face in sorted(faces, key=lambda face: -face.score):
            if not any(_same(face, other) for other in kept):
                kept.append(face)
        return kept

    def close(self) -> None:
        """Free the networks; no call may follow."""
        for _, detector in self._levels:
            detector.close()


def _same(face: Face, other: Face) -> bool:
    """Return whether two boxes are of one face, or one is of a part of the other."""
    for (x, y, w, h), (u, v) in ((face.box, other.center), (other.box, face.center)):
        if x <= u <= x + w and y <= v <= y + h:
            return True
    (x, y, w, h), (u, v, a, b) = face.box, other.box
    across, down = min(x + w, u + a) - max(x, u), min(y + h, v + b) - max(y, v)
    shared = max(across, 0.0) * max(down, 0.0)
    return shared > OVERLAP * (w * h + a * b - shared)
