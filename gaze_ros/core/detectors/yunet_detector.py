"""YuNet (MIT) from an ONNX file: in OpenVINO if installed, otherwise in OpenCV.

A 1280 x 720 image takes 4.3 ms in OpenVINO and 10 ms in OpenCV's FaceDetectorYN (two cores,
30 images/s). Both find the same boxes.
"""
from collections.abc import Sequence
from functools import lru_cache, partial
import logging
from pathlib import Path
from typing import Optional, Union

import cv2
from gaze_ros.core.detectors.shrink import Shrink
from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes import installed, open_network
from gaze_ros.core.runtimes.network_files import check_network_file
from gaze_ros.core.types import Face
import numpy as np

_log = logging.getLogger(__name__)

#: Maximum long side of the network's input, pixels, unless another is given.
LONG_SIDE = 640

#: Strides of the network's three levels, pixels.
STRIDES = (8, 16, 32)

#: Boxes with a larger intersection over union are one face.
OVERLAP = 0.3

#: Number of image sizes whose compiled networks are kept; compiling one takes 0.15 s.
CACHED_SIZES = 4


class YuNetDetector:
    """Returns box, score and five landmarks.

    :param size: maximum long side of the network's input, pixels.
    :raises ModelError: if the file is not YuNet.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int, size: int = LONG_SIDE) -> None:
        self.name = name
        self._size = size
        self.min_score = min_score
        self._net: Union[_OpenVINONetwork, _OpenCVNetwork, None] = _open(weight, threads)
        self._shrink = Shrink()

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""
        height, width = image.shape[:2]
        scale = min(1.0, self._size / max(height, width))
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        rows = self._net.find(self._shrink(image, w, h), self.min_score)
        to_image = np.array([width / w, height / h])
        faces = []
        for row in rows[np.argsort(-rows[:, 14], kind='stable')]:
            box = tuple((row[:4].reshape(2, 2) * to_image).ravel().tolist())
            if min(box[2:]) > 0:
                faces.append(Face(box, float(row[14]), row[4:14].reshape(5, 2) * to_image))
        return faces

    def close(self) -> None:
        """Free the network."""
        self._net = None


class _OpenVINONetwork:
    """YuNet in OpenVINO; compiles one network per image size, at the first image of that size.

    :param precision: bf16 saves 1 ms and finds the same faces, but its boxes differ by about 1 %,
        which moves the gaze of adas by 0.8 deg on faces as small as in a classroom.
    :raises ModelError: if OpenVINO cannot run the file.
    :raises ValueError: if it is another network.
    """

    def __init__(self, weight: Path, threads: int, precision: str = 'fp32') -> None:
        self._for_size = lru_cache(maxsize=CACHED_SIZES)(
            partial(_FixedSizeNetwork, weight, threads, precision))
        # Another network would load as well: check its outputs, at a size that cameras often have.
        self.find(np.zeros((480, 640, 3), np.uint8), 1.0)

    def find(self, image: np.ndarray, min_score: float) -> np.ndarray:
        """Return (N, 15) as FaceDetectorYN does: x, y, w, h, five landmarks and the score."""
        height, width = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in image.shape[:2])
        rows = decode(self._for_size(height, width).run(image), height, width, min_score)
        if len(rows) > 1:
            # OpenCV's FaceDetectorYN truncates to whole pixels, too.
            kept = cv2.dnn.NMSBoxes(
                np.trunc(rows[:, :4]).tolist(), rows[:, 14].tolist(), 0.0, OVERLAP)
            rows = rows[np.array(kept, int).ravel()]
        return rows


class _FixedSizeNetwork:
    """The network compiled for one input size (bf16 in OpenVINO needs one), with its input."""

    def __init__(
            self, weight: Path, threads: int, precision: str, height: int, width: int) -> None:
        self._input = np.zeros((1, 3, height, width), np.float32)
        self._net = open_network(
            weight, runtime='openvino', device='cpu', precision=precision, threads=threads,
            size=(height, width), parameter='detector_weight')
        self._expected = [(1, (height // s) * (width // s), n) for s in STRIDES
                          for n in (10, 4, 1, 1)]

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for a (H, W, 3) image, in the order of :func:`decode`.

        :param image: not larger than the input; the right and the bottom are padded with 0.
        :raises ValueError: if the outputs are not YuNet's.
        """
        height, width = image.shape[:2]
        self._input[..., height:, :] = 0
        self._input[..., width:] = 0
        # Plane by plane: 0.09 instead of 0.28 ms for 640x360.
        for target, plane in zip(self._input[0], cv2.split(image)):
            target[:height, :width] = plane
        # Output names depend on the exporter, so identify the outputs by shape. Class and object
        # score have the same shape, but only their product is used.
        outputs = sorted(self._net(self._input), key=np.shape, reverse=True)
        if (shapes := [a.shape for a in outputs]) != self._expected:
            raise ValueError(f'its outputs have the shapes {shapes}')
        return [a[0] for a in outputs]


