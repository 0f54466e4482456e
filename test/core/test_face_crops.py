import math

import cv2
from gaze_ros.core.geometry.crops import aligned_face_crop, face_crop
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

RNG = np.random.default_rng(0)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 40), st.integers(0, 40))
def test_face_crop_is_centered_on_black_and_keeps_its_aspect_ratio(w, h, x, y):
    image = np.full((400, 400, 3), 255, np.uint8)
    rows, columns = np.nonzero(face_crop(image, (x, y, w, h), 128).all(axis=2))
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert max(width, height) == 128
    assert (width, height) == pytest.approx(
        (max(1, 128 * w / max(w, h)), max(1, 128 * h / max(w, h))), abs=0.5)
    assert columns.min() + columns.max() == pytest.approx(127, abs=1)
    assert rows.min() + rows.max() == pytest.approx(127, abs=1)


def test_face_crop_at_native_size_copies_the_pixels():
    image = RNG.integers(0, 256, (90, 120, 3), np.uint8)
    out = face_crop(image, (30, 20, 40, 64), 64)
    assert np.array_equal(out[:, 12:52], image[20:84, 30:70])
    assert not out[:, :12].any() and not out[:, 52:].any()


@given(st.floats(-math.pi, math.pi), st.floats(60, 240), st.floats(60, 240), st.floats(6, 24))
def test_aligned_face_crop_levels_the_eyes(roll, x, y, half):
    along = half * np.array([math.cos(roll), math.sin(roll)])
    right, left = np.array((x, y)) - along, np.array((x, y)) + along
    image = np.zeros((300, 300, 3), np.uint8)
    for point, channel in ((right, 0), (left, 2)):
        mark = np.zeros((300, 300), np.uint8)
        cv2.circle(mark, [round(v * 16) for v in point - 0.5], 32, 255, -1, cv2.LINE_AA, 4)
        image[..., channel] = mark
    side = 64
    box = (round(x) - side // 2, round(y) - side // 2, side, side)
    out = aligned_face_crop(image, box, right, left, 128).astype(float)
    at = [np.average(np.arange(128) + 0.5, weights=out[..., c].sum(axis=axis))
          for c in (0, 2) for axis in (0, 1)]
    assert at[1] == pytest.approx(at[3], abs=1)  # level
    assert at[2] - at[0] == pytest.approx(4 * half, abs=1)  # at twice the size
    assert (at[0] + at[2]) / 2 == pytest.approx(64, abs=2)


@pytest.mark.parametrize('box', [(5, 5, 0, 9), (5, 5, 9, 0)])
def test_box_without_area_is_refused(box):
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match='no extent'):
        face_crop(image, box, 128)
