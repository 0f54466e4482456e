"""Targets of a file, and attention to them, in synthetic scenes."""
import math

from gaze_ros.core.attention.attention import AttentionTracker
from gaze_ros.core.attention.attention import Target as Kind
from gaze_ros.core.attention.targets import best_hit, load_targets, parse_targets, Pose, Target
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.incidence import Rectangle, Sphere
from gaze_ros.core.geometry.rotations import rotation_from_quaternion, rotation_from_rpy
from gaze_ros.core.types import Face, FrameGaze, Gaze
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

STEP = 40_000_000
EYES = np.array([0.0, 0.0, 1.5])


def person(at, track_id='f1', origin=EYES, stddev=0.1, at_camera=False):
    to = np.asarray(at, float) - origin
    return Gaze(track_id, Face((0, 0, 50, 50), 0.9), direction=to / np.linalg.norm(to),
                origin=np.asarray(origin, float), range_stddev=0.05, stddev=stddev,
                looking_at_camera=at_camera)


def test_eyes_are_not_at_what_they_are_in():
    assert best_hit(person((0, 0, 0)), [Target('me', Sphere(EYES + (0, 0.1, 0), 0.3))], 0.15
                    ) is None


class Scene:
    """Feeds images, 25 per second."""

    def __init__(self, *objects, **settings):
        self.tracker, self.objects, self.stamp = AttentionTracker(**settings), objects, 0

    def show(self, *gazes, images=20):
        events = []
        for _ in range(images):
            self.stamp += STEP
            events += self.tracker.update(
                FrameGaze(640, 480, '', list(gazes), calibrated=True), self.stamp,
                objects=self.objects)
        return [(e.track_id, e.target, e.target_id) for e in events]


CUP = Target('cup', Sphere(np.array([-0.5, 0.3, 1.0]), 0.04))
BOOK = Target('book', Sphere(np.array([0.5, 0.3, 1.0])))
TABLE = Target('table', Rectangle(
    np.array([0.0, 0.4, 1.0]), rotation_from_rpy(math.pi / 2, 0, 0), (1.6, 1.0)))
SCREEN = Target('screen', Rectangle(
    np.array([0.0, 0.2, 0.3]), rotation_from_rpy(0, math.pi, 0), (0.6, 0.4), True), '',
    (1920, 1280))


def test_gaze_at_objects_becomes_events_with_dwell():
    scene = Scene(CUP, BOOK)
    assert scene.show(person(CUP.shape.center)) == [('f1', Kind.OBJECT, 'cup')]
    # A glance is shorter than the dwell.
    assert scene.show(person(BOOK.shape.center), images=6) == []
    assert scene.show(person(CUP.shape.center)) == []
    assert scene.show(person(BOOK.shape.center)) == [('f1', Kind.OBJECT, 'book')]
    assert scene.show(person((0, -1, 1))) == [('f1', Kind.ELSEWHERE, '')]
    assert scene.tracker.present[0].hit is None
    assert scene.show(person(CUP.shape.center, at_camera=True)) == [('f1', Kind.CAMERA, '')]


def test_uncertain_gaze_is_at_no_object():
    scene = Scene(CUP)
    assert scene.show(person(CUP.shape.center, stddev=0.4)) == [('f1', Kind.ELSEWHERE, '')]


def test_current_object_is_kept_between_the_limits():
    near, far = CUP.shape.center + (0, -0.11, 0), CUP.shape.center + (0, -0.145, 0)
    scene = Scene(Target('cup', Sphere(CUP.shape.center)), hysteresis=0.08)
    assert scene.show(person(far, stddev=0.05)) == [('f1', Kind.ELSEWHERE, '')]
    assert scene.show(person(near, stddev=0.05))[-1:] == [('f1', Kind.OBJECT, 'cup')]
    assert scene.show(person(far, stddev=0.05)) == []


def test_small_object_comes_before_the_large_one_behind_it():
    assert best_hit(person(CUP.shape.center), (TABLE, CUP), 0.15).target.name == 'cup'
    assert best_hit(person((0.1, 0.4, 1.0)), (TABLE, CUP), 0.15).target.name == 'table'


def test_person_before_a_screen_comes_before_it_and_the_screen_beside_the_person():
    wall = Target('wall', Rectangle(
        np.array([1.0, 0.0, 1.5]), rotation_from_rpy(0, math.pi / 2, 0), (3.0, 3.0)))
    other = person((1, 0.9, 1.7), 'f2', origin=np.array([0.8, 0.0, 1.5]))
    events = Scene(wall).show(person(other.origin), other)
    assert ('f1', Kind.PERSON, 'f2') in events
    assert ('f1', Kind.OBJECT, 'wall') in Scene(wall).show(person((1, 0.5, 2.2)), other)


def test_object_that_is_the_robot_is_at_the_robot():
    head = Target('head', Sphere(np.array([0.0, -0.5, 0.0]), 0.15), robot=True)
    scene = Scene(head)
    scene.show(person(head.shape.center))
    assert scene.tracker.present[0].at_robot
    other = Scene(CUP)
    other.show(person(CUP.shape.center))
    assert not other.tracker.present[0].at_robot


