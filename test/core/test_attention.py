"""Attention targets in scenes of synthetic heads and gazes."""
import math
from types import SimpleNamespace

from gaze_ros.core.attention.attention import angles_between, Attention, AttentionTracker, Target
from gaze_ros.core.types import Face, FrameGaze, Gaze
from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pytest

MS = 1_000_000
#: Between two images.
STEP = 40 * MS
CAMERA, ELSEWHERE, UNKNOWN, GONE = (
    Target.CAMERA, Target.ELSEWHERE, Target.UNKNOWN, Target.GONE)
NOWHERE = (0.0, 1.0, 0.0)

#: Heads of people in a room, in the optical frame, meters.
places = st.tuples(st.floats(-2, 2), st.floats(-0.5, 0.5), st.floats(0.7, 4)).map(np.array)


def unit(vector):
    return np.asarray(vector, float) / np.linalg.norm(vector)


def person(track_id, place, at, stddev=0.0, at_camera=False):
    """Return a gaze from a place; at: a point to look at, None for an unknown gaze."""
    place = np.asarray(place, float)
    direction = np.full(3, math.nan) if at is None else unit(np.asarray(at, float) - place)
    return Gaze(track_id, Face((0, 0, 50, 50), 0.9), direction=direction, origin=place,
                range_stddev=stddev, looking_at_camera=at_camera)


class Scene:
    """Feeds images to an AttentionTracker and records its events with their stamps."""

    def __init__(self, calibrated=True, **settings):
        self.tracker = AttentionTracker(**settings)
        self.calibrated = calibrated
        self.stamp = 0
        self.events = []

    def show(self, *gazes, images=20):
        """Return the events of some images, less their own stamps."""
        events = []
        for _ in range(images):
            self.stamp += STEP
            new = self.tracker.update(
                FrameGaze(640, 480, '', list(gazes), calibrated=self.calibrated), self.stamp)
            self.events += [(self.stamp, event) for event in new]
            events += new
        return events


A, B, C = (-0.5, 0.0, 2.0), (0.5, 0.1, 2.2), (0.0, -0.2, 1.5)


@given(places, places)
def test_two_people_facing_each_other_are_mutual(a, b):
    assume(np.linalg.norm(a - b) > 0.2)
    events = Scene().show(person('f1', a, b, 0.1), person('f2', b, a, 0.1))
    assert [(e.track_id, e.target, e.target_id, e.mutual) for e in events] == [
        ('f1', Target.PERSON, 'f2', True), ('f2', Target.PERSON, 'f1', True)]


def test_mutual_needs_both_to_look_at_each_other():
    scene = Scene()
    events = scene.show(person('f1', A, B), person('f2', B, C))
    assert events == [Attention('f1', Target.PERSON, STEP, 'f2'),
                      Attention('f2', ELSEWHERE, STEP)]
    turned = scene.stamp + STEP
    assert scene.show(person('f1', A, B), person('f2', B, A)) == [
        Attention('f1', Target.PERSON, STEP, 'f2', True),
        Attention('f2', Target.PERSON, turned, 'f1', True)]
    away = scene.stamp + STEP
    assert scene.show(person('f1', A, NOWHERE), person('f2', B, A)) == [
        Attention('f1', ELSEWHERE, away), Attention('f2', Target.PERSON, turned, 'f1')]


@given(places, places, st.floats(0, math.pi), st.floats(0, 2 * math.pi))
def test_gaze_outside_the_angle_is_elsewhere(a, b, off, turn):
    assume(np.linalg.norm(a - b) > 0.2 and abs(off - 0.25) > 1e-6)
    to = unit(b - a)
    side = np.linalg.svd(to[None])[2][1:]
    aside = math.cos(turn) * side[0] + math.sin(turn) * side[1]
    at = a + math.cos(off) * to + math.sin(off) * aside
    event, *_ = Scene().show(person('f1', a, at), person('f2', b, None))
    assert event.target is (Target.PERSON if off < 0.25 else ELSEWHERE)


