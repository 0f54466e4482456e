"""RetinaFace (yakhyo/retinaface-pytorch, MIT) with a MobileNet backbone, on any ONNX runtime."""
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.geometry.crops import InputBatch
from gaze_ros.core.runtimes import open_network
from gaze_ros.core.types import Face
import numpy as np

#: Long side of the network's input, pixels, unless another is given.
LONG_SIDE = 640

#: Mean subtracted from blue, green and red.
MEAN = (104.0, 117.0, 123.0)

#: Stride of each level and the sides of its two prior boxes, pixels.
LEVELS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))

#: Factors of the network's position and size offsets.
VARIANCES = (0.1, 0.2)

#: Boxes with a larger intersection over union are one face.
OVERLAP = 0.4

_STRIDE = LEVELS[-1][0]


class RetinaFaceDetector:
    """Returns box, score and five landmarks; works with any backbone that has these outputs.

    :param size: long side of the network's input, pixels.
    :raises ModelError: if no runtime for ONNX is installed or the file holds another network.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int, size: int = LONG_SIDE) -> None:
        self.name = name
        self._size = size
        self.min_score = min_score
        # fp32, because the input shape is dynamic and OpenVINO's bf16 needs a fixed one.
        self._net = open_network(
            weight, device='cpu', precision='fp32', threads=threads, parameter='detector_weight')
        self._batch = InputBatch(MEAN)
        self._canvas = np.zeros((0, 0, 3), np.uint8)
        try:
            if not all(np.isfinite(a).all() for a in self._run(
                    np.zeros((_STRIDE, 2 * _STRIDE, 3), np.uint8))):
                raise ValueError('its outputs are not finite')
        except Exception as e:  # each runtime has its own exception classes
            raise ModelError(
                f"detector_weight '{weight}' is not a RetinaFace network with boxes, scores and "
                f'landmarks for each prior: {" ".join(str(e).split())[-200:]}') from e

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""
        height, width = image.shape[:2]
        scale = self._size / max(height, width)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        # Pad the right and the bottom to a multiple of the largest stride.
        shape = (-(-h // _STRIDE) * _STRIDE, -(-w // _STRIDE) * _STRIDE, 3)
        if self._canvas.shape != shape:
            self._canvas = np.zeros(shape, np.uint8)
        self._canvas[h:] = 0
        self._canvas[:, w:] = 0
        cv2.resize(image, (w, h), dst=self._canvas[:h, :w],
                   interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        offsets, scores, points = self._run(self._canvas)
        kept = scores >= self.min_score
        if not kept.any():
            return []
        priors = _priors(*shape[:2])[kept]
        boxes, points = decode(offsets[kept], points[kept], priors)
        to_image = np.array([width / w, height / h])
        boxes = (boxes.reshape(-1, 2, 2) * to_image).reshape(-1, 4)
        points = points * to_image
        scores = scores[kept]
        order = np.array(cv2.dnn.NMSBoxes(
            boxes.tolist(), scores.tolist(), 0.0, OVERLAP), int).ravel()
        return [Face(tuple(boxes[i].tolist()), min(float(scores[i]), 1.0), points[i])
                for i in order[np.argsort(-scores[order], kind='stable')]
                if min(boxes[i, 2:]) > 0]

    def close(self) -> None:
        """Free the network."""
        self._net = None

    def _run(self, padded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return box offsets (N, 4), scores (N,) and landmark offsets (N, 10) of the priors."""
        by_width = {a.shape[-1]: a[0] for a in self._net(self._batch.fill([padded]))}
        if not {4, 2, 10} <= set(by_width):
            raise ValueError(f'its outputs are {sorted(by_width)} wide, not 4, 2 and 10')
        offsets, scores, points = by_width[4], by_width[2], by_width[10]
        expected = len(_priors(*padded.shape[:2]))
        if not len(offsets) == len(scores) == len(points) == expected:
            raise ValueError(f'it returns {len(offsets)} boxes where {expected} were expected')
        return offsets, scores[:, 1], points


def decode(
        offsets: np.ndarray, points: np.ndarray,
        priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (N, 4) as x, y, w, h and landmarks (N, 5, 2), in pixels.

    As in RetinaFace (Deng et al., CVPR 2020), section 3, which follows SSD (Liu et al., 2016).

    :param offsets: (N, 4), of the boxes' centres and sizes from the priors.
    :param points: (N, 10), offsets of the landmarks from the priors' centres.
    :param priors: (N, 4), centre and size in pixels.
    """
    centers, sizes = priors[:, :2], priors[:, 2:]
    size = sizes * np.exp(offsets[:, 2:] * VARIANCES[1])
    corner = centers + offsets[:, :2] * VARIANCES[0] * sizes - size / 2
    points = centers[:, None] + points.reshape(-1, 5, 2) * VARIANCES[0] * sizes[:, None]
    return np.hstack([corner, size]), points


@lru_cache(maxsize=8)
def _priors(height: int, width: int) -> np.ndarray:
    """Return (N, 4) float32: centre x, y and size w, h in pixels, by level, then by row."""
    rows = [((x + 0.5) * step, (y + 0.5) * step, side, side)
            for step, sides in LEVELS
            for y, x, side in product(range(height // step), range(width // step), sides)]
    return np.array(rows, np.float32)
