import math

import cv2
from gaze_ros.core.geometry.camera_model import (
    angle_to_lens,
    angles_to_unit,
    arrow,
    assumed_camera_matrix,
    Calibration,
    gaze_direction,
    Lens,
    lens_for,
    unit_to_angles,
    view_frame,
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
PLUMB_BOB = np.array([-0.25, 0.07, 0.001, -0.0015, 0.01])
RATIONAL = np.array([0.5, 0.1, 0.0005, -0.0003, 0.01, 0.8, 0.2, 0.02])
THIN = np.array([*RATIONAL, 0.001, -0.002, 0.001, 0.0005])
TILTED = np.array([*THIN, 0.02, -0.01])
FISHEYE = np.array([0.03, -0.01, 0.004, -0.0006])


@given(PITCH, YAW)
def test_angles_round_trip_through_the_unit_vector(pitch, yaw):
    vector = angles_to_unit(pitch, yaw)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert unit_to_angles(vector) == pytest.approx((pitch, yaw), abs=1e-6)
    assert unit_to_angles(7 * vector) == pytest.approx((pitch, yaw), abs=1e-6)


@given(PITCH, YAW)
def test_direction_on_the_axis_follows_the_formula(pitch, yaw):
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
def test_mirrored_scene_gives_the_mirrored_direction(pitch, yaw, ray):
    mirror = np.array([-1, 1, 1])
    assert gaze_direction(pitch, -yaw, mirror * ray) == pytest.approx(
        mirror * gaze_direction(pitch, yaw, ray))


@given(RAY)
def test_view_frame_is_right_down_away(ray):
    view = view_frame(ray)
    assert view @ view.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(view) == pytest.approx(1)
    assert view[2] == pytest.approx(ray)
    assert view[0, 0] > 0 and view[1, 1] > 0
    assert view[0, 1] == 0  # level


@pytest.mark.parametrize('ray', [(0, 1, 0), (0, -1, 0), (1e-12, 1, 0)])
def test_vertical_rays_have_valid_directions(ray):
    ray = np.array(ray, float)
    assert gaze_direction(0, 0, ray) == pytest.approx(-ray)
    assert np.linalg.norm(gaze_direction(0.3, 0.4, ray)) == pytest.approx(1)


@pytest.mark.parametrize('distortion', [
    None, np.zeros(5), PLUMB_BOB, RATIONAL, THIN, TILTED], ids=str)
@given(x=st.floats(-1.1, 1.1), y=st.floats(-1.1, 1.1))
def test_ray_round_trips_through_its_pixel(distortion, x, y):
    pixel, _ = cv2.projectPoints(
        np.array([[x, y, 1.0]]), np.zeros(3), np.zeros(3), K, distortion)
    rays, exact = Lens(K, distortion).rays(pixel[0])
    assert exact.all()
    assert rays[0] == pytest.approx(np.array([x, y, 1]) / math.hypot(x, y, 1), abs=1e-5)


@given(angle=st.floats(0, math.radians(84)), around=st.floats(-3.14, 3.14))
def test_fisheye_ray_round_trips_through_its_pixel(angle, around):
    ray = np.array([math.sin(angle) * math.cos(around), math.sin(angle) * math.sin(around),
                    math.cos(angle)])
    pixel, _ = cv2.fisheye.projectPoints(
        ray.reshape(1, 1, 3), np.zeros(3), np.zeros(3), K, FISHEYE)
    rays, exact = Lens(K, FISHEYE, True).rays(pixel[0])
    assert exact.all()
    assert rays[0] == pytest.approx(ray, abs=1e-5)


@pytest.mark.parametrize('degrees', [85, 90, 95, 110])
def test_fisheye_rays_beyond_90_degrees(degrees):
    angle = math.radians(degrees)
    radius = angle + sum(k * angle ** n for k, n in zip(FISHEYE, (3, 5, 7, 9)))
    rays, exact = Lens(K, FISHEYE, True).rays([[K[0, 2] + K[0, 0] * radius, K[1, 2]]])
    assert exact.all()
    assert rays[0] == pytest.approx((math.sin(angle), 0, math.cos(angle)), abs=1e-6)


@pytest.mark.parametrize(('distortion', 'fisheye'), [
    (np.array([-0.3, 0, 0, 0]), False), (np.array([0, -0.05, 0, 0, 0.0]), False),
    (np.array([-0.1, 0, 0, 0]), True)])
def test_pixel_beyond_max_radius_gets_the_nearest_ray_and_is_inexact(distortion, fisheye):
    lens = Lens(K, distortion, fisheye)
    edge = lens.max_radius
    pixels = [[K[0, 2] + K[0, 0] * edge * part, K[1, 2]] for part in (0.5, 0.97, 1.1, 3, 1000)]
    rays, exact = lens.rays(pixels)
    assert exact.tolist() == [True, True, False, False, False]
    assert np.linalg.norm(rays, axis=1) == pytest.approx(1)
    angles = np.arctan2(rays[:, 0], rays[:, 2])
    assert angles[0] < angles[1] <= angles[2] + 1e-9
    assert angles[2:] == pytest.approx(angles[2], abs=0.03)


@pytest.mark.parametrize('lens', [
    Lens(K), Lens(K, PLUMB_BOB), Lens(K, FISHEYE, True)], ids=['pinhole', 'plumb_bob', 'fisheye'])
def test_invalid_pixel_has_no_ray(lens, recwarn):
    pixels = [[math.nan, 3], [3, math.inf], [1e300, 1e300], [300, 200]]
    rays, exact = lens.rays(pixels)
    assert exact.tolist() == [False, False, False, True]
    assert np.isnan(rays[:3]).all()
    assert not recwarn.list


def test_ray_respects_distortion():
    pixels = np.array([[10.0, 20]])
    plain, bent = Lens(K).rays(pixels)[0], Lens(K, PLUMB_BOB).rays(pixels)[0]
    assert not np.allclose(plain, bent, atol=0.01)


@pytest.mark.parametrize('fov', [0.5, 1.05, 2.0])
def test_assumed_camera_sees_its_field_of_view(fov):
    matrix = assumed_camera_matrix(640, 480, fov)
    (left, right, middle), _ = Lens(matrix).rays([[0, 240], [640, 240], [320, 240]])
    assert math.acos(np.dot(left, right)) == pytest.approx(fov)
    assert middle == pytest.approx((0, 0, 1))
    assert matrix[0, 0] == matrix[1, 1]


@pytest.mark.parametrize(('pitch', 'yaw', 'angle'), [
    (0, 0, 0), (0.3, 0, 0.3), (0, -0.3, 0.3), (0, math.pi, math.pi),
    (math.pi / 2, 1, math.pi / 2)])
def test_angle_to_the_lens(pitch, yaw, angle):
    assert angle_to_lens(pitch, yaw) == pytest.approx(angle)


@pytest.mark.parametrize(('pitch', 'yaw', 'dx', 'dy'), [
    (0, 0, 0, 0), (0, 0.1, 1, 0), (0, -0.1, -1, 0), (0.1, 0, 0, -1), (-0.1, 0, 0, 1)])
def test_arrow_points_along_the_gaze_in_the_image(pitch, yaw, dx, dy):
    assert np.sign(arrow(pitch, yaw, 100)) == pytest.approx((dx, dy))
    assert np.hypot(*arrow(pitch, yaw, 100)) == pytest.approx(
        100 * math.sin(angle_to_lens(pitch, yaw)))


@pytest.mark.parametrize(('pitch', 'yaw'), [(math.nan, math.nan), (math.nan, 0), (0, math.nan)])
def test_unknown_angles_stay_unknown(pitch, yaw):
    assert np.isnan(gaze_direction(pitch, yaw, np.array([0.6, 0, 0.8]))).all()
    assert math.isnan(sum(unit_to_angles(angles_to_unit(pitch, yaw))))
    assert math.isnan(sum(arrow(pitch, yaw, 100)))
    assert math.isnan(angle_to_lens(pitch, yaw))


FULL = np.array([[1000.0, 0, 960], [0, 900, 540], [0, 0, 1]])


def test_calibration_scales_to_images_of_the_same_aspect_ratio():
    made = Calibration(FULL, np.zeros(5), 1920, 1080)
    np.testing.assert_array_equal(made.matrix_for(1920, 1080), FULL)
    np.testing.assert_allclose(
        made.matrix_for(640, 360), [[1000 / 3, 0, 320], [0, 300, 180], [0, 0, 1]])
    assert made.matrix_for(640, 480) is None
    np.testing.assert_array_equal(Calibration(FULL, np.zeros(0)).matrix_for(640, 480), FULL)


@pytest.mark.parametrize(('binning', 'roi', 'size', 'u', 'v'), [
    ((2, 2), (0, 0, 0, 0), (960, 540), 2, 2),
    ((2, 1), (0, 0, 0, 0), (960, 1080), 2, 1),
    ((1, 1), (400, 300, 640, 480), (640, 480), 1, 1),
    ((2, 2), (400, 300, 640, 480), (320, 240), 2, 2),
    ((2, 2), (400, 300, 640, 480), (640, 480), 1, 1),  # and enlarged again
    ((4, 2), (401, 301, 641, 481), (160, 240), 4, 2),  # what is left over is not delivered
    ((1, 1), (400, 300, 0, 0), (1520, 780), 1, 1),
])
def test_binning_and_region_are_as_camera_info_defines_them(binning, roi, size, u, v):
    made = Calibration(FULL, np.zeros(5), 1920, 1080, binning=binning, roi=roi)
    delivered = np.array([[0.0, 0], [100, 70], [33.5, 200.25]])
    full = delivered * [u, v] + roi[:2]
    np.testing.assert_allclose(
        Lens(made.matrix_for(*size)).rays(delivered)[0], Lens(FULL).rays(full)[0])


def test_region_of_an_image_of_any_size():
    made = Calibration(FULL, np.zeros(5), binning=(2, 2), roi=(400, 300, 0, 0))
    np.testing.assert_allclose(
        made.matrix_for(123, 45), [[500, 0, 280], [0, 450, 120], [0, 0, 1]])


@pytest.mark.parametrize(('change', 'reason'), [
    ({'matrix': FULL * math.nan}, 'not finite'),
    ({'matrix': FULL * [[-1], [1], [1]]}, 'lengths of -1000'),
    ({'matrix': FULL - [[0, 0, 1e300], [0, 0, 0], [0, 0, 0]]}, 'center of -1e'),
    ({'matrix': FULL * [[0], [1], [1]]}, 'lengths of 0 and 900'),
    ({'matrix': 1e9 * FULL}, 'a center of 9.6e'), ({'matrix': 1e-6 * FULL}, 'expected'),
    ({'distortion': np.array([0.1, math.inf, 0, 0])}, 'not finite'),
    ({'distortion': np.zeros(3)}, 'D has 3'), ({'fisheye': True}, 'D has 5'),
    ({'binning': (0, 1)}, 'binned by'),
    ({'roi': (1900, 0, 100, 100)}, 'is not inside the image of 1920x1080'),
    ({'roi': (0, 1080, 0, 0)}, 'is not inside'), ({'width': -5}, 'is not inside'),
    ({'distortion': np.array([-9.0, 0, 0, 0, 0])}, 'folds'),
])
def test_impossible_calibration_is_refused(change, reason, recwarn):
    good = {'matrix': FULL, 'distortion': np.zeros(5), 'width': 1920, 'height': 1080}
    Calibration(**good)
    with pytest.raises(ValueError, match=reason):
        Calibration(**{**good, **change})
    assert not recwarn.list


def test_lens_is_cached():
    made = Calibration(FULL, PLUMB_BOB, 1920, 1080)
    lens, calibrated = lens_for(made, 640, 360, 1.05)
    assert calibrated
    assert lens_for(made, 640, 360, 1.05)[0] is lens
    assert lens_for(made, 1920, 1080, 1.05)[0] is not lens
    assert lens_for(Calibration(2 * FULL, PLUMB_BOB), 640, 360, 1.05)[0] is not lens
    for other in (lens_for(made, 640, 480, 1.05), lens_for(None, 640, 480, 1.05)):
        assert other[1] is False
        assert other[0].rays([[0, 240]])[0][0] == pytest.approx(
            (-math.sin(0.525), 0, math.cos(0.525)))
