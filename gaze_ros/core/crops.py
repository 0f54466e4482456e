"""Square pictures of faces, the same for every model."""
import math

import cv2
import numpy as np


def square_transform(
        box: tuple[float, float, float, float], size: int, scale: float = 1.0) -> np.ndarray:
    """Return the (2, 3) affine matrix from picture pixels to a size x size crop.

    The crop is square with side scale * max(w, h), centred on the box: what Gaze360 models were
    trained on. It may reach past the picture.

    :param box: x, y, w, h in pixels.
    :raises ValueError: for a box without extent.
    """
    x, y, w, h = box
    side = scale * max(w, h)
    if not side > 0:
        raise ValueError(f'face box {box} has no extent')
    k = size / side
    return np.array([
        [k, 0, size / 2 - k * (x + w / 2)],
        [0, k, size / 2 - k * (y + h / 2)]])


def crop(picture: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Return the size x size crop; what lies outside the picture repeats its border.

    :param transform: as :func:`square_transform` gives it for the same size.
    """
    # warpAffine samples 2 x 2 pixels only: a large face is sampled finely first, then averaged.
    fine = max(1, math.ceil(1 / np.hypot(*transform[:, 0]) - 1e-9))
    matrix = transform * fine
    # Half a pixel each way, so that pixel centres, not corners, are mapped onto one another.
    matrix[:, 2] += (matrix[:, :2].sum(axis=1) - 1) / 2
    picture = cv2.warpAffine(
        picture, matrix, (size * fine, size * fine), borderMode=cv2.BORDER_REPLICATE)
    if fine > 1:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return picture
