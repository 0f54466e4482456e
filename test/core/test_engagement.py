"""Engagement of synthetic people who come, look, glance aside and leave."""
import math

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.attention.engagement import EngagementTracker, faces_robot, Level
from gaze_ros.core.attention.targets import Hit
from gaze_ros.core.attention.targets import Target as Object
from gaze_ros.core.geometry.incidence import Incidence, Sphere
from gaze_ros.core.stream_time import Instant
from gaze_ros.core.types import Face, FrameGaze, Gaze
import numpy as np
import pytest

STEP = 100_000_000


class Scene:
    """One person, 10 images per second."""

    def __init__(self, **settings):
        self.tracker, self.count = EngagementTracker(**settings), 0

    def show(self, looks, distance=1.0, head_yaw=0.0, images=1, seen=True, head_stddev=0.1):
        """Return the levels; looks: whether the person looks at the robot."""
        levels = []
        for _ in range(images):
            self.count += 1
            gaze = Gaze('f1', Face((0, 0, 50, 50), 0.9), origin=np.array([0, 0, distance]),
                        head_pitch=0.0, head_yaw=head_yaw, head_stddev=head_stddev)
            target = looks if isinstance(looks, Attention) else Attention(
                'f1', Target.CAMERA if looks else Target.ELSEWHERE, 0)
            levels.append(self.tracker.update(
                FrameGaze(640, 480, '', [gaze] if seen else []), [target],
                Instant(self.count * STEP, self.count * STEP))['f1'])
        return levels


def test_person_who_looks_long_enough_is_engaged_and_leaves_in_steps():
    scene = Scene(duration=0.5)
    assert scene.show(False) == [Level.DISENGAGED]
    assert scene.show(True, images=7) == [Level.ENGAGING] * 5 + [Level.ENGAGED] * 2
    # Glances aside, but still faces the robot.
    assert set(scene.show(False, head_yaw=0.3, images=20)) == {Level.ENGAGED}
    away = scene.show(False, head_yaw=1.2, images=7)
    assert away == [Level.DISENGAGING] * 5 + [Level.DISENGAGED] * 2
    # To face the robot does not suffice to be engaged again.
    assert set(scene.show(False, head_yaw=0.0, images=20)) == {Level.DISENGAGED}


def test_short_look_does_not_engage_and_short_turn_does_not_disengage():
    scene = Scene(duration=0.5)
    scene.show(True, images=4)
    assert scene.show(False) == [Level.DISENGAGED]
    scene.show(True, images=10)
    assert set(scene.show(False, head_yaw=1.2, images=4)) == {Level.DISENGAGING}
    assert scene.show(True) == [Level.ENGAGED]


@pytest.mark.parametrize('distance,level', [(1.9, Level.ENGAGED), (2.1, Level.DISENGAGED)])
def test_distance_decides(distance, level):
    assert Scene(distance=2.0).show(True, distance, images=30)[-1] is level


def test_engaged_person_may_step_back_a_little():
    scene = Scene(distance=2.0, duration=0.5)
    scene.show(True, images=10)
    assert scene.show(True, 2.4, images=10)[-1] is Level.ENGAGED
    assert scene.show(True, 2.6, images=10)[-1] is Level.DISENGAGED


def test_look_at_a_part_of_the_robot_counts():
    def at(robot):
        hit = Hit(Object('head', Sphere(np.zeros(3)), robot=robot), Incidence(1, 1, np.zeros(3)))
        return Attention('f1', Target.OBJECT, 0, 'head', hit=hit)

    assert Scene().show(at(True), images=30)[-1] is Level.ENGAGED
    assert Scene().show(at(False), images=30)[-1] is Level.DISENGAGED


def test_unknown_position_is_unknown_and_missed_person_keeps_the_level():
    scene = Scene(duration=0.5)
    assert scene.show(True, math.nan) == [Level.UNKNOWN]
    scene.show(True, images=10)
    assert set(scene.show(True, seen=False, images=10)) == {Level.ENGAGED}
    assert scene.tracker.update(FrameGaze(640, 480, '', []), [], Instant(10**12, 0)) == {}


@pytest.mark.parametrize('yaw,stddev,faces', [
    (0.5, 0.05, True), (0.7, 0.05, False), (0.5, 0.85, False), (math.nan, 0.1, False),
    (0.5, math.nan, True)])
def test_face_toward_the_robot_takes_its_uncertainty_into_account(yaw, stddev, faces):
    gaze = Gaze('f1', Face((0, 0, 50, 50), 0.9), head_pitch=0.0, head_yaw=yaw, head_stddev=stddev)
    assert faces_robot(gaze) == faces
