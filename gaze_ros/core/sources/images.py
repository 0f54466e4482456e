"""An image file, or the images of a folder in the order of their names."""
import logging
import math
from pathlib import Path
from typing import Optional

from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources.decoding import ImageError
from gaze_ros.core.system import native_threads
from gaze_ros.core.system.native_threads import MAX_PIXELS
from gaze_ros.core.system.opencv_files import read_image
from gaze_ros.core.system.utf8 import printable
import numpy as np

_log = logging.getLogger(__name__)

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')


class ImageFiles:
    """Image files played as a video; an undecodable one is skipped and logged once.

    :param path: an image or a folder of images.
    :param rate: images per second.
    :raises SourceError: if there is no image.
    """

    def __init__(self, path: Path, *, rate: float = 10.0, loop: bool = False) -> None:
        self.name = printable(str(path))
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
        self._path = path
        self._single_image: Optional[np.ndarray] = None
        #: Undecodable files that were logged.
        self._logged: set[Path] = set()
        native_threads.silence_opencv()
        if self.count == 1 and self._decode(self._paths[0]) is None:
            raise SourceError(
                f"source '{self._paths[0]}' ({self._paths[0].stat().st_size} bytes) is not an "
                f'image that OpenCV can decode; expected a complete image of at most {MAX_PIXELS} '
                'pixels')

    @property
    def stamp(self) -> float:
        """Time of the last image in the file, seconds, by its number and the rate."""
        return (self._next - 1) / self.rate

    def read(self) -> Optional[np.ndarray]:
        """Return the next (H, W, 3) uint8 BGR image, or None at the end.

        :raises SourceError: if the files are looped and none can be decoded.
        """
        for _ in range(self.count):
            if not self.grab():
                return None
            try:
                return self.retrieve()
            except ImageError as e:
                if self._path not in self._logged:
                    self._logged.add(self._path)
                    _log.warning('%s: skipped', e)
        if self.loop:
            raise SourceError(f"source '{self.name}' has no image that OpenCV can decode")
        return None

    def grab(self) -> bool:
        """Go to the next file; return False after the last one, unless they are looped."""
        if self._next == self.count:
            if not self.loop:
                return False
            self._next = 0
        self._path = self._paths[self._next]
        self._next += 1
        return True

    def retrieve(self) -> np.ndarray:
        """Return the image of the present file as (H, W, 3) uint8 BGR.

        :raises ImageError: if it cannot be decoded.
        """
        image = self._decode(self._path)
        if image is None:
            raise ImageError(
                f"'{printable(str(self._path))}' is not an image that OpenCV can decode")
        return image

    def close(self) -> None:
        """Release the image in memory."""
        self._single_image = None

    def _decode(self, path: Path) -> Optional[np.ndarray]:
        if self._single_image is not None:
            return self._single_image
        image = read_image(path)
        if self.count == 1:
            self._single_image = image
        return image
