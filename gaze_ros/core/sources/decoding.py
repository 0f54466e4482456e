"""What decoders give, as the pictures that sources give."""
from typing import Optional

import cv2
from gaze_ros.core.errors import SourceError
import numpy as np

#: What there is to do with channels other than three.
_TO_BGR = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}


class ImageError(SourceError):
    """A single picture that is none; the source may give the next one at once."""


def as_bgr(picture: Optional[np.ndarray], name: str) -> np.ndarray:
    """Return what a decoder gave as (H, W, 3) uint8 BGR.

    :param picture: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16.
    :param name: of the source, for the error.
    :raises PictureError: for anything else, or nothing.
    """
    if picture is None or not picture.size:
        raise ImageError(f"source '{name}' gives an empty picture")
    channels = picture.shape[2] if picture.ndim == 3 else 1
    if picture.ndim not in (2, 3) or channels not in (1, 3, 4) or picture.dtype not in (
            np.uint8, np.uint16):
        raise ImageError(
            f"source '{name}' gives a picture of shape {picture.shape} and {picture.dtype}; "
            '(height, width) with 1, 3 or 4 channels of 8 or 16 bits was expected')
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    return picture if channels == 3 else cv2.cvtColor(picture, _TO_BGR[channels])
