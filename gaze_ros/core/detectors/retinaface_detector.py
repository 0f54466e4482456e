"""RetinaFace (yakhyo/retinaface-pytorch, MIT) with a MobileNet backbone, decoded here."""
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

#: Long side in pixels of the picture the network sees.
LONG_SIDE = 640

#: Subtracted from blue, green and red.
MEAN = (104.0, 117.0, 123.0)

#: Pixels from one cell to the next of each level, and the sides of its two prior boxes.
LEVELS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))

#: By which the network's answers are multiplied: of the place, and of the size.
VARIANCES = (0.1, 0.2)

#: Boxes that share more of their union than this are one face.
OVERLAP = 0.4

_STRIDE = LEVELS[-1][0]


class RetinaFaceDetector:
    """Box, score and five landmarks; any backbone whose ONNX file has these three outputs.

    :raises ModelError: if no runtime for ONNX is installed or the file is no such network.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int) -> None:
        self.name = name
        self.min_score = min_score
        # Pictures have any size, and OpenVINO's bf16 is not to be trusted with open shapes.
        self._net = open_network(
            weight, device='cpu', precision='fp32', threads=threads, named='detector_weight')
        self._batch = InputBatch(MEAN)
        self._canvas = np.zeros((0, 0, 3), np.uint8)
        try:
            if not all(np.isfinite(a).all() for a in self._run(
                    np.zeros((_STRIDE, 2 * _STRIDE, 3), np.uint8))):
                raise ValueError('it gives numbers that are not finite')
        except Exception as e:  # each runtime has classes of its own
            raise ModelError(
                f"detector_weight '{weight}' is no RetinaFace network with boxes, scores and "
                f'landmarks for each prior: {" ".join(str(e).split())[-200:]}') from e

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""
        height, width = bgr.shape[:2]
        scale = LONG_SIDE / max(height, width)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        # Padded at the right and the bottom, to whole cells of the coarsest level.
        shape = (-(-h // _STRIDE) * _STRIDE, -(-w // _STRIDE) * _STRIDE, 3)
        if self._canvas.shape != shape:
            self._canvas = np.zeros(shape, np.uint8)
        self._canvas[h:] = 0
        self._canvas[:, w:] = 0
        cv2.resize(bgr, (w, h), dst=self._canvas[:h, :w],
                   interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        places, scores, points = self._run(self._canvas)
        kept = scores >= self.min_score
        if not kept.any():
            return []
        priors = _priors(*shape[:2])[kept]
        boxes, points = decode(places[kept], points[kept], priors)
        grow = np.array([width / w, height / h])
        boxes = (boxes.reshape(-1, 2, 2) * grow).reshape(-1, 4)
        points = points * grow
        scores = scores[kept]
        order = np.array(cv2.dnn.NMSBoxes(
            boxes.tolist(), scores.tolist(), 0.0, OVERLAP), int).ravel()
        return [Face(tuple(boxes[i].tolist()), min(float(scores[i]), 1.0), points[i])
                for i in order[np.argsort(-scores[order], kind='stable')]
                if min(boxes[i, 2:]) > 0]

    def close(self) -> None:
        """Free the network."""
        self._net = None

    def _run(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return places (N, 4), scores (N,) and landmarks (N, 10) of a padded picture's priors."""
        by_width = {a.shape[-1]: a[0] for a in self._net(self._batch.fill([picture]))}
        if not {4, 2, 10} <= set(by_width):
            raise ValueError(f'its outputs are {sorted(by_width)} wide, not 4, 2 and 10')
        places, scores, points = by_width[4], by_width[2], by_width[10]
        expected = len(_priors(*picture.shape[:2]))
        if not len(places) == len(scores) == len(points) == expected:
            raise ValueError(f'{len(places)} boxes were given where {expected} were expected')
        return places, scores[:, 1], points


def decode(
        places: np.ndarray, points: np.ndarray,
        priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (N, 4) as x, y, w, h and landmarks (N, 5, 2), in pixels.

    As in RetinaFace (Deng et al., CVPR 2020), which has it from SSD.

    :param places: (N, 4), of centre and size; points: (N, 10).
    :param priors: (N, 4), centre and size in pixels.
    """
    centers, sizes = priors[:, :2], priors[:, 2:]
    size = sizes * np.exp(places[:, 2:] * VARIANCES[1])
    corner = centers + places[:, :2] * VARIANCES[0] * sizes - size / 2
    points = centers[:, None] + points.reshape(-1, 5, 2) * VARIANCES[0] * sizes[:, None]
    return np.hstack([corner, size]), points


@lru_cache(maxsize=8)
def _priors(height: int, width: int) -> np.ndarray:
    """Return (N, 4) float32 centre x, y and size w, h in pixels, row by row, level by level."""
    rows = [((x + 0.5) * step, (y + 0.5) * step, side, side)
            for step, sides in LEVELS
            for y, x, side in product(range(height // step), range(width // step), sides)]
    return np.array(rows, np.float32)