def test_nearest_person_in_angle_is_the_target():
    near, far = (0.5, 0.0, 2.0), (1.0, 0.25, 2.0)
    gazes = person('f2', near, None), person('f3', far, None)
    for at, who in (((0.5, 0.03, 2.0), 'f2'), ((1.0, 0.2, 2.0), 'f3')):
        event, *_ = Scene().show(person('f1', A, at), *gazes)
        assert (event.target, event.target_id) == (Target.PERSON, who)


def test_looking_at_camera_starts_and_ends_immediately():
    scene = Scene()
    gazes = person('f1', A, B, at_camera=True), person('f2', B, None)
    assert scene.show(gazes[0], images=1) == [Attention('f1', CAMERA, STEP)]
    scene.show(*gazes)
    away = scene.show(person('f1', A, NOWHERE), gazes[1], images=1)
    assert away == [Attention('f1', ELSEWHERE, scene.stamp)]
    back = scene.show(*gazes, images=1)
    assert back == [Attention('f1', CAMERA, scene.stamp)]


@pytest.mark.parametrize('at', [None, NOWHERE, C])
@pytest.mark.parametrize('images,counts', [(8, 0), (9, 1)])
def test_change_of_target_needs_the_dwell(at, images, counts):
    scene = Scene(dwell=0.32)
    others = person('f2', B, None), person('f3', C, None)
    scene.show(person('f1', A, B), *others)
    begun = scene.stamp + STEP
    events = scene.show(person('f1', A, at), *others, images=images)
    assert len(events) == counts
    assert all(event.since == begun for event in events)
    assert not counts or scene.events[-1][0] - begun == 320 * MS
    # A change that did not count has no later effect.
    assert len(scene.show(person('f1', A, B), *others)) == counts


def test_wandering_gaze_is_elsewhere_after_twice_the_dwell():
    scene = Scene(dwell=0.2)
    others = person('f2', B, None), person('f3', C, None)
    scene.show(person('f1', A, B), *others)
    left = scene.stamp + STEP
    for _ in range(4):
        scene.show(person('f1', A, C), *others, images=3)
        scene.show(person('f1', A, None), *others, images=3)
    assert scene.events[-1] == (left + 400 * MS, Attention('f1', ELSEWHERE, left))


@pytest.mark.parametrize('first,then', [(0.2, Target.PERSON), (0.28, ELSEWHERE)])
def test_target_is_kept_between_the_limits(first, then):
    def aside(angle):
        return (0.0, math.tan(angle), 2.0)

    scene = Scene()
    other = person('f2', (0, 0, 3.0), None)
    event, *_ = scene.show(person('f1', (0, 0, 2.0), (0, math.tan(first), 3.0)), other)
    assert event.target is then
    assert not scene.show(person('f1', (0, 0, 2.0), (0, math.tan(0.28), 3.0)), other)
    event, = scene.show(person('f1', (0, 0, 2.0), (0, math.tan(0.32), 3.0)), other) or [None]
    assert (event is None) == (then is ELSEWHERE)


def test_gaze_jittering_at_the_limit_still_reaches_the_target():
    scene, other = Scene(), person('f2', (0, 0, 3.0), None)
    scene.show(person('f1', (0, 0, 2.0), NOWHERE), other)
    for angle in [0.24, 0.26] * 5:
        scene.show(person('f1', (0, 0, 2.0), (0, math.tan(angle), 3.0)), other, images=1)
    assert scene.events[-1][1].target is Target.PERSON


def test_person_is_gone_after_a_second_and_no_longer_a_target():
    scene = Scene()
    scene.show(person('f1', A, B), person('f2', B, A))
    last = scene.stamp
    events = scene.show(person('f1', A, B), images=25)
    assert events == []
    assert scene.show(person('f1', A, B), images=1) == [
        Attention('f2', GONE, last), Attention('f1', ELSEWHERE, scene.stamp)]
    assert [a.track_id for a in scene.tracker.present] == ['f1']
    # The gaze node's track_timeout may be longer: the same id can return.
    assert scene.show(person('f1', A, B), person('f2', B, A))[-1].mutual


