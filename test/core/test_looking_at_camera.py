"""Looking at the camera: hysteresis, dwell, blinks, stamps."""
import math

from gaze_ros.core.attention.looking_at_camera import LookingAtCamera
from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pytest

LIMIT, HYSTERESIS, DWELL = 0.25, 0.05, 0.2
#: At the lens, between the two limits, off it, unknown.
AT, BETWEEN, OFF, BLINK = 0.2, 0.28, 0.4, math.nan


def states(angles, rate=30.0, dwell=DWELL, start=1.7e9):
    """Return whether one person looks at the camera, in images of that rate."""
    looking = LookingAtCamera()
    return [bool(looking.update({'f1': angle}, start + i / rate, LIMIT, HYSTERESIS, dwell))
            for i, angle in enumerate(angles)]


@pytest.mark.parametrize('rate', [5.0, 10.0, 30.0, 100.0])
def test_dwell_is_measured_in_time_not_images(rate):
    first = states([AT] * 101, rate).index(True)
    assert (first - 1) / rate < DWELL - 1e-5 <= first / rate


@pytest.mark.parametrize('off', [OFF, BLINK])
def test_state_clears_after_the_dwell_outside(off):
    result = states([AT] * 10 + [off] * 10)
    assert result == [False] * 6 + [True] * 10 + [False] * 4


@pytest.mark.parametrize('gap', [OFF, BLINK, BETWEEN])
@pytest.mark.parametrize('length', [1, 6])
def test_blink_or_short_glance_away_is_ignored(gap, length):
    assert all(states([AT] * 10 + [gap] * length + [AT] * 10)[6:])


@pytest.mark.parametrize('gap', [OFF, BLINK, BETWEEN])
def test_short_glance_at_the_lens_is_ignored(gap):
    assert not any(states(([AT] * 6 + [gap]) * 5))


def test_state_is_kept_between_the_limits():
    assert not any(states([BETWEEN] * 50))
    assert all(states([AT] * 10 + [BETWEEN] * 50)[6:])


@given(st.lists(st.floats(0, math.pi) | st.just(math.nan), max_size=20))
def test_without_hysteresis_and_dwell_angle_is_compared_to_the_limit(angles):
    looking = LookingAtCamera()
    for i, angle in enumerate(angles):
        looking_ids = looking.update({'f1': angle}, float(i), LIMIT, 0.0, 0.0)
        assert looking_ids == ({'f1'} if angle <= LIMIT else set())


def sees(angle, stddev, limit=LIMIT):
    looking = LookingAtCamera()
    return bool(looking.update({'f1': angle}, 1.0, limit, 0.0, 0.0, {'f1': stddev}))


@pytest.mark.parametrize(('angle', 'degrees', 'expected'), [
    (0.24, 0.5, True), (0.24, 10, False), (0.2, 6, True), (0.2, 15, False), (0.0, 17, True),
    (0.0, 20, False), (0.26, 0.5, False), (0.24, math.nan, True), (math.nan, 5, False)])
def test_uncertain_gaze_has_to_be_nearer_to_the_lens(angle, degrees, expected):
    assert sees(angle, math.radians(degrees)) is expected


@given(st.floats(0, 0.4), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_more_certain_gaze_is_never_further_from_looking(angle, a, b):
    assert sees(angle, min(a, b)) or not sees(angle, max(a, b))


@given(st.floats(0, 0.4), st.floats(0.01, 0.6))
def test_looks_if_it_is_as_likely_as_not(angle, stddev):
    axis = stddev / math.sqrt(-2 * math.log(0.32))
    x, y = np.random.default_rng(1).normal(0, axis, (2, 20_000))
    share = (np.hypot(x + angle, y) <= LIMIT).mean()
    assume(abs(share - 0.5) > 0.02)
    assert sees(angle, stddev) is bool(share > 0.5)


def test_hysteresis_applies_to_uncertain_gazes_too():
    looking = LookingAtCamera()

    def update(angle, stamp):
        return bool(looking.update({'f1': angle}, stamp, LIMIT, HYSTERESIS, 0.0, {'f1': 0.15}))

    assert [update(a, float(i)) for i, a in enumerate((0.23, 0.19, 0.23, 0.29))] == [
        False, True, True, False]


def test_each_person_has_their_own_standard_deviation():
    looking = LookingAtCamera()
    assert looking.update({'f1': 0.2, 'f2': 0.2, 'f3': 0.2}, 1.0, LIMIT, 0.0, 0.0,
                          {'f1': 0.02, 'f2': 0.3}) == {'f1', 'f3'}


def test_person_out_of_the_image_does_not_look_at_camera():
    looking = LookingAtCamera()
    stamps = iter(range(100))

    def see(**angles):
        return looking.update(angles, 0.1 * next(stamps), LIMIT, HYSTERESIS, DWELL)

    for _ in range(4):
        looking_ids = see(f1=AT, f2=AT)
    assert looking_ids == {'f1', 'f2'}
    see(f1=AT)
    assert see(f1=AT, f2=AT) == {'f1', 'f2'}
    for _ in range(4):
        assert see(f2=AT) == {'f2'}
    assert see(f1=AT, f2=AT) == {'f2'}


def test_states_of_departed_tracks_are_removed():
    looking = LookingAtCamera()
    for i in range(1000):
        looking.update({f'f{i}': AT}, 0.1 * i, LIMIT, HYSTERESIS, DWELL)
    assert len(looking._states) <= 4
    looking.update({}, 200.0, LIMIT, HYSTERESIS, DWELL)
    looking.update({}, 201.0, LIMIT, HYSTERESIS, DWELL)
    assert not looking._states
