"""YuNet (MIT) through OpenCV's FaceDetectorYN, from an ONNX file the user has."""
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.faces import Face
import numpy as np

#: Long side in pixels of the picture the network sees: 8 ms on two cores.
LONG_SIDE = 640


class YuNetDetector:
    """Box, score and five landmarks.

    :raises ModelError: if OpenCV cannot load the file.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int) -> None:
        self.name = name
        try:
            self._net = cv2.FaceDetectorYN.create(
                str(weight), '', (LONG_SIDE, LONG_SIDE), score_threshold=min_score)
            # Another network loads too; only its outputs tell.
            self._net.detect(np.zeros((LONG_SIDE, LONG_SIDE, 3), np.uint8))
        except (cv2.error, SystemError) as e:
            reason = ' '.join(str(e).split())
            raise ModelError(
                f"detector_weight '{weight}' is no YuNet ONNX file OpenCV can load: "
                f'{reason}') from e
        self._size = (LONG_SIDE, LONG_SIDE)

    @property
    def min_score(self) -> float:
        """Faces scored lower are not returned, 0..1."""
        return self._net.getScoreThreshold()

    @min_score.setter
    def min_score(self, value: float) -> None:
        self._net.setScoreThreshold(value)

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""
        height, width = bgr.shape[:2]
        scale = min(1.0, LONG_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size != (width, height):
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        if size != self._size:
            self._net.setInputSize(size)
            self._size = size
        _, rows = self._net.detect(bgr)
        if rows is None:
            return []
        grow = np.array([width / size[0], height / size[1]])
        faces = []
        for row in rows:
            x, y, w, h = (row[:4].reshape(2, 2) * grow).ravel().tolist()
            if w > 0 and h > 0:
                faces.append(Face((x, y, w, h), float(row[14]), row[4:14].reshape(5, 2) * grow))
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the network."""
        self._net = None