def test_short_detection_gap_changes_nothing():
    scene = Scene()
    scene.show(person('f1', A, B), person('f2', B, A))
    assert scene.show(person('f1', A, B), images=20) == []
    assert scene.show(person('f1', A, B), person('f2', B, A)) == []


def test_time_out_of_the_image_does_not_count_as_dwell():
    scene = Scene()
    scene.show(person('f1', A, NOWHERE), person('f2', B, None))
    scene.show(person('f1', A, B), person('f2', B, None), images=2)
    scene.show(person('f2', B, None), images=10)
    assert scene.show(person('f1', A, B), person('f2', B, None), images=8) == []
    assert scene.show(person('f1', A, B), person('f2', B, None), images=1)


def test_person_who_only_passes_by_gives_no_event():
    scene = Scene()
    scene.show(person('f1', A, NOWHERE), images=3)
    assert scene.show(images=50) == []


def test_stamp_that_jumps_back_restarts_all_persons():
    scene = Scene()
    scene.show(person('f1', A, B, at_camera=True), person('f2', B, NOWHERE), images=27)
    scene.stamp = 0
    assert scene.show(person('f1', A, B, at_camera=True), images=1) == [
        Attention('f1', GONE, STEP), Attention('f2', GONE, STEP), Attention('f1', CAMERA, STEP)]


@pytest.mark.parametrize(('seconds', 'restart'), [(0.9, False), (1.2, True), (60.0, True)])
def test_long_pause_restarts_all_persons(seconds, restart):
    scene = Scene()
    scene.show(person('f1', A, B, at_camera=True))
    last = scene.stamp
    scene.stamp += round(1e9 * seconds)
    before = scene.tracker.restart_count
    assert scene.show(person('f1', A, B, at_camera=True)) == restart * [
        Attention('f1', GONE, last), Attention('f1', CAMERA, scene.stamp - 19 * STEP)]
    assert scene.tracker.restart_count == before + restart


@pytest.mark.parametrize('back', [STEP, 2 * STEP, 500 * MS, 990 * MS])
def test_small_step_back_changes_nothing(back):
    scene = Scene()
    scene.show(person('f1', A, B, at_camera=True), person('f2', B, NOWHERE), images=30)
    before = scene.tracker.restart_count
    scene.stamp -= back
    assert scene.show(person('f1', A, B, at_camera=True), person('f2', B, NOWHERE)) == []
    assert scene.tracker.restart_count == before


def test_since_is_the_stamp_of_an_image_also_after_a_step_back():
    scene = Scene()
    scene.show(person('f1', A, B), person('f2', B, A), images=30)
    scene.stamp -= 500 * MS
    scene.show(person('f1', A, B), person('f2', B, A))
    left = scene.stamp + STEP
    event, = scene.show(person('f1', A, NOWHERE), person('f2', B, None), images=10)[:1]
    assert (event.target, event.since) == (ELSEWHERE, left)


def test_wrong_year_in_one_stamp_changes_nothing():
    tracker = AttentionTracker()
    events = []
    for i in range(100):
        stamp = 10**18 if i % 20 == 10 else STEP * (i + 1)
        events += tracker.update(
            FrameGaze(640, 480, '', [person('f1', A, B, at_camera=True)]), stamp, STEP * i)
        assert tracker.now.stamp <= STEP * 101
    assert [(e.target, e.since) for e in events] == [(CAMERA, STEP)]


def test_slow_image_rate_does_not_restart_persons():
    scene = Scene()
    for _ in range(10):
        scene.show(person('f1', A, B, at_camera=True), images=1)
        scene.stamp += 2_000_000_000
    # The second image comes after a pause: the slow rate is not known yet.
    assert [event.target for _, event in scene.events] == [CAMERA, GONE, CAMERA]


