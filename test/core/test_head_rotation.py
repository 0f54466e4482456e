"""Rotations of heads recovered from meshes of the mean face, and their standard deviation."""
import math

import cv2
from gaze_ros.core.face_mesh.head_rotation import (
    angle_between,
    BASE_STDDEV,
    CLEAR,
    CLEAR_UPSIDE_DOWN,
    estimate_head_rotation,
    procrustes,
    rotate_in_image,
    rotation_between,
    straighten,
    STRETCH,
    STRETCH_FROM,
    UPSIDE_DOWN_STDDEV,
)
from gaze_ros.core.face_mesh.mesh import region_of_box
from gaze_ros.core.geometry.camera_model import angles_to_unit, Lens, unit_to_angles, view_frame
from gaze_ros.core.geometry.rotations import head_angles
from helpers.mirrored import other_points
from hypothesis import assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

ANGLE = st.floats(-1.4, 1.4)
ROLL = st.floats(-3.1, 3.1)


@pytest.fixture(scope='module')
def canonical(face_mesh):
    return face_mesh.canonical


def rotation(pitch, yaw, roll):
    """Return the rotation of a head with these angles in radians, shape (3, 3)."""
    forward = angles_to_unit(pitch, yaw)
    right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    up = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    return np.column_stack([right * c - up * s, up * c + right * s, forward])


def mesh_of(canonical, head, scale, at=(300.0, 200.0)):
    """Return the mesh (478, 3) of the mean face; its irises are not used."""
    vertices = np.vstack([canonical.vertices, np.zeros((10, 3))])
    return vertices @ head.T * [scale, -scale, -scale] + [*at, 0.0]


@settings(max_examples=60)
@given(ANGLE, ANGLE, ROLL, st.floats(2, 60))
def test_procrustes_recovers_rotation_and_scale(canonical, pitch, yaw, roll, scale):
    found, found_scale = procrustes(
        mesh_of(canonical, rotation(pitch, yaw, roll), scale), canonical)
    np.testing.assert_allclose(found, rotation(pitch, yaw, roll), atol=1e-6)
    assert found_scale == pytest.approx(scale)
    assert head_angles(found)[:2] == pytest.approx((pitch, yaw), abs=1e-6)
    assert math.cos(head_angles(found)[2] - roll) == pytest.approx(1)


@settings(max_examples=60)
@given(ANGLE, ANGLE, ROLL, st.integers(0, 2**32 - 1))
def test_procrustes_of_noise_is_a_rotation(canonical, pitch, yaw, roll, seed):
    """Never a mirror image."""
    noise = np.random.default_rng(seed).normal(0, 60, (478, 3))
    found, _ = procrustes(
        mesh_of(canonical, rotation(pitch, yaw, roll), 10.0) + noise, canonical)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found) == pytest.approx(1)


@settings(max_examples=60)
@given(ANGLE, ANGLE, ROLL)
def test_mesh_in_the_mirror_has_the_mirrored_rotation(canonical, pitch, yaw, roll):
    points = mesh_of(canonical, rotation(pitch, yaw, roll), 10.0)
    mirrored = points[other_points(canonical)] * [-1, 1, 1]
    found = head_angles(procrustes(mirrored, canonical)[0])
    assert found[:2] == pytest.approx((pitch, -yaw), abs=0.01)
    assert math.cos(found[2] + roll) > 0.999


@given(st.floats(-math.pi, math.pi))
def test_rotation_in_the_image_adds_to_the_roll(roll):
    head = rotation(0.3, -0.4, 0.2)
    turned = np.column_stack([rotate_in_image(column, roll) for column in head.T])
    back = np.column_stack([rotate_in_image(column, -roll) for column in turned.T])
    np.testing.assert_allclose(back, head, atol=1e-12)
    straight = np.column_stack([rotate_in_image(column, roll) for column in np.eye(3)])
    assert math.cos(head_angles(straight)[2] - roll) == pytest.approx(1)


def test_rotation_in_the_image_is_clockwise():
    assert rotate_in_image(np.array([0.0, 1.0, 0.5]), math.pi / 2) == pytest.approx((1, 0, 0.5))


@given(ANGLE, st.floats(-3.1, 3.1), ANGLE, st.floats(-3.1, 3.1))
def test_rotation_between_turns_one_onto_the_other(pitch, yaw, other_pitch, other_yaw):
    a, b = angles_to_unit(pitch, yaw), angles_to_unit(other_pitch, other_yaw)
    assume(a @ b > -0.999)
    turn = rotation_between(a, b)
    np.testing.assert_allclose(turn @ a, b, atol=1e-7)
    angle = math.acos(min(max((np.trace(turn) - 1) / 2, -1.0), 1.0))
    assert angle == pytest.approx(angle_between(a, b), abs=1e-6), 'the smallest rotation'


@given(ANGLE, ANGLE, st.floats(0.1, 9))
def test_angle_between_vectors_of_any_length(pitch, yaw, length):
    a = angles_to_unit(pitch, yaw)
    assert angle_between(a, length * a) == pytest.approx(0, abs=1e-7)
    assert angle_between(a, -length * a) == pytest.approx(math.pi)
    assert angle_between(np.array([0, 0, length]), a) == pytest.approx(
        math.acos(math.cos(pitch) * math.cos(yaw)), abs=1e-6)