class _OpenCVNetwork:
    """YuNet in OpenCV's FaceDetectorYN.

    :raises ModelError: if OpenCV cannot load the file, or it is another network.
    """

    def __init__(self, weight: Path) -> None:
        try:
            self._net = cv2.FaceDetectorYN.create(
                str(weight), '', (LONG_SIDE, LONG_SIDE), nms_threshold=OVERLAP)
            # Another network would load as well: check its outputs.
            self.find(np.zeros((LONG_SIDE, LONG_SIDE, 3), np.uint8), 1.0)
        except (cv2.error, SystemError) as e:
            reason = ' '.join(str(e).split())
            raise ModelError(
                f"detector_weight '{weight}' is not a YuNet ONNX file that OpenCV can load: "
                f'{reason}') from e

    def find(self, image: np.ndarray, min_score: float) -> np.ndarray:
        """Return (N, 15): x, y, w, h, five landmarks and the score."""
        size = image.shape[1::-1]
        if tuple(self._net.getInputSize()) != size:
            self._net.setInputSize(size)
        self._net.setScoreThreshold(min_score)
        rows = self._net.detect(image)[1]
        return np.empty((0, 15), np.float32) if rows is None else rows


def _open(weight: Path, threads: int) -> Union[_OpenVINONetwork, _OpenCVNetwork]:
    """Return the network; in OpenCV if OpenVINO is missing or cannot run the file.

    :raises ModelError: if the file is not YuNet.
    """
    check_network_file(weight, 'detector_weight')
    if installed('openvino'):
        try:
            return _OpenVINONetwork(weight, threads)
        except (ImportError, ModelError, RuntimeError, ValueError) as e:
            _log.info("detector 'yunet' runs in OpenCV, not in OpenVINO: %s", e)
    return _OpenCVNetwork(weight)


def decode(
        outputs: Sequence[np.ndarray], height: int, width: int, min_score: float) -> np.ndarray:
    """Return (N, 15) float32: x, y, w, h, five landmarks in pixels, and the score, 0..1.

    As in OpenCV's face_detect.cpp, before non-maximum suppression: a face may occur several times.

    :param outputs: for each of :data:`STRIDES` four arrays with a row per cell: landmarks (n, 10),
        box (n, 4), object score (n, 1) and class score (n, 1).
    :param height: height of the network's input in pixels, a multiple of the strides.
    :param width: width of the network's input in pixels, a multiple of the strides.
    """
    points, offsets, object_scores, class_scores = (
        np.concatenate(outputs[i::4]) for i in range(4))
    scores = np.sqrt(np.clip(object_scores, 0, 1) * np.clip(class_scores, 0, 1))
    kept = np.flatnonzero(scores >= min_score)
    if not len(kept):
        return np.empty((0, 15), np.float32)
    cells, strides = (a[kept] for a in _cells(height, width))
    offsets = offsets[kept]
    size = np.exp(offsets[:, 2:]) * strides
    corner = (cells[:, :2] + offsets[:, :2]) * strides - size / 2
    return np.hstack([corner, size, (cells + points[kept]) * strides, scores[kept]])


@lru_cache(maxsize=CACHED_SIZES)
def _cells(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row five times (N, 10) and stride (N, 1) of each cell, float32."""
    cells, strides = [], []
    for s in STRIDES:
        row, column = np.divmod(np.arange((height // s) * (width // s)), width // s)
        cells.append(np.tile(np.stack([column, row], axis=1), 5))
        strides.append(np.full((len(row), 1), s))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
