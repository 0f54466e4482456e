"""An image file, or the images of a folder in the order of their names."""
from contextlib import suppress
import logging
import math
from pathlib import Path
from typing import Optional

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.system import native_threads
from gaze_ros.core.system.native_threads import MAX_PIXELS
from gaze_ros.core.system.safe_files import png_too_large
import numpy as np

_log = logging.getLogger(__name__)

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')


class ImageFiles:
    """Still pictures played as a video; one that cannot be decoded is skipped and told.

    :param path: an image or a folder of images.
    :param rate: pictures a second.
    :raises SourceError: if there is no image.
    """

    def __init__(self, path: Path, *, rate: float = 10.0, loop: bool = False) -> None:
        self.name = str(path)
        self.rate = rate
        self.loop = loop
        self._paths = [path] if path.is_file() else sorted(
            p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not self._paths:
            raise SourceError(
                f"source '{path}' is a folder without images ({', '.join(IMAGE_SUFFIXES)})")
        self.count = len(self._paths)
        self.capture_time = math.nan
        self._next = 0
        self._still: Optional[np.ndarray] = None
        #: Those that could not be decoded.
        self._told: set[Path] = set()
        native_threads.silence_opencv()
        if self.count == 1 and self._decode(self._paths[0]) is None:
            raise SourceError(
                f"source '{self._paths[0]}' ({self._paths[0].stat().st_size} bytes) is no image "
                f'OpenCV can decode: one that is whole, of at most {MAX_PIXELS} pixels, was '
                'expected')

    def read(self) -> Optional[np.ndarray]:
        """Return the next picture, or None at the end.

        :raises SourceError: if it is looped and there is none that can be decoded.
        """
        for _ in range(self.count):
            if self._next == self.count:
                if not self.loop:
                    return None
                self._next = 0
            path = self._paths[self._next]
            self._next += 1
            picture = self._decode(path)
            if picture is not None:
                return picture
            if path not in self._told:
                self._told.add(path)
                _log.warning("'%s' is no image OpenCV can decode: skipped", path)
        if self.loop:
            raise SourceError(f"source '{self.name}' has no image OpenCV can decode")
        return None

    def close(self) -> None:
        """Let go of the picture in memory."""
        self._still = None

    def _decode(self, path: Path) -> Optional[np.ndarray]:
        if self._still is not None:
            return self._still
        picture = None
        with suppress(cv2.error, OSError):  # one too large to be true, or gone
            if not path.is_file():  # a pipe that never ends
                return None
            with open(path, 'rb') as file:
                if png_too_large(file.read(24)):
                    return None
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if self.count == 1:
            self._still = picture
        return picture
