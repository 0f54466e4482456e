"""Pictures of faces, and what networks are fed with: the same for every model and runtime."""
from collections.abc import Iterable
import math
from typing import Optional

import cv2
import numpy as np

#: How a face is cut out: ``square`` covers as much of the picture as the box does, undistorted;
#: ``raw`` is the box itself, stretched to a square, as yakhyo/gaze-estimation does it for ONNX.
CROPS = ('square', 'raw')


def square_transform(
        center: tuple[float, float], side: float, size: int, roll: float = 0.0) -> np.ndarray:
    """Return the (2, 3) affine matrix from picture pixels to a size x size crop.

    :param center: of the crop, pixels.
    :param side: of the crop in the picture, pixels; it may reach past the picture.
    :param roll: by how much the crop is turned clockwise as seen in the picture, radians.
    :raises ValueError: for a side that is not above 0.
    """
    if not side > 0:
        raise ValueError(f'a crop with a side of {side} pixels has no extent')
    k = size / side
    c, s = k * math.cos(roll), k * math.sin(roll)
    x, y = center
    return np.array([[c, s, size / 2 - c * x - s * y], [-s, c, size / 2 + s * x - c * y]])


def face_transform(
        box: tuple[float, float, float, float], size: int, policy: str = 'square',
        scale: float = 1.0, picture: Optional[tuple[int, int]] = None) -> np.ndarray:
    """Return the (2, 3) affine matrix from picture pixels to a face's size x size crop.

    :param box: x, y, w, h in pixels.
    :param policy: one of :data:`CROPS`.
    :param scale: for ``square``, the crop's side over the square root of the box's area.
    :param picture: for ``raw``, the width and height the box is clipped to, with its corners cut
        off to whole pixels.
    :raises ValueError: for a box without extent.
    """
    x, y, w, h = box
    if policy == 'square':
        return square_transform(
            (x + w / 2, y + h / 2), scale * math.sqrt(max(w, 0.0) * max(h, 0.0)), size)
    left, top, right, bottom = int(x), int(y), int(x + w), int(y + h)
    if picture:
        left, right = (min(max(v, 0), picture[0]) for v in (left, right))
        top, bottom = (min(max(v, 0), picture[1]) for v in (top, bottom))
    if right <= left or bottom <= top:
        raise ValueError(f'face box {box} has no extent in the picture')
    k, m = size / (right - left), size / (bottom - top)
    return np.array([[k, 0, -k * left], [0, m, -m * top]])


def crop(picture: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Return the size x size crop; what lies outside the picture repeats its border.

    :param transform: as :func:`square_transform` or :func:`face_transform` gives it for that size.
    """
    # warpAffine samples 2 x 2 pixels only: a large face is sampled finely first, then averaged.
    shrink = 1 / np.hypot(*transform[:, :2]).min()
    fine = max(1, math.ceil(shrink - 1e-9))
    matrix = transform * fine
    # Half a pixel each way, so that pixel centres, not corners, are mapped onto one another.
    matrix[:, 2] += (matrix[:, :2].sum(axis=1) - 1) / 2
    picture = cv2.warpAffine(
        picture, matrix, (size * fine, size * fine), borderMode=cv2.BORDER_REPLICATE)
    if fine > 1:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return picture


class InputBatch:
    """Network input that is allocated once and grows to the most pictures there ever were.

    :param mean: subtracted from each channel, in the order of BGR, 0..255.
    :param deviation: by which it is divided then; likewise.
    :param rgb: whether the network wants red first.
    """

    def __init__(
            self, mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
            deviation: tuple[float, float, float] = (1.0, 1.0, 1.0), *, rgb: bool = False) -> None:
        self._mean = mean
        self._deviation = deviation
        self._order = (2, 1, 0) if rgb else (0, 1, 2)
        self._input = np.empty((0, 3, 0, 0), np.float32)
        self._planes: list[np.ndarray] = []

    def fill(self, pictures: Iterable[np.ndarray], most: Optional[int] = None) -> np.ndarray:
        """Return (N, 3, H, W) float32, valid until the next call.

        Plane by plane it takes 0.1 ms for 448 x 448; over the last axis, 3.6 ms.

        :param pictures: (H, W, 3) uint8 BGR, all of one size. Each is read before the next one is
            asked for, so that all may be made in the same memory.
        :param most: that there may be; None where they have a length.
        """
        if most is None:
            most = len(pictures)
        count = 0
        for picture in pictures:
            if not count:
                self._allocate(most, *picture.shape[:2])
            rows = self._input[count]
            cv2.split(picture, self._planes)
            for channel, at in enumerate(self._order):
                scale = 1 / self._deviation[channel]
                # (plane - mean) / deviation in one pass, which numpy has not.
                cv2.addWeighted(
                    self._planes[channel], scale, self._planes[channel], 0,
                    -self._mean[channel] * scale, rows[at], cv2.CV_32F)
            count += 1
        return self._input[:count]

    def _allocate(self, count: int, height: int, width: int) -> None:
        if self._input.shape[2:] != (height, width) or len(self._input) < count:
            self._input = np.empty((count, 3, height, width), np.float32)
            self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]


def face_crop(bgr: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
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


def aligned_face_crop(
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
