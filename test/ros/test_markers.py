"""Markers of people."""
import math

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.ros.publishers.markers import (
    ARROW_LENGTH,
    AT_CAMERA,
    ELSEWHERE,
    FACE,
    GAZE,
    ID,
    marker_id,
    MarkerBuilder,
    MUTUAL,
    UNKNOWN,
)
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

TOWARD = Rotation.from_matrix(np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])).as_quat()
HEADER = Header(frame_id='cam_optical')
HEADER.stamp.sec = 7


def gaze(track_id='f1', direction=(0.6, 0, -0.8), origin=(0.1, -0.2, 1.5), at_camera=False):
    return Gaze(track_id, Face((0, 0, 50, 50), 0.9), direction=np.array(direction, float),
                looking_at_camera=at_camera, origin=np.array(origin, float), orientation=TOWARD)


def markers(*gazes, attentions=(), builder=None):
    frame = FrameGaze(640, 480, '', list(gazes))
    return (builder or MarkerBuilder()).build(frame, HEADER, attentions).markers


def by_kind(found):
    return {marker.ns: marker for marker in found}


def xyz(point):
    return point.x, point.y, point.z


def test_person_has_a_head_an_arrow_and_an_id():
    found = by_kind(markers(gaze()))
    assert set(found) == {FACE, GAZE, ID}
    for marker in found.values():
        assert marker.header == HEADER
        assert (marker.action, marker.id) == (Marker.ADD, marker_id('f1'))
        assert 0 < marker.lifetime.sec + 1e-9 * marker.lifetime.nanosec <= 1
    assert (found[FACE].type, found[GAZE].type, found[ID].type) == (
        Marker.SPHERE, Marker.ARROW, Marker.TEXT_VIEW_FACING)
    start, end = (np.array(xyz(p)) for p in found[GAZE].points)
    np.testing.assert_allclose(start, (0.1, -0.2, 1.5))
    np.testing.assert_allclose(end - start, ARROW_LENGTH * np.array([0.6, 0, -0.8]))
    assert found[ID].text == 'f1'


def test_head_is_behind_the_eyes_and_the_id_above():
    found = by_kind(markers(gaze()))
    np.testing.assert_allclose(xyz(found[FACE].pose.position), (0.1, -0.2, 1.59), atol=1e-9)
    assert found[FACE].pose.position.z > 1.5, 'it faces the lens'
    assert (found[ID].pose.position.x, found[ID].pose.position.z) == (0.1, 1.5)
    assert found[ID].pose.position.y < -0.3, 'y is down'
    # Height is along the face's z, which is up: -y of the camera.
    q = found[FACE].pose.orientation
    up = Rotation.from_quat([q.x, q.y, q.z, q.w]).apply([0, 0, 1])
    np.testing.assert_allclose(up, (0, -1, 0), atol=1e-9)
    assert found[FACE].scale.z > found[FACE].scale.x > found[FACE].scale.y


@pytest.mark.parametrize('direction,at_camera,colour,kinds', [
    ((0, 0, -1), True, AT_CAMERA, {FACE, GAZE, ID}),
    ((0, 0, -1), False, ELSEWHERE, {FACE, GAZE, ID}),
    ((math.nan,) * 3, False, UNKNOWN, {FACE, ID})])
def test_colours(direction, at_camera, colour, kinds):
    found = by_kind(markers(gaze(direction=direction, at_camera=at_camera)))
    assert set(found) == kinds
    for marker in found.values():
        assert (marker.color.r, marker.color.g, marker.color.b) == (colour.r, colour.g, colour.b)
        assert marker.color.a > 0


def test_eye_contact_is_one_line():
    attentions = [Attention('f1', Target.PERSON, 0, 'f2', True),
                  Attention('f2', Target.PERSON, 0, 'f1', True),
                  Attention('f3', Target.PERSON, 0, 'f1', False)]
    people = gaze('f1'), gaze('f2', origin=(0.9, 0, 2)), gaze('f3', origin=(0, 0, 3))
    line, = [m for m in markers(*people, attentions=attentions) if m.ns == MUTUAL]
    assert line.type == Marker.LINE_LIST
    assert [xyz(p) for p in line.points] == [(0.1, -0.2, 1.5), (0.9, 0, 2)]
    # One of them was not detected in this image.
    assert not [m for m in markers(people[0], attentions=attentions) if m.ns == MUTUAL]


def test_markers_of_a_lost_face_are_deleted_once():
    builder = MarkerBuilder()
    attentions = [Attention('f1', Target.PERSON, 0, 'f2', True),
                  Attention('f2', Target.PERSON, 0, 'f1', True)]
    first = markers(gaze('f1'), gaze('f2'), attentions=attentions, builder=builder)
    shown = {(m.ns, m.id) for m in first}
    assert len(shown) == len(first) == 7
    second = markers(gaze('f2'), builder=builder)
    kept = {(m.ns, m.id) for m in second if m.action == Marker.ADD}
    deleted = [(m.ns, m.id) for m in second if m.action == Marker.DELETE]
    assert set(deleted) == shown - kept and len(deleted) == 4
    assert all(m.action == Marker.ADD for m in markers(gaze('f2'), builder=builder))
    builder.reset()
    assert markers(builder=builder) == []


def test_arrow_of_a_lost_gaze_is_deleted():
    builder = MarkerBuilder()
    markers(gaze(), builder=builder)
    deleted, = [m for m in markers(gaze(direction=(math.nan,) * 3), builder=builder)
                if m.action == Marker.DELETE]
    assert (deleted.ns, deleted.id) == (GAZE, marker_id('f1'))


def test_face_without_a_position_has_no_markers():
    assert markers(gaze(origin=(math.nan,) * 3)) == []


def test_marker_ids_are_stable_and_unique():
    names = [f'{prefix}{i}' for prefix in ('f', 'front', 'cam2_') for i in range(1, 400)]
    numbers = {marker_id(name) for name in names}
    assert len(numbers) == len(names)
    assert min(numbers) >= 0 and max(numbers) < 2 ** 31
