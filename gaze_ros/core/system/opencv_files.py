"""The files that OpenCV reads and writes, whatever their names."""
from contextlib import suppress
import os
from pathlib import Path
from typing import Optional, Union

import cv2
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system.image_data import decode_image
from gaze_ros.core.system.safe_files import read_problem
from gaze_ros.core.system.utf8 import is_utf8
import numpy as np

#: Maximum bytes of an image file: MAX_PIXELS of 16 bits, uncompressed, have 400 MB.
_MAX_IMAGE_BYTES = 1 << 29


def read_image(path: Path) -> Optional[np.ndarray]:
    """Return the image in a file, rotated as its EXIF orientation says; None if there is none.

    :returns: (H, W, 3) uint8 BGR.
    """
    if read_problem(path, _MAX_IMAGE_BYTES):  # reading a pipe might never end
        return None
    # Python reads the file: OpenCV crashes on names that are not UTF-8.
    with suppress(OSError, ValueError):  # removed meanwhile, or no image
        return decode_image(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    return None


def opencv_path(path: Union[str, Path]) -> str:
    """Return the path of a video in the form that OpenCV takes, for reading or writing.

    :raises GazeRosError: if it is not UTF-8, which crashes OpenCV.
    """
    # FFmpeg takes the text before a colon for a protocol, unless a slash precedes it.
    name = os.path.join(os.curdir, path)
    if not is_utf8(name):
        raise GazeRosError(
            f"'{path}' is not UTF-8, and OpenCV cannot use such a name: rename the file or folder")
    return name