@pytest.mark.parametrize('away', [-0.7, 0.0, 0.7])
@pytest.mark.parametrize('down', [-0.4, 0.0, 0.4])
def test_head_is_recovered_anywhere_in_a_wide_camera(canonical, away, down):
    """Up to 45 degrees off the optical axis, from pixels and a z of the size in the image."""
    focal = 400.0
    lens = Lens(np.array([[focal, 0, 320], [0, focal, 240], [0, 0, 1]]))
    ray = np.array([math.sin(away), math.tan(down), math.cos(away)])
    ray /= np.linalg.norm(ray)
    vertices = np.vstack([canonical.vertices, np.zeros((10, 3))])
    straightened, as_seen = [], []
    for pitch, yaw, roll in ((0, 0, 0), (0.3, 0, 0), (-0.3, 0.5, 0), (0, -0.8, 0.4)):
        head = rotation(pitch, yaw, roll)
        measured = vertices @ head.T * [1, -1, -1]
        in_camera = (measured + [0, 0, 600.0]) @ view_frame(ray)
        pixels = in_camera[:, :2] / in_camera[:, 2:] * focal + [320, 240]
        scale = math.sqrt(pixels.var(axis=0).sum() / measured[:, :2].var(axis=0).sum())
        points = np.column_stack([pixels, measured[:, 2] * scale])
        for found, errors in ((straighten(points, lens), straightened), (points, as_seen)):
            errors.append(math.degrees(np.linalg.norm(cv2.Rodrigues(
                procrustes(found, canonical)[0].T @ head)[0])))
    assert max(straightened) < 2
    if away and down:
        assert max(as_seen) > 5


def test_straightening_keeps_the_size(canonical):
    """Near the axis it changes nothing but the origin."""
    lens = Lens(np.array([[900.0, 0, 300], [0, 900, 200], [0, 0, 1]]))
    points = mesh_of(canonical, rotation(0.2, 0.3, 0.1), 8.0)
    found = straighten(points, lens)
    np.testing.assert_array_equal(found[:, 2], points[:, 2])
    apart = (found - found.mean(axis=0)) - (points - points.mean(axis=0))
    assert np.abs(apart).max() < 0.02 * np.ptp(points[:, 0])


@settings(max_examples=60)
@given(st.floats(-1.2, 1.2), ANGLE, ROLL)
def test_large_yaws_are_stretched(canonical, pitch, yaw, roll):
    head = rotation(pitch, yaw, roll)
    found = estimate_head_rotation(mesh_of(canonical, head, 9.0), 25.0, canonical)
    expected = yaw + math.copysign(STRETCH * max(abs(yaw) - STRETCH_FROM, 0), yaw)
    assert unit_to_angles(found.rotation[:, 2]) == pytest.approx((pitch, expected), abs=1e-6)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-9)
    assert found.stddev == pytest.approx(BASE_STDDEV)
    assert math.isnan(found.disagreement)


@settings(max_examples=60)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1),
       st.floats(-10, 30))
def test_network_draws_the_head_the_more_the_less_clear_the_mesh_is(
        canonical, pitch, yaw, other_pitch, other_yaw, presence):
    points = mesh_of(canonical, rotation(pitch, yaw, 0.0), 9.0)
    network = other_pitch, other_yaw
    clear, found = (estimate_head_rotation(points, p, canonical, network)
                    for p in (max(presence, CLEAR), presence))
    other = angles_to_unit(*network)
    assert clear.disagreement == found.disagreement == pytest.approx(
        angle_between(angles_to_unit(pitch, yaw), other), abs=1e-6)
    assert found.stddev >= clear.stddev >= BASE_STDDEV
    if max(abs(yaw), abs(other_yaw)) < STRETCH_FROM:
        to_network = [angle_between(f.rotation[:, 2], other) for f in (found, clear)]
        assert to_network[0] <= to_network[1] + 1e-6 <= found.disagreement + 2e-6


def test_standard_deviation_grows_with_doubt(canonical):
    points = mesh_of(canonical, rotation(0.1, 0.2, 0.0), 9.0)

    def stddev(presence, network=None):
        return estimate_head_rotation(points, presence, canonical, network).stddev

    assert stddev(25.0) == stddev(CLEAR) < stddev(5.0) < stddev(-5.0)
    assert stddev(25.0, (0.1, 0.2)) < stddev(25.0, (0.1, 0.4)) < stddev(25.0, (0.1, 0.9))
    assert stddev(0.0, (0.1, 0.2)) < stddev(0.0), 'an agreeing network makes it smaller'
    points = mesh_of(canonical, rotation(0.1, 0.2, 3.0), 9.0)
    assert stddev(CLEAR_UPSIDE_DOWN) == BASE_STDDEV
    assert stddev(CLEAR_UPSIDE_DOWN - 0.5) > UPSIDE_DOWN_STDDEV, 'it may be an upright one'


def test_head_of_a_photograph_faces_the_lens(face_mesh, astronaut):
    image, box = astronaut
    mesh, = face_mesh.find(image, [region_of_box(box)])
    head = estimate_head_rotation(mesh.points, mesh.presence, face_mesh.canonical)
    pitch, yaw, roll = np.degrees(head_angles(head.rotation))
    assert abs(pitch) < 15 and abs(yaw) < 6 and abs(roll) < 6
    # A face of 14 cm in a box of 100 pixels.
    assert 5 < head.scale < 9
