import math

from gaze_ros.core.types import Estimate, Face, Gaze
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

NUMBER = st.floats(-1e6, 1e6)
SIDE = st.integers(1, 5000)


@given(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), SIDE, SIDE)
def test_clipped_box_is_inside_the_image(box, width, height):
    x, y, w, h = clipped = Face(box, 1.0).clipped(width, height)
    assert all(type(v) is int for v in clipped)
    assert min(clipped) >= 0
    assert x + w <= width
    assert y + h <= height


@given(st.data(), SIDE, SIDE)
def test_whole_pixels_inside_the_image_are_unchanged(data, width, height):
    x = data.draw(st.integers(0, width - 1))
    y = data.draw(st.integers(0, height - 1))
    box = x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    assert Face(box, 1.0).clipped(width, height) == box


@pytest.mark.parametrize(('box', 'clipped'), [
    ((-10, -10, 30, 40), (0, 0, 20, 30)), ((90, 70, 50, 50), (90, 70, 10, 10)),
    ((-50, -50, 500, 500), (0, 0, 100, 80))])
def test_box_across_the_border_is_clipped(box, clipped):
    assert Face(box, 1.0).clipped(100, 80) == clipped


@pytest.mark.parametrize('box', [
    (-60, 10, 50, 20), (100, 10, 20, 20), (10, -30, 20, 30), (10, 999, 20, 20), (5, 5, -3, 9)])
def test_box_outside_has_no_area(box):
    _, _, w, h = Face(box, 1.0).clipped(100, 80)
    assert w * h == 0


def test_centre_is_the_middle_of_the_whole_box():
    assert Face((-10, 20, 30, 5), 1.0).center == (5, 22.5)


def test_defaults_are_unknown():
    gaze, estimate = Gaze('f1', Face((0, 0, 1, 1), 1.0)), Estimate()
    for value in (gaze.pitch, gaze.yaw, gaze.raw_pitch, gaze.raw_yaw, gaze.stddev,
                  gaze.head_pitch, gaze.head_yaw, gaze.head_roll, gaze.head_stddev,
                  *gaze.eye_openness, estimate.pitch, estimate.yaw, estimate.stddev,
                  estimate.head_stddev, *estimate.eye_openness):
        assert math.isnan(value)
    assert estimate.head_rotation is None
    assert (gaze.blink_start, gaze.blink_duration) == (0, 0)
    assert np.isnan(gaze.direction).all()
    assert gaze.confidence == estimate.confidence == 0
    assert not gaze.looking_at_camera
    assert Gaze('f2', gaze.face).direction is not gaze.direction
