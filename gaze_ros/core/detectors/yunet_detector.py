"""YuNet (MIT) from an ONNX file: in OpenVINO where that is installed, else in OpenCV.

A picture of 1280 x 720 takes 4.3 ms in OpenVINO, and 10 in OpenCV's FaceDetectorYN (two cores,
thirty pictures a second). Both find the same boxes.
"""
from collections.abc import Sequence
from functools import lru_cache, partial
import logging
from pathlib import Path
from typing import Optional, Union

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes import installed, open_network
from gaze_ros.core.runtimes.network_files import refuse
from gaze_ros.core.types import Face
import numpy as np

_log = logging.getLogger(__name__)

#: Long side in pixels of the picture the network sees.
LONG_SIDE = 640

#: Pixels from one cell to the next of each level of the network's answers.
STRIDES = (8, 16, 32)

#: Boxes that share more of their union than this are one face.
OVERLAP = 0.3

#: The networks of so many sizes of pictures are kept: each takes 0.15 s to make.
SIZES = 4


class YuNetDetector:
    """Box, score and five landmarks.

    :raises ModelError: if the file is not YuNet.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int) -> None:
        self.name = name
        self.min_score = min_score
        self._net: Union[_InOpenVINO, _InOpenCV, None] = _open(weight, threads)
        self._smaller: dict[int, np.ndarray] = {}

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""
        height, width = bgr.shape[:2]
        scale = min(1.0, LONG_SIDE / max(height, width))
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        rows = self._net.find(self._shrink(bgr, w, h), self.min_score)
        grow = np.array([width / w, height / h])
        faces = []
        for row in rows[np.argsort(-rows[:, 14], kind='stable')]:
            box = tuple((row[:4].reshape(2, 2) * grow).ravel().tolist())
            if min(box[2:]) > 0:
                faces.append(Face(box, float(row[14]), row[4:14].reshape(5, 2) * grow))
        return faces

    def close(self) -> None:
        """Free the network."""
        self._net = None

    def _shrink(self, bgr: np.ndarray, w: int, h: int) -> np.ndarray:
        """Return the picture at that size, or itself, valid until the next call.

        At 1920 x 1080 INTER_AREA takes 2.4 ms, and this 1.0: INTER_LINEAR is the mean of 2 x 2
        pixels where it halves, and leaves none out where it shrinks by less than that.
        """
        step = 0
        while bgr.shape[:2] != (h, w):
            height, width = bgr.shape[:2]
            size = (width // 2, height // 2) if width > 2 * w and height > 2 * h else (w, h)
            bgr = self._smaller[step] = cv2.resize(bgr, size, dst=self._smaller.get(step))
            step += 1
        return bgr


class _InOpenVINO:
    """The network for each size of pictures, compiled when the first of them is seen.

    :param precision: bf16 saves 1 ms and finds the same faces, but its boxes, a hundredth off,
        move the gaze of adas by 0.8 deg in faces as small as a classroom's.
    :raises ModelError: if OpenVINO cannot run the file; ValueError, if it is another network.
    """

    def __init__(self, weight: Path, threads: int, precision: str = 'fp32') -> None:
        self._of_size = lru_cache(maxsize=SIZES)(partial(_Sized, weight, threads, precision))
        # Another network loads too; only its outputs tell. Many cameras have this size.
        self.find(np.zeros((480, 640, 3), np.uint8), 1.0)

    def find(self, picture: np.ndarray, min_score: float) -> np.ndarray:
        """Return what FaceDetectorYN does, (N, 15): x, y, w, h, five landmarks and the score."""
        height, width = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in picture.shape[:2])
        rows = decode(self._of_size(height, width).run(picture), height, width, min_score)
        if len(rows) > 1:
            # Whole pixels, as in OpenCV.
            kept = cv2.dnn.NMSBoxes(
                np.trunc(rows[:, :4]).tolist(), rows[:, 14].tolist(), 0.0, OVERLAP)
            rows = rows[np.array(kept, int).ravel()]
        return rows


class _Sized:
    """The network for one size, as bf16 needs it in OpenVINO, and the memory it reads."""

    def __init__(
            self, weight: Path, threads: int, precision: str, height: int, width: int) -> None:
        self._input = np.zeros((1, 3, height, width), np.float32)
        self._net = open_network(
            weight, runtime='openvino', device='cpu', precision=precision, threads=threads,
            size=(height, width), named='detector_weight')
        self._expected = [(1, (height // s) * (width // s), n) for s in STRIDES
                          for n in (10, 4, 1, 1)]

    def run(self, picture: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for a (H, W, 3) picture, as :func:`decode` takes them.

        :param picture: not larger than the network; the right and the bottom are filled with 0.
        :raises ValueError: if they are not YuNet's.
        """
        height, width = picture.shape[:2]
        self._input[..., height:, :] = 0
        self._input[..., width:] = 0
        np.copyto(self._input[0, :, :height, :width], picture.transpose(2, 0, 1))
        # Their names are the exporter's, so it is their shapes that tell them. Class and object
        # score have the same, and only their product is used.
        outputs = sorted(self._net(self._input), key=np.shape, reverse=True)
        if (shapes := [a.shape for a in outputs]) != self._expected:
            raise ValueError(f'its outputs are of the shapes {shapes}')
        return [a[0] for a in outputs]


