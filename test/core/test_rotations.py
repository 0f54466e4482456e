"""Frames of gazes and faces against what their axes have to be."""
import math

from gaze_ros.core.geometry.camera_model import angles_to_unit, gaze_direction
from gaze_ros.core.geometry.head_pose import quaternion_from_matrix
from gaze_ros.core.geometry.rotations import (
    cross,
    face_forward_axis,
    gaze_axes,
    gaze_quaternion,
    head_angles,
    normalised,
    orientation_along_ray,
    rotation_along_ray,
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


@given(directions, directions)
def test_cross_product_is_that_of_numpy(a, b):
    np.testing.assert_allclose(cross(a, b), np.cross(a, b), atol=1e-15)


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
    """Out of the face: x, -z of the camera; its left is right in the image; z up: -y."""
    toward = quaternion_from_matrix(np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]))
    np.testing.assert_allclose(face_forward_axis(toward), (0, 0, -1), atol=1e-9)


ANGLE = st.floats(-1.4, 1.4)
YAW = st.floats(-3.1, 3.1)
#: Of an image with a field of view of up to 120 degrees.
rays = st.tuples(st.floats(-1.7, 1.7), st.floats(-1.7, 1.7)).map(
    lambda p: np.array([*p, 1.0]) / np.linalg.norm([*p, 1.0]))


def rotation_of(pitch, yaw, roll):
    """Return (3, 3), columns the person's left, up and out of the face."""
    forward = angles_to_unit(pitch, yaw)
    right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    up = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    return np.column_stack([right * c - up * s, up * c + right * s, forward])


@given(ANGLE, YAW, YAW)
def test_head_angles_are_those_of_the_rotation(pitch, yaw, roll):
    rotation = rotation_of(pitch, yaw, roll)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert head_angles(rotation) == pytest.approx((pitch, yaw, roll), abs=1e-6)


@pytest.mark.parametrize(('left', 'up', 'forward', 'expected'), [
    # It faces the lens: its left is right in the image.
    ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)),
    # Lying on the side, its head to the right in the image.
    ((0, -1, 0), (1, 0, 0), (0, 0, 1), (0, 0, math.pi / 2)),
    ((0, 1, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -math.pi / 2)),
    # Upside down.
    ((-1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 0, math.pi)),
    # A profile that looks to the right of the image.
    ((0, 0, -1), (0, 1, 0), (1, 0, 0), (0, math.pi / 2, 0))])
def test_head_angles_of_known_rotations(left, up, forward, expected):
    found = head_angles(np.array([left, up, forward], float).T)
    assert found[:2] == pytest.approx(expected[:2])
    assert math.cos(found[2] - expected[2]) == pytest.approx(1)


@given(ANGLE, YAW, YAW, rays)
def test_orientation_along_a_ray_and_back(pitch, yaw, roll, ray):
    rotation = rotation_of(pitch, yaw, roll)
    orientation = orientation_along_ray(rotation, ray)
    assert np.linalg.norm(orientation) == pytest.approx(1)
    np.testing.assert_allclose(rotation_along_ray(orientation, ray), rotation, atol=2 * ROUNDING)
    np.testing.assert_allclose(  # the same rotation
        rotation_along_ray(-orientation, ray), rotation, atol=2 * ROUNDING)


@given(ANGLE, YAW, YAW, rays)
def test_face_points_where_a_gaze_with_its_angles_does(pitch, yaw, roll, ray):
    orientation = orientation_along_ray(rotation_of(pitch, yaw, roll), ray)
    np.testing.assert_allclose(
        face_forward_axis(orientation), gaze_direction(pitch, yaw, ray), atol=2 * ROUNDING)


@given(rays)
def test_face_that_faces_the_lens_follows_rep_155(ray):
    x, y, z = Rotation.from_quat(orientation_along_ray(np.eye(3), ray)).as_matrix().T
    np.testing.assert_allclose(x, -ray, atol=2 * ROUNDING)
    assert y[0] > 0, 'its left is right in the image'
    assert z[1] < 0, 'z points up'
