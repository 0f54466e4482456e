import math

import cv2
from gaze_ros.core.geometry import (
    angle_to_lens,
    angles_to_unit,
    arrow,
    assumed_camera_matrix,
    Calibration,
    gaze_direction,
    pixel_ray,
    unit_to_angles,
)
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

PITCH = st.floats(-1.55, 1.55)
YAW = st.floats(-3.14, 3.14)
#: Rays at up to 68 degrees from the axis each way.
RAY = st.tuples(st.floats(-2.5, 2.5), st.floats(-2.5, 2.5)).map(
    lambda xy: np.array([*xy, 1.0]) / math.hypot(*xy, 1.0))
K = np.array([[800.0, 0, 330], [0, 780, 250], [0, 0, 1]])
PLUMB_BOB = np.array([-0.28, 0.07, 0.001, -0.0015, 0.01])
RATIONAL = np.array([0.5, 0.1, 0.0005, -0.0003, 0.01, 0.8, 0.2, 0.02])


@given(PITCH, YAW)
def test_angles_come_back_from_the_unit_vector(pitch, yaw):
    vector = angles_to_unit(pitch, yaw)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert unit_to_angles(vector) == pytest.approx((pitch, yaw), abs=1e-6)
    assert unit_to_angles(7 * vector) == pytest.approx((pitch, yaw), abs=1e-6)


@given(PITCH, YAW)
def test_direction_of_a_face_on_the_axis_is_that_of_the_formula(pitch, yaw):
    expected = (math.cos(pitch) * math.sin(yaw), -math.sin(pitch),
                -math.cos(pitch) * math.cos(yaw))
    assert gaze_direction(pitch, yaw, np.array([0, 0, 1.0])) == pytest.approx(expected)


@pytest.mark.parametrize(('pitch', 'yaw', 'axis', 'sign'), [
    (0, 0.5, 0, 1), (0, -0.5, 0, -1), (0.5, 0, 1, -1), (-0.5, 0, 1, 1)])
def test_yaw_goes_right_and_pitch_up_for_faces_anywhere(pitch, yaw, axis, sign):
    for ray in ([0, 0, 1], [0.6, 0, 1], [-0.6, 0.3, 1], [0.2, -0.5, 1]):
        ray = np.array(ray) / np.linalg.norm(ray)
        turned = gaze_direction(pitch, yaw, ray) - gaze_direction(0, 0, ray) * math.cos(0.5)
        assert sign * turned[axis] > 0.3


@given(RAY)
def test_zero_angles_look_into_the_lens(ray):
    assert gaze_direction(0, 0, ray) == pytest.approx(-ray)


@given(PITCH, YAW, RAY)
def test_direction_is_a_unit_vector_at_the_angle_to_the_lens(pitch, yaw, ray):
    direction = gaze_direction(pitch, yaw, ray)
    assert np.linalg.norm(direction) == pytest.approx(1)
    assert np.dot(direction, -ray) == pytest.approx(math.cos(angle_to_lens(pitch, yaw)))


@given(PITCH, YAW, RAY)
def test_mirrored_scene_has_the_mirrored_direction(pitch, yaw, ray):
    mirror = np.array([-1, 1, 1])
    assert gaze_direction(pitch, -yaw, mirror * ray) == pytest.approx(
        mirror * gaze_direction(pitch, yaw, ray))


@pytest.mark.parametrize('distortion', [None, np.zeros(5), PLUMB_BOB, RATIONAL])
@pytest.mark.parametrize('pixel', [(330, 250), (10, 20), (600, 30), (320.5, 470.25)])
def test_ray_projects_back_onto_its_pixel(pixel, distortion):
    ray = pixel_ray(*pixel, K, distortion)
    assert np.linalg.norm(ray) == pytest.approx(1)
    back, _ = cv2.projectPoints(ray.reshape(1, 3), np.zeros(3), np.zeros(3), K, distortion)
    assert back.ravel() == pytest.approx(pixel, abs=0.1)


def test_ray_respects_distortion():
    assert not np.allclose(pixel_ray(10, 20, K, PLUMB_BOB), pixel_ray(10, 20, K), atol=0.01)


@pytest.mark.parametrize('fov', [0.5, 1.05, 2.0])
def test_assumed_camera_sees_its_field_of_view(fov):
    matrix = assumed_camera_matrix(640, 480, fov)
    left, right = pixel_ray(0, 240, matrix), pixel_ray(640, 240, matrix)
    assert math.acos(np.dot(left, right)) == pytest.approx(fov)
    assert pixel_ray(320, 240, matrix) == pytest.approx((0, 0, 1))
    assert matrix[0, 0] == matrix[1, 1]


@pytest.mark.parametrize(('pitch', 'yaw', 'angle'), [
    (0, 0, 0), (0.3, 0, 0.3), (0, -0.3, 0.3), (0, math.pi, math.pi),
    (math.pi / 2, 1, math.pi / 2)])
def test_angle_to_the_lens(pitch, yaw, angle):
    assert angle_to_lens(pitch, yaw) == pytest.approx(angle)


@pytest.mark.parametrize(('pitch', 'yaw', 'dx', 'dy'), [
    (0, 0, 0, 0), (0, 0.1, 1, 0), (0, -0.1, -1, 0), (0.1, 0, 0, -1), (-0.1, 0, 0, 1)])
def test_arrow_points_where_the_gaze_goes_in_the_picture(pitch, yaw, dx, dy):
    assert np.sign(arrow(pitch, yaw, 100)) == pytest.approx((dx, dy))
    assert np.hypot(*arrow(pitch, yaw, 100)) == pytest.approx(
        100 * math.sin(angle_to_lens(pitch, yaw)))


@pytest.mark.parametrize(('pitch', 'yaw'), [(math.nan, math.nan), (math.nan, 0), (0, math.nan)])
def test_what_is_not_known_stays_unknown(pitch, yaw):
    assert np.isnan(gaze_direction(pitch, yaw, np.array([0.6, 0, 0.8]))).all()
    assert math.isnan(sum(unit_to_angles(angles_to_unit(pitch, yaw))))
    assert math.isnan(sum(arrow(pitch, yaw, 100)))
    assert math.isnan(angle_to_lens(pitch, yaw))


def test_a_calibration_serves_other_sizes_of_the_same_shape():
    made = Calibration(np.array([[1000.0, 0, 960], [0, 900, 540], [0, 0, 1]]), np.zeros(5),
                       1920, 1080)
    np.testing.assert_array_equal(made.matrix_for(1920, 1080), made.matrix)
    np.testing.assert_allclose(
        made.matrix_for(640, 360), [[1000 / 3, 0, 320], [0, 300, 180], [0, 0, 1]])
    for x, y in ((100, 200), (500, 20)):
        np.testing.assert_allclose(
            pixel_ray(x, y, made.matrix_for(640, 360)), pixel_ray(3 * x, 3 * y, made.matrix))
    assert made.matrix_for(640, 480) is None
    assert Calibration(made.matrix, np.zeros(0)).matrix_for(640, 480) is made.matrix
