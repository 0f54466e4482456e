"""The fused gaze of synthetic faces: which are known, how sure, and symmetric."""
from dataclasses import replace
import math

from gaze_ros.core.estimators import fusion
from gaze_ros.core.estimators.fusion import (
    fuse,
    MAX_STDDEV,
    MESH_ONLY,
    MIN_OPENNESS,
    visible_share,
    WITH_ADAS,
)
from gaze_ros.core.face_mesh.eyes import Eyes
from gaze_ros.core.face_mesh.head_rotation import angle_between, HeadRotation
from gaze_ros.core.face_mesh.mesh import Mesh
from gaze_ros.core.geometry.camera_model import angles_to_unit
from helpers.mirrored import other_points, OTHER_SHAPES
from hypothesis import assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

#: Both eyes open and clear.
EYES = Eyes((None, None), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (100.0, 100.0), 60.0)
ANGLE = st.floats(-0.6, 0.6)
YAW = st.floats(-1.3, 1.3)
SHARE = st.floats(0, 1)
SHAPES = st.lists(SHARE, min_size=52, max_size=52).map(lambda v: np.array(v, np.float32))


@pytest.fixture(scope='module')
def canonical(face_mesh):
    return face_mesh.canonical


def head_of(pitch=0.0, yaw=0.0, disagreement=math.nan):
    forward = angles_to_unit(pitch, yaw)
    right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    return HeadRotation(np.column_stack([right, np.cross(forward, right), forward]), 8.0,
                        0.1, disagreement)


def mesh_of(canonical, head, presence=25.0, shapes=None):
    """Return a mesh of the mean face whose irises are in the middle of its eyes."""
    vertices = np.vstack([canonical.vertices, np.zeros((10, 3))])
    for iris, corners in ((468, (33, 133)), (473, (263, 362))):
        vertices[iris:iris + 5] = vertices[list(corners)].mean(axis=0)
    points = vertices @ head.rotation.T * [head.scale, -head.scale, -head.scale] + [300, 200, 0]
    return Mesh(points, presence,
                np.zeros(52, np.float32) if shapes is None else shapes)


def gaze_of(canonical, head, eyes=EYES, adas=None, presence=25.0, shapes=None):
    mesh = mesh_of(canonical, head, presence, shapes)
    return fuse(mesh, mesh.points, head, eyes, adas)


def with_eyes(**values):
    return replace(EYES, **values)


def is_unknown(gaze):
    values = math.isnan(gaze.pitch), math.isnan(gaze.yaw), math.isnan(gaze.stddev)
    assert len({*values}) == 1, 'one without the other'
    return values[0]


def test_weights_of_each_angle_add_up():
    for weights in (WITH_ADAS, MESH_ONLY):
        for pairs in (weights.pitch, weights.yaw):
            assert len(pairs) == 4
            assert np.sum(pairs, axis=0).min() > 0.9
            assert np.min(pairs) >= 0
    assert MESH_ONLY.pitch[0] == MESH_ONLY.yaw[0] == (0, 0), 'there is no adas to weigh'


@pytest.mark.parametrize('yaw', [-1.2, -0.5, 0.0, 0.5, 1.2])
@pytest.mark.parametrize('with_adas', [True, False])
def test_straight_eyes_look_where_the_head_does(canonical, yaw, with_adas):
    head = head_of(0.1, yaw)
    gaze = gaze_of(canonical, head, adas=head.rotation[:, 2] if with_adas else None)
    assert math.degrees(angle_between(
        angles_to_unit(gaze.pitch, gaze.yaw), head.rotation[:, 2])) < 12


@given(ANGLE, YAW, ANGLE, YAW, st.floats(-10, 30), SHAPES, st.booleans())
@settings(max_examples=80)
def test_gaze_is_unknown_or_has_a_valid_standard_deviation(
        canonical, pitch, yaw, adas_pitch, adas_yaw, presence, shapes, with_adas):
    gaze = gaze_of(canonical, head_of(pitch, yaw), presence=presence, shapes=shapes,
                   adas=angles_to_unit(adas_pitch, adas_yaw) if with_adas else None)
    if not is_unknown(gaze):
        weights = WITH_ADAS if with_adas else MESH_ONLY
        assert math.radians(weights.base) - 1e-9 <= gaze.stddev < MAX_STDDEV
        assert abs(gaze.pitch) <= math.pi / 2 and abs(gaze.yaw) <= math.pi


@given(ANGLE, YAW, ANGLE, ANGLE, st.floats(-10, 30), SHAPES, SHARE, SHARE, st.booleans())
@settings(max_examples=80)
def test_face_in_the_mirror_has_the_mirrored_gaze(
        canonical, pitch, yaw, adas_pitch, adas_yaw, presence, shapes, left, right, with_adas):
    """But for the zero of the blendshape network, which is not symmetric."""
    eyes = with_eyes(clearness=(left, right))
    in_mirror = with_eyes(clearness=(right, left))
    with pytest.MonkeyPatch.context() as patch:
        for name, weights in (('WITH_ADAS', WITH_ADAS), ('MESH_ONLY', MESH_ONLY)):
            patch.setattr(fusion, name, replace(
                weights, shape_zero=(weights.shape_zero[0], 0.0)))
        first, second = (fuse(
            mesh, mesh.points, head, e,
            angles_to_unit(adas_pitch, sign * adas_yaw) if with_adas else None)
            for sign, head, e, mesh in (
                (1, head_of(pitch, yaw), eyes,
                 mesh_of(canonical, head_of(pitch, yaw), presence, shapes)),
                (-1, head_of(pitch, -yaw), in_mirror, mirror(canonical, mesh_of(
                    canonical, head_of(pitch, yaw), presence, shapes[OTHER_SHAPES])))))
    assume(is_unknown(first) == is_unknown(second))
    if not is_unknown(first):
        assert (second.pitch, -second.yaw, second.stddev) == pytest.approx(
            (first.pitch, first.yaw, first.stddev), abs=1e-5)