def test_memory_is_bounded():
    scene = Scene()
    for i in range(500):
        scene.show(person(f'f{i}', A, NOWHERE, at_camera=True), images=1)
    assert len(scene.tracker.present) <= 26
    for i in range(500):  # stamps stand still
        scene.tracker.update(
            FrameGaze(640, 480, '', [person(f'g{i}', A, B, at_camera=True)]), scene.stamp,
            STEP * i)
    assert len(scene.tracker.present) <= 26


def test_without_dwell_each_image_counts():
    scene = Scene(dwell=0.0, hysteresis=0.0)
    for at, target in ((B, Target.PERSON), (NOWHERE, ELSEWHERE), (None, UNKNOWN)):
        event, = [e for e in scene.show(
            person('f1', A, at), person('f2', B, NOWHERE), images=1) if e.track_id == 'f1']
        assert event == Attention('f1', target, scene.stamp, 'f2' * (target is Target.PERSON))


def test_unknown_position_is_not_a_target():
    lost = np.full(3, math.nan)
    scene = Scene()
    one = Gaze('f1', Face((0, 0, 9, 9), 1.0), direction=np.array([1.0, 0, 0]), origin=lost)
    events = scene.show(one, person('f2', B, A), person('f3', B, B + np.array([1e-9, 0, 0])))
    assert {e.track_id: e.target for e in events} == {
        'f1': ELSEWHERE, 'f2': ELSEWHERE, 'f3': ELSEWHERE}


@given(places, places, places, st.floats(0, 0.5), st.floats(0, 0.5))
def test_minimum_angle_equals_a_search(a, b, at, first, second):
    ray = unit(b)
    assume(np.linalg.norm(at - a) > 0.1)
    assume(np.linalg.norm(np.cross(b - a, ray)) > 0.05)
    direction = unit(at - a)
    one, other = (SimpleNamespace(origin=origin, range_stddev=stddev)
                  for origin, stddev in ((a, first), (b, second)))
    measured, least = angles_between([direction], [one], [other])
    span = np.linspace(-1, 1, 2001)[:, None] * math.hypot(first, second)
    to = b - a + span * ray
    cosines = to @ direction / np.linalg.norm(to, axis=1)
    found = np.arccos(np.clip(cosines, -1, 1))
    assert measured[0, 0] == pytest.approx(found[1000], abs=1e-6)
    assert least[0, 0] <= found.min() + 1e-6
    assert least[0, 0] == pytest.approx(found.min(), abs=0.01)


@pytest.mark.parametrize('farther', [-0.25, -0.2, 0.2, 0.25])
@pytest.mark.parametrize('stddev,found', [(0.0, False), (0.12, True)])
def test_range_error_does_not_hide_mutual_gaze(farther, stddev, found):
    """Side by side on a sofa; the range of one is over- or underestimated."""
    a, b = np.array([-0.3, 0, 2.0]), np.array([0.3, 0, 2.0])
    seems = b * (1 + farther / 2)
    events = Scene().show(person('f1', a, b, stddev), person('f2', seems, seems + a - b, stddev))
    assert [e.mutual for e in events] == [found, found]


def test_common_focal_length_error_does_not_widen_the_angle():
    """Without calibration a fifth of each range is an error common to both."""
    a, b = np.array([-0.3, 0, 2.0]), np.array([0.3, 0, 2.3])
    level = a + np.array([1.0, 0, 0])
    found = {}
    for calibrated in (True, False):
        stddevs = (0.2 * np.linalg.norm(place) for place in (a, b))
        one, two = (person(name, place, at, stddev) for (name, place, at), stddev in zip(
            (('f1', a, level), ('f2', b, None)), stddevs))
        event, *_ = Scene(calibrated).show(one, two)
        found[calibrated] = event.target
    assert found == {True: Target.PERSON, False: ELSEWHERE}
