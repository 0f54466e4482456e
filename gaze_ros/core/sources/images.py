"""An image file, or the images of a folder in the order of their names, 2 before 10."""
import logging
import math
from pathlib import Path
import re
from typing import Optional

from gaze_ros.core.errors import SourceError
from gaze_ros.core.sources.decoding import ImageError
from gaze_ros.core.system import native_threads
from gaze_ros.core.system.native_threads import MAX_PIXELS
from gaze_ros.core.system.opencv_files import read_image
from gaze_ros.core.system.utf8 import printable
import numpy as np

_log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm',
    '.pbm', '.pnm', '.jp2', '.avif', '.heic', '.heif')

#: Suffixes of videos whose first bytes are those of an image.
_VIDEO_SUFFIXES = ('.mjpg', '.mjpeg', '.apng')

#: First bytes of the formats above; HEIF is one so that it is refused: FFmpeg would take a tile of
#: it for the image.
_IMAGE_START = re.compile(
    rb"""\xff\xd8\xff | \x89PNG\r\n | BM.{4}\0\0\0\0 | RIFF.{4}WEBP | II[*+]\0 | MM\0[*+] |
    P[1-6]\s | \0\0\0\x0cjP | .{4}ftyp(?:avi[fs]|he[iv][cmsx]|mi[af][12f]|msf1)""",
    re.DOTALL | re.VERBOSE)
#: Bytes of a PNG before its image data, which say whether it is an animation.
_PNG_CHUNKS = 1 << 16


def is_image(path: Path) -> bool:
    """Return whether a file is a still image, by its first bytes or else by its name."""
    suffix = path.suffix.lower()
    if suffix in _VIDEO_SUFFIXES or not path.is_file():
        return False
    try:
        with open(path, 'rb') as file:
            start = file.read(_PNG_CHUNKS)
    except OSError:
        start = b''
    if start.startswith(b'\x89PNG') and b'acTL' in start.partition(b'IDAT')[0]:
        return False  # an animation, which FFmpeg plays
    return _IMAGE_START.match(start) is not None or suffix in IMAGE_SUFFIXES


def _is_animation(path: Path) -> bool:
    """Return whether OpenCV decodes only the first of several images: of a WebP or an AVIF."""
    try:
        with open(path, 'rb') as file:
            start = file.read(21)
    except OSError:
        return False
    return start[4:12] == b'ftypavis' or start[8:16] == b'WEBPVP8X' and start[20:] > b'' and (
        start[20] & 2 > 0)


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder, in the order of their names, numbers by their value.

    Files with another suffix, and hidden ones, are no images.

    :raises SourceError: if the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith('.') and (
            path.suffix.lower() in IMAGE_SUFFIXES or not _has_suffix(path) and is_image(path))]
    except OSError as e:
        raise SourceError(f"folder '{folder}' cannot be read: {e.strerror or e}") from e
    return sorted(paths, key=lambda path: (_natural(path.name), path.name))


def _has_suffix(path: Path) -> bool:
    """Return whether a name ends in a suffix, rather than in a number or in words."""
    return re.fullmatch(r'\.(?!\d+$)\S+', path.suffix) is not None


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a sort key in which numbers count by their value, and precede letters."""
    return [(False, int(part), '') if re.match('[0-9]', part) else (True, 0, part)
            for part in re.split('([0-9]+)', name) if part]


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
        self._paths = image_files(path) if path.is_dir() else [path]
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
        if self.count == 1 and _is_animation(self._paths[0]):
            _log.warning("source '%s' is an animation, of which only the first image is read: "
                         'convert it to a video', self.name)

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
