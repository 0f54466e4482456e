"""Frames of gazes and faces against what their axes have to be."""
import math

from gaze_ros.core.geometry.head_pose import quaternion_from_matrix
from gaze_ros.core.geometry.rotations import (
    face_forward_axis,
    gaze_axes,
    gaze_quaternion,
    normalised,
)
from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

directions = st.tuples(*[st.floats(-1, 1)] * 3).map(np.array)
#: Of a rotation to a quaternion, radians: cv2.Rodrigues takes what is near half a turn for one.
ROUNDING = 3e-5

quaternions = st.tuples(*[st.floats(-1, 1)] * 4).map(np.array)


@given(directions)
def test_gaze_axes_are_those_of_a_camera_with_that_view(direction):
    assume(np.linalg.norm(direction) > 0.1 and math.hypot(direction[0], direction[2]) > 0.01)
    unit = direction / np.linalg.norm(direction)
    x, y, z = Rotation.from_quat(gaze_quaternion(direction)).as_matrix().T
    np.testing.assert_allclose(z, unit, atol=ROUNDING)
    np.testing.assert_allclose(np.cross(x, y), z, atol=1e-9)
    assert abs(x[1]) < ROUNDING, 'x is not level'
    assert y[1] > -ROUNDING, 'y is not downward'


@pytest.mark.parametrize('direction,x,y', [
    # The same way as the camera: its own axes.
    ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    # Into the lens: what is right of the image is left of who looks.
    ((0, 0, -1), (-1, 0, 0), (0, 1, 0)),
    ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ((0, 0.6, -0.8), (-1, 0, 0), (0, 0.8, 0.6)),
    ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
])
def test_gaze_axes_of_known_directions(direction, x, y):
    np.testing.assert_allclose(gaze_axes(np.array(direction, float)).T, [x, y, direction],
                               atol=1e-12)
    rotation = Rotation.from_quat(gaze_quaternion(np.array(direction, float)))
    np.testing.assert_allclose(rotation.as_matrix().T, [x, y, direction], atol=ROUNDING)


@given(directions)
def test_vertical_gazes_have_valid_rotations(direction):
    down = np.array([0, 1.0, 0]) + 1e-5 * direction
    axes = gaze_axes(down / np.linalg.norm(down))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(gaze_quaternion(down)) == pytest.approx(1)


@pytest.mark.parametrize('direction', [(math.nan,) * 3, (0, 0, 0), (math.inf, 0, 0)])
def test_unknown_gaze_has_no_quaternion(direction):
    assert gaze_quaternion(np.array(direction)) is None


@given(quaternions)
def test_face_forward_axis_is_x(rotation):
    assume(np.linalg.norm(rotation) > 0.1)
    unit = normalised(rotation)
    assert np.linalg.norm(unit) == pytest.approx(1)
    expected = Rotation.from_quat(rotation).apply([1.0, 0, 0])
    np.testing.assert_allclose(face_forward_axis(unit), expected, atol=1e-9)


@pytest.mark.parametrize('rotation', [(0, 0, 0, 0), (math.nan, 0, 0, 1), (0, math.inf, 0, 1)])
def test_invalid_quaternion_gives_none(rotation):
    assert normalised(np.array(rotation, float)) is None


def test_face_toward_the_lens_follows_rep_155():
    """x out of the face: -z of the camera; its left is right in the image; z up: -y."""
    toward = quaternion_from_matrix(np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]))
    np.testing.assert_allclose(face_forward_axis(toward), (0, 0, -1), atol=1e-9)
