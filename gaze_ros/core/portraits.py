"""Pictures of faces of one size, as REP-155 has them."""
import math

import cv2
from gaze_ros.core.crops import crop, square_transform
import numpy as np


def cropped(bgr: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """Return the (size, size, 3) uint8 picture of a face: its box, undistorted, centred on black.

    :param bgr: (H, W, 3) uint8.
    :param box: x, y, width, height in whole pixels, inside the picture.
    :raises ValueError: for a box without extent.
    """
    x, y, w, h = box
    if not (w > 0 and h > 0):
        raise ValueError(f'face box {box} has no extent in the picture')
    scale = size / max(w, h)
    width, height = (max(1, math.floor(scale * v + 0.5)) for v in (w, h))
    left, top = (size - width) // 2, (size - height) // 2
    picture = np.zeros((size, size, 3), np.uint8)
    picture[top:top + height, left:left + width] = cv2.resize(
        bgr[y:y + h, x:x + w], (width, height),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return picture


def aligned(
        bgr: np.ndarray, box: tuple[int, int, int, int], right_eye: np.ndarray,
        left_eye: np.ndarray, size: int) -> np.ndarray:
    """Return the (size, size, 3) uint8 picture of a face turned so that its eyes are level.

    It has the scale and the middle of :func:`cropped`, and no black: what lies beside the box is
    in it, and the border of the picture is repeated.

    :param right_eye: (2,) pixels, the subject's: on the left of an upright face.
    :param left_eye: (2,) pixels.
    :raises ValueError: for a box without extent.
    """
    x, y, w, h = box
    along = left_eye - right_eye
    return crop(bgr, square_transform(
        (x + w / 2, y + h / 2), max(w, h), size, math.atan2(along[1], along[0])), size)