class _InOpenCV:
    """FaceDetectorYN, wherever OpenCV is.

    :raises ModelError: if OpenCV cannot load the file, or it is another network.
    """

    def __init__(self, weight: Path) -> None:
        try:
            self._net = cv2.FaceDetectorYN.create(
                str(weight), '', (LONG_SIDE, LONG_SIDE), nms_threshold=OVERLAP)
            # Another network loads too; only its outputs tell.
            self.find(np.zeros((LONG_SIDE, LONG_SIDE, 3), np.uint8), 1.0)
        except (cv2.error, SystemError) as e:
            reason = ' '.join(str(e).split())
            raise ModelError(
                f"detector_weight '{weight}' is no YuNet ONNX file OpenCV can load: "
                f'{reason}') from e

    def find(self, picture: np.ndarray, min_score: float) -> np.ndarray:
        """Return (N, 15): x, y, w, h, five landmarks and the score."""
        size = picture.shape[1::-1]
        if tuple(self._net.getInputSize()) != size:
            self._net.setInputSize(size)
        self._net.setScoreThreshold(min_score)
        rows = self._net.detect(picture)[1]
        return np.empty((0, 15), np.float32) if rows is None else rows


def _open(weight: Path, threads: int) -> Union[_InOpenVINO, _InOpenCV]:
    """Return the network, in OpenCV where OpenVINO is not there or cannot run the file.

    :raises ModelError: if the file is none of YuNet's.
    """
    refuse(weight, 'detector_weight')
    if installed('openvino'):
        try:
            return _InOpenVINO(weight, threads)
        except (ImportError, ModelError, RuntimeError, ValueError) as e:
            _log.info("detector 'yunet' runs in OpenCV, not in OpenVINO: %s", e)
    return _InOpenCV(weight)


def decode(
        outputs: Sequence[np.ndarray], height: int, width: int, min_score: float) -> np.ndarray:
    """Return (N, 15) float32: x, y, w, h, five landmarks in pixels, and the score, 0..1.

    As OpenCV's face_detect.cpp does; a face may be there more than once.

    :param outputs: for each of :data:`STRIDES` landmarks, (n, 10), box, (n, 4), object and class
        score, (n, 1), of each cell, row by row.
    :param height: of what the network saw, and width, in pixels; multiples of the strides.
    """
    points, places, there, kind = (np.concatenate(outputs[i::4]) for i in range(4))
    scores = np.sqrt(np.clip(there, 0, 1) * np.clip(kind, 0, 1))
    kept = np.flatnonzero(scores >= min_score)
    if not len(kept):
        return np.empty((0, 15), np.float32)
    cells, strides = (a[kept] for a in _cells(height, width))
    places = places[kept]
    size = np.exp(places[:, 2:]) * strides
    corner = (cells[:, :2] + places[:, :2]) * strides - size / 2
    return np.hstack([corner, size, (cells + points[kept]) * strides, scores[kept]])


@lru_cache(maxsize=SIZES)
def _cells(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row five times, (N, 10), and stride, (N, 1), of each cell, float32."""
    cells, strides = [], []
    for s in STRIDES:
        row, column = np.divmod(np.arange((height // s) * (width // s)), width // s)
        cells.append(np.tile(np.stack([column, row], axis=1), 5))
        strides.append(np.full((len(row), 1), s))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