def mirror(canonical, mesh):
    return Mesh(mesh.points[other_points(canonical)] * [-1, 1, 1], mesh.presence, mesh.shapes)


@pytest.mark.parametrize('openness', [
    (0.0, 0.0), (MIN_OPENNESS - 0.01, 0.1), (math.nan, 0.2), (math.nan, math.nan)])
def test_gaze_of_shut_eyes_is_unknown(canonical, openness):
    assert is_unknown(gaze_of(canonical, head_of(), with_eyes(openness=openness)))


@pytest.mark.parametrize('openness', [
    (0.0, 0.8), (0.8, 0.0), (math.nan, 0.8), (MIN_OPENNESS, MIN_OPENNESS)])
def test_one_open_eye_is_enough(canonical, openness):
    assert not is_unknown(gaze_of(canonical, head_of(), with_eyes(openness=openness)))


@pytest.mark.parametrize('with_adas', [True, False])
def test_gaze_of_covered_eyes_is_unknown(canonical, with_adas):
    adas = angles_to_unit(0.0, 0.0) if with_adas else None
    for hidden in (with_eyes(clearness=(0.0, 0.0)), with_eyes(inside=(0.0, 0.0))):
        assert is_unknown(gaze_of(canonical, head_of(), hidden, adas))


@pytest.mark.parametrize('with_adas', [True, False])
def test_one_covered_eye_or_half_a_face_doubles_the_standard_deviation(canonical, with_adas):
    adas = angles_to_unit(0.0, 0.0) if with_adas else None
    whole = gaze_of(canonical, head_of(), adas=adas).stddev
    for eyes in (with_eyes(clearness=(0.0, 1.0)), with_eyes(inside=(1.0, 0.0)),
                 with_eyes(face_inside=0.5)):
        assert gaze_of(canonical, head_of(), eyes, adas).stddev >= 2 * whole


@given(SHARE, SHARE, SHARE, SHARE, SHARE, SHARE)
@settings(max_examples=60)
def test_standard_deviation_falls_with_what_is_visible(
        canonical, left, right, face, more_left, more_right, more_face):
    """Unknown is infinitely uncertain."""
    def stddev(one, other, inside):
        gaze = gaze_of(canonical, head_of(), with_eyes(
            clearness=(one, other), face_inside=inside), angles_to_unit(0.0, 0.1))
        return math.inf if is_unknown(gaze) else gaze.stddev

    assert stddev(left, right, face) >= stddev(
        max(left, more_left), max(right, more_right), max(face, more_face)) - 1e-12


def test_standard_deviation_grows_with_doubt(canonical):
    straight = angles_to_unit(0.0, 0.0)

    def stddev(adas=straight, disagreement=0.0, presence=25.0):
        gaze = gaze_of(canonical, head_of(0, 0, disagreement), adas=adas, presence=presence)
        return math.inf if is_unknown(gaze) else gaze.stddev

    by_adas = [stddev(adas=angles_to_unit(0.0, yaw)) for yaw in (0.0, 0.2, 0.5, 1.0)]
    by_head = [stddev(disagreement=angle) for angle in (0.0, 0.1, 0.3)]
    by_presence = [stddev(presence=presence) for presence in (12.0, 5.0, -5.0)]
    for values in (by_adas, by_head, by_presence):
        assert values == sorted(values) and len({*values}) == len(values)
    assert stddev(presence=12.0) == stddev(presence=30.0)
    assert stddev(disagreement=0.6) == math.inf, 'too uncertain: unknown'


def test_gaze_of_an_unclear_face_is_drawn_to_the_head(canonical):
    head = head_of(0.0, 0.3)
    angles = [angle_between(angles_to_unit(gaze.pitch, gaze.yaw), head.rotation[:, 2])
              for gaze in (gaze_of(canonical, head, adas=angles_to_unit(0.0, -0.1),
                                   presence=presence) for presence in (20.0, 5.0, -3.0))]
    assert angles[0] == pytest.approx(angles[1])
    assert angles[2] < 0.9 * angles[1]


def test_head_weighs_more_the_more_it_is_turned(canonical):
    """Eyes of a turned head are hardly visible."""
    shares = []
    for yaw in (0.0, 0.35, 0.9):
        head = head_of(0.0, yaw)
        gaze = gaze_of(canonical, head, adas=angles_to_unit(0.0, yaw - 0.4))
        straight = gaze_of(canonical, head, adas=angles_to_unit(0.0, yaw))
        shares.append((straight.yaw - gaze.yaw) / 0.4)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(WITH_ADAS.yaw[0][0], abs=0.02)
    assert shares[2] == pytest.approx(WITH_ADAS.yaw[0][1] / np.sum(
        WITH_ADAS.yaw, axis=0)[1], abs=0.02)


@given(st.floats(-math.pi / 2, math.pi / 2), SHARE, SHARE)
def test_nearer_eye_weighs_more(yaw, left, right):
    share = visible_share(with_eyes(clearness=(left, right)), yaw)
    low, high = sorted((left, right))
    assert low - 1e-12 <= share <= high + 1e-12
    assert share == pytest.approx(visible_share(with_eyes(clearness=(right, left)), -yaw))


def test_right_eye_is_nearer_in_a_head_turned_to_the_right_of_the_image():
    only_right = with_eyes(clearness=(0.0, 1.0))
    assert visible_share(only_right, 1.2) > 0.9
    assert visible_share(only_right, 0.0) == 0.5
    assert visible_share(only_right, -1.2) < 0.1