@given(st.floats(-0.49, 0.49), st.floats(-0.49, 0.49))
def test_pixel_on_a_screen_is_exact(x, y):
    # Its axes for a viewer who looks toward the camera: x of the screen is -x of the image.
    at = SCREEN.shape.center + (-0.6 * x, 0.4 * y, 0)
    hit = best_hit(person(at), [SCREEN], 0.15)
    assert SCREEN.pixel(hit.incidence.position) == pytest.approx(
        (1920 * (x + 0.5), 1280 * (y + 0.5)), abs=1e-3)
    assert all(map(math.isnan, TABLE.pixel(hit.incidence.position)))


def test_glance_aside_and_a_missed_face_are_at_no_place_of_the_object():
    scene = Scene(CUP)
    scene.show(person(CUP.shape.center))
    assert scene.tracker.at_objects == {'f1'}
    for gazes in ((person((0, -1, 1)),), ()):
        scene.show(*gazes, images=2)
        assert scene.tracker.present[0].target is Kind.OBJECT
        assert scene.tracker.at_objects == set()


def test_place_on_an_object_follows_the_gaze_without_events():
    scene = Scene(SCREEN)
    scene.show(person(SCREEN.shape.center))
    assert scene.show(person(SCREEN.shape.center + (0.2, 0, 0))) == []
    assert scene.tracker.present[0].hit.incidence.position == pytest.approx((-1 / 3, 0))


@given(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3))
def test_placed_target_is_transformed(roll, pitch, yaw):
    rotation = rotation_from_rpy(roll, pitch, yaw)
    moved = TABLE.placed(Pose(rotation, np.array([1.0, 2, 3])))
    assert moved.shape.center == pytest.approx(rotation @ TABLE.shape.center + [1, 2, 3])
    assert moved.shape.axes == pytest.approx(rotation @ TABLE.shape.axes)
    assert CUP.placed(Pose(rotation, np.zeros(3))).shape.radius == 0.04


def test_rotations_agree_with_scipy():
    from scipy.spatial.transform import Rotation
    for rpy in np.random.default_rng(0).uniform(-3, 3, (20, 3)):
        known = Rotation.from_euler('xyz', rpy)
        assert rotation_from_rpy(*rpy) == pytest.approx(known.as_matrix())
        assert rotation_from_quaternion(known.as_quat()) == pytest.approx(known.as_matrix())


def test_file_of_the_documentation_is_read(tmp_path):
    from helpers.processes import ROOT
    text = (ROOT / 'docs' / 'targets.md').read_text().split('```yaml\n')[1].split('```')[0]
    path = tmp_path / 'targets.yaml'
    path.write_text(text)
    cup, ball, painting, tablet, head = load_targets(str(path))
    assert (cup.frame, cup.shape.radius, ball.shape.radius) == ('table', 0.0, 0.1)
    assert not painting.shape.one_sided and tablet.shape.one_sided
    assert tablet.resolution == (1920, 1200) and head.robot and not cup.robot
    # As the text says: x of the frame points out of the plane, z up.
    assert tablet.shape.axes == pytest.approx(
        np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]), abs=1e-4)
    assert load_targets('') == []


@pytest.mark.parametrize('entry,words', [
    ({}, 'name is'), ({'name': ''}, 'name is'), ({'name': 3}, 'name is'), ('cup', 'expected keys'),
    ({'name': 'a', 'radius': -1}, 'radius is -1'), ({'name': 'a', 'radius': True}, 'radius'),
    ({'name': 'a', 'radius': math.nan}, 'radius'), ({'name': 'a', 'colour': 1}, "'colour'"),
    ({'name': 'a', 'position': [1, 2]}, 'list of 3 numbers'),
    ({'name': 'a', 'position': [1, 2, math.inf]}, 'list of 3 numbers'),
    ({'name': 'a', 'position': 'here'}, 'list of 3 numbers'),
    ({'name': 'a', 'size': [0, 1]}, 'above 0'),
    ({'name': 'a', 'size': [1, 1], 'radius': 1}, 'one'),
    ({'name': 'a', 'resolution': [10, 10]}, 'needs a size'),
    ({'name': 'a', 'size': [1, 1], 'resolution': [0, 10]}, 'at least 1 pixel'),
    ({'name': 'a', 'frame': 1}, 'TF frame'), ({'name': 'a', 'robot': 'yes'}, 'true or false')])
def test_wrong_entries_are_refused_by_name(entry, words):
    with pytest.raises(ValueError, match=words) as error:
        parse_targets({'targets': [{'name': 'good'}, entry]})
    assert str(error.value).startswith('target 2')


def test_wrong_files_are_refused(tmp_path):
    for content in (None, [], {'targets': None}, {'target': []}):
        with pytest.raises(ValueError, match="key 'targets'"):
            parse_targets(content)
    with pytest.raises(ValueError, match='another target has this name'):
        parse_targets({'targets': [{'name': 'a'}, {'name': 'a'}]})
    with pytest.raises(ValueError, match='at most 100'):
        parse_targets({'targets': [{'name': str(i)} for i in range(101)]})
    for name, text in (('missing.yaml', None), ('no.yaml', '{'), ('binary.yaml', '\x00')):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(GazeRosError, match=name):
            load_targets(str(tmp_path / name))
