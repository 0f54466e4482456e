"""Intel's face-detection-adas-0001 and -retail-0004 (Apache-2.0) in OpenVINO."""
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.geometry.crops import InputBatch
from gaze_ros.core.runtimes import open_network
from gaze_ros.core.types import Face
import numpy as np


class IntelDetector:
    """Returns box and score, no landmarks. The image is resized to the input size, distorted.

    :raises ModelError: if openvino is missing or the file holds another network.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int) -> None:
        self.name = name
        self.min_score = min_score
        self._net = open_network(
            weight, runtime='openvino', device='cpu', threads=threads, parameter='detector_weight')
        shape = self._net.shapes[0]
        if len(self._net.shapes) != 1 or shape[:2] != (1, 3) or len(shape) != 4 or min(shape) < 1:
            raise ModelError(
                f"detector_weight '{weight}' has inputs of the shapes {self._net.shapes}: it is "
                f"not the network of detector '{name}'")
        self._size = self._net.shapes[0][:1:-1]
        self._batch = InputBatch()
        rows = self._run(np.zeros((*self._size[::-1], 3), np.uint8))
        if rows.shape[-1] != 7:
            raise ModelError(
                f"detector_weight '{weight}' returns rows of {rows.shape[-1]} numbers, not of 7: "
                f"it is not the network of detector '{name}'")

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""
        height, width = image.shape[:2]
        rows = self._run(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA))
        faces = []
        # Each row: index in the batch, -1 after the last face; class; score; left, top, right,
        # bottom as fractions of the image.
        for index, _, score, left, top, right, bottom in rows.reshape(-1, 7).tolist():
            if index < 0:
                break
            if score >= self.min_score and right > left and bottom > top:
                faces.append(Face(
                    (left * width, top * height, (right - left) * width, (bottom - top) * height),
                    min(score, 1.0)))
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the network."""
        self._net = None

    def _run(self, image: np.ndarray) -> np.ndarray:
        return self._net(self._batch.fill([image]))[0]
