"""Whom to look at, in scenes of synthetic people."""
import math

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.attention.focus import CRITERIA, DEFAULT_RULE, FocusSelector, Reason
from gaze_ros.core.parameters import PEOPLE
from gaze_ros.core.stream_time import Instant
from gaze_ros.core.types import Face, FrameGaze, Gaze
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

STEP = 100_000_000


def person(track_id, place, size=50):
    return Gaze(track_id, Face((0, 0, size, size), 0.9), origin=np.asarray(place, float))


def attention(track_id, target=Target.ELSEWHERE, at='', mutual=False):
    return Attention(track_id, target, 0, at, mutual)


class Scene:
    """Feeds images, 10 per second."""

    def __init__(self, **settings):
        self.selector = FocusSelector(**settings)
        self.count = 0

    def show(self, *people, images=1, **attentions):
        """Return the focus of some images; everyone looks elsewhere unless given."""
        result = []
        for _ in range(images):
            self.count += 1
            result.append(self.selector.update(
                FrameGaze(640, 480, '', list(people)),
                [attentions.get(p.track_id, attention(p.track_id)) for p in people],
                Instant(self.count * STEP, self.count * STEP)))
        return result


NEAR, MIDDLE, FAR = person('f1', (0.3, 0, 1)), person('f2', (0, 0, 1.5)), person('f3', (0, 1, 3))
AT_CAMERA = attention('f3', Target.CAMERA)
MUTUAL = attention('f2', Target.PERSON, 'f4', True)


@pytest.mark.parametrize('rule,states,who,reason', [
    (DEFAULT_RULE, {}, 'f1', Reason.NEAREST),
    (DEFAULT_RULE, {'f2': MUTUAL}, 'f2', Reason.MUTUAL),
    (DEFAULT_RULE, {'f2': MUTUAL, 'f3': AT_CAMERA}, 'f3', Reason.AT_ROBOT),
    ('mutual,at_robot', {'f2': MUTUAL, 'f3': AT_CAMERA}, 'f2', Reason.MUTUAL),
    ('nearest', {'f2': MUTUAL, 'f3': AT_CAMERA}, 'f1', Reason.NEAREST),
    ('largest', {'f3': AT_CAMERA}, 'f4', Reason.LARGEST),
    ('at_robot', {}, 'f1', Reason.NONE)])
def test_rule_decides(rule, states, who, reason):
    large = person('f4', (0, 0, 5), size=90)
    focus, = Scene(rule=rule).show(NEAR, MIDDLE, FAR, large, **states)
    assert (focus.track_id, focus.reason, focus.since) == (who, reason, STEP)


def test_reset_forgets_who_was_in_focus():
    scene = Scene(rule='nearest')
    assert scene.show(MIDDLE, FAR)[-1].track_id == 'f2'
    assert scene.show(NEAR, MIDDLE)[-1].track_id == 'f2'  # for the hold time
    scene.selector.reset()
    assert scene.show(NEAR, MIDDLE)[-1].track_id == 'f1'


def test_nobody_and_people_without_attention_or_position_are_none():
    scene = Scene()
    unknown = person('f1', np.full(3, math.nan))
    for focus in scene.show() + scene.show(unknown):
        assert (focus.track_id, focus.reason) == ('', Reason.NONE)
        assert np.isnan(focus.point).all()
    focus = scene.selector.update(
        FrameGaze(640, 480, '', [NEAR]), [], Instant(3 * STEP, 3 * STEP))
    assert focus.track_id == ''


def test_focus_changes_after_the_hold_time_only():
    scene = Scene(hold=0.5)
    scene.show(NEAR, FAR, images=3)
    looking = scene.show(NEAR, FAR, f3=AT_CAMERA, images=10)
    assert [f.track_id for f in looking] == ['f1'] * 5 + ['f3'] * 5
    assert looking[-1].since == 4 * STEP
    # A break begins the time anew.
    scene.show(NEAR, FAR, f3=AT_CAMERA, f1=attention('f1', Target.CAMERA), images=4)
    assert scene.show(NEAR, FAR, f3=AT_CAMERA)[-1].track_id == 'f3'
    assert scene.show(
        NEAR, FAR, f3=AT_CAMERA, f1=attention('f1', Target.CAMERA), images=4
    )[-1].track_id == 'f3'


def test_others_who_come_first_in_turn_take_the_focus_after_twice_the_hold_time():
    scene = Scene(hold=0.5)
    scene.show(NEAR, MIDDLE, FAR)
    who = []
    for i in range(12):
        looking = 'f2' if i % 2 else 'f3'
        who += [f.track_id for f in scene.show(
            NEAR, MIDDLE, FAR, **{looking: attention(looking, Target.CAMERA)})]
    assert who[:10] == ['f1'] * 10 and who[10] in ('f2', 'f3')


@pytest.mark.parametrize('distance,who', [(1.9, 'f1'), (1.7, 'f1'), (1.6, 'f2')])
def test_another_person_must_be_nearer_by_the_hysteresis(distance, who):
    scene = Scene(hold=0.0, hysteresis=0.2)
    scene.show(person('f1', (0, 0, 2)), person('f2', (0, 0, 3)))
    focus, = scene.show(person('f1', (0, 0, 2)), person('f2', (0, 0, distance)))
    assert focus.track_id == who


def test_missed_person_keeps_the_place_until_gone():
    scene = Scene()
    scene.show(NEAR, FAR)
    scene.count += 1
    missed = scene.selector.update(
        FrameGaze(640, 480, '', [FAR]), [attention('f1'), attention('f3')],
        Instant(scene.count * STEP, scene.count * STEP))
    assert missed.track_id == 'f1' and missed.point == pytest.approx(NEAR.origin)
    focus, = scene.show(FAR)
    assert (focus.track_id, focus.since) == ('f3', 3 * STEP)
    focus, = scene.show()
    assert (focus.track_id, focus.since) == ('', 4 * STEP)


def test_point_is_smoothed_and_follows_a_walking_person():
    rng, scene = np.random.default_rng(0), Scene()
    noisy = [(0, 0, 2) + rng.normal(0, 0.02, 3) for _ in range(200)]
    points = np.array([scene.show(person('f1', p))[0].point for p in noisy])
    assert (points[50:].std(axis=0) < 0.75 * np.std(noisy, axis=0)).all()
    assert points[-1] == pytest.approx([0, 0, 2], abs=0.05)
    scene = Scene()
    walk = [(0.1 * i, 0, 2) for i in range(30)]  # 1 m/s
    last = [scene.show(person('f1', p))[0].point for p in walk][-1]
    assert 0 < walk[-1][0] - last[0] < 0.1


@given(st.permutations(CRITERIA), st.integers(1, 4))
def test_every_rule_that_the_parameter_accepts_chooses_somebody(order, count):
    rule = ','.join(order[:count])
    spec = next(s for s in PEOPLE if s.name == 'focus_rule')
    assert spec.problem(rule) == ''
    focus, = Scene(rule=rule).show(NEAR, FAR)
    assert focus.track_id in ('f1', 'f3')


@pytest.mark.parametrize('rule', ['', 'closest', 'nearest,', 'nearest, largest', 'nearest;mutual'])
def test_other_rules_are_refused(rule):
    spec = next(s for s in PEOPLE if s.name == 'focus_rule')
    assert 'at_robot, mutual, nearest, largest' in spec.problem(rule)
