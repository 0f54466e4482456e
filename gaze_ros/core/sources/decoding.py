"""Converts the output of decoders to the image format of the pipeline."""
from typing import Optional

import cv2
from gaze_ros.core.errors import SourceError
import numpy as np

#: Conversions from a number of channels other than three.
_TO_BGR = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}


class ImageError(SourceError):
    """A single image cannot be decoded; the source may deliver the next one at once."""


def square_pixels(image: np.ndarray, aspect: float) -> np.ndarray:
    """Return a (H, W, 3) image with square pixels; one side becomes larger.

    :param aspect: width of its pixels divided by their height; 1: the image itself is returned.
    """
    if aspect == 1:
        return image
    height, width = image.shape[:2]
    return cv2.resize(image, (max(width, round(width * aspect)),
                              max(height, round(height / aspect))))


def as_bgr(image: Optional[np.ndarray], name: str) -> np.ndarray:
    """Return the output of a decoder as (H, W, 3) uint8 BGR.

    :param image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16.
    :param name: name of the source, for the error.
    :raises ImageError: if the image is empty or has another shape or type.
    """
    if image is None or not image.size:
        raise ImageError(f"source '{name}' delivers an empty image")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or image.dtype not in (
            np.uint8, np.uint16):
        raise ImageError(
            f"source '{name}' delivers an image of shape {image.shape} and {image.dtype}; "
            'expected (height, width) with 1, 3 or 4 channels of 8 or 16 bits')
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    return image if channels == 3 else cv2.cvtColor(image, _TO_BGR[channels])
