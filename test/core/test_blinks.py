"""Blinks, winks and sleep from the openness of the eyes."""
import math

from gaze_ros.core.attention.blinks import BlinkDetector, SHUT
from gaze_ros.core.stream_time import Instant
from hypothesis import given
from hypothesis import strategies as st
import pytest

TIMEOUT = 1.0
OPEN_EYES, SHUT_EYES, UNKNOWN = (0.9, 0.8), (0.1, 0.2), (math.nan, math.nan)
WINK = (0.1, 0.9)
START = 1.7e9

SHUT_VALUE = st.floats(0, SHUT, exclude_max=True)
OPEN_VALUE = st.floats(SHUT, 1)


def at(seconds):
    nanoseconds = round(1e9 * seconds)
    return Instant(nanoseconds, nanoseconds)


def blinks(states, rate=30.0, start=START):
    """Return start and duration of the blink after each image of that rate, seconds."""
    detector = BlinkDetector()
    found = [detector.update({'f1': eyes}, at(start + i / rate), TIMEOUT)['f1']
             for i, eyes in enumerate(states)]
    return [(begun - start if begun else 0, duration) for begun, duration in found]


def test_without_a_blink_start_and_duration_are_0():
    assert blinks([OPEN_EYES] * 5) == [(0, 0)] * 5


def test_blink_has_its_start_and_duration():
    found = blinks([OPEN_EYES] * 3 + [SHUT_EYES] * 4 + [OPEN_EYES] * 3)
    assert found[:3] == [(0, 0)] * 3
    for i in range(3, 10):
        assert found[i] == pytest.approx((3 / 30, min(i - 3, 4) / 30), abs=1e-5)


def test_duration_of_a_sleeping_person_grows():
    durations = [duration for _, duration in blinks([SHUT_EYES] * 90)]
    assert durations == sorted(durations)
    assert durations[-1] == pytest.approx(89 / 30, abs=1e-5)


@given(st.lists(
    st.tuples(SHUT_VALUE, OPEN_VALUE) | st.tuples(OPEN_VALUE, SHUT_VALUE), max_size=20))
def test_winks_are_not_blinks(states):
    assert blinks([OPEN_EYES, *states]) == [(0, 0)] * (1 + len(states))


@given(st.lists(st.sampled_from([OPEN_EYES, WINK, UNKNOWN, (math.nan, 0.9), (0.1, math.nan),
                                 (math.nan, 0.1)]), max_size=20))
def test_an_eye_that_is_not_seen_starts_no_blink(states):
    assert blinks([OPEN_EYES, *states]) == [(0, 0)] * (1 + len(states))


@pytest.mark.parametrize('gap', [UNKNOWN, (0.1, math.nan), (math.nan, 0.1)])
def test_an_eye_that_is_not_seen_ends_no_blink(gap):
    found = blinks([SHUT_EYES, gap, gap, SHUT_EYES, OPEN_EYES])
    assert found[-1] == pytest.approx((0, 4 / 30), abs=1e-5)


@pytest.mark.parametrize('opened', [OPEN_EYES, WINK, (math.nan, 0.9), (0.9, math.nan)])
def test_one_eye_that_opens_ends_a_blink(opened):
    found = blinks([OPEN_EYES, SHUT_EYES, SHUT_EYES, opened, SHUT_EYES])
    assert found[3] == pytest.approx((1 / 30, 2 / 30), abs=1e-5)
    assert found[4] == pytest.approx((4 / 30, 0), abs=1e-5), 'the next one starts'


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=12),
       st.sampled_from([5.0, 30.0, 100.0]))
def test_last_closure_of_any_sequence(runs, rate):
    """Of runs of open and shut images, each run as long as it is."""
    states = [(shut, count) for shut, count in runs]
    images = [shut for shut, count in states for _ in range(count)]
    begun = ended = None
    for i, shut in enumerate(images):
        if shut and (not i or not images[i - 1]):
            begun, ended = i, None
        elif not shut and i and images[i - 1]:
            ended = i
    found = blinks([SHUT_EYES if shut else OPEN_EYES for shut in images], rate)[-1]
    if begun is None:
        assert found == (0, 0)
    else:
        last = len(images) - 1 if ended is None else ended
        assert found == pytest.approx((begun / rate, (last - begun) / rate), abs=1e-5)


def test_tracks_are_independent():
    detector = BlinkDetector()
    detector.update({'f1': OPEN_EYES, 'f2': SHUT_EYES}, at(5.0), TIMEOUT)
    found = detector.update({'f2': SHUT_EYES, 'f1': SHUT_EYES}, at(5.5), TIMEOUT)
    assert found == {'f1': (5.5, 0.0), 'f2': (5.0, 0.5)}


def test_blink_continues_across_a_gap_shorter_than_the_timeout():
    detector = BlinkDetector()
    detector.update({'f1': SHUT_EYES}, at(5.0), TIMEOUT)
    assert detector.update({}, at(5.4), TIMEOUT) == {}
    assert detector.update({'f1': SHUT_EYES}, at(5.9), TIMEOUT)['f1'] == pytest.approx((5, 0.9))


def test_track_that_is_gone_for_longer_is_forgotten():
    detector = BlinkDetector()
    detector.update({'f1': SHUT_EYES}, at(5.0), TIMEOUT)
    detector.update({}, at(6.1), TIMEOUT)
    assert detector.update({'f1': OPEN_EYES}, at(6.2), TIMEOUT) == {'f1': (0, 0)}
    for i in range(1000):
        detector.update({f'f{i}': SHUT_EYES}, at(10 + 0.1 * i), TIMEOUT)
    assert len(detector._tracks) <= 12


def test_images_at_an_equal_time_change_nothing():
    detector = BlinkDetector()
    for _ in range(3):
        assert detector.update({'f1': SHUT_EYES}, at(7.0), TIMEOUT) == {'f1': (7.0, 0.0)}


def test_start_is_the_stamp_and_duration_the_time_of_the_stream():
    detector = BlinkDetector()
    detector.update({'f1': SHUT_EYES}, Instant(0, 9_000_000_000), TIMEOUT)
    # The clock was set back by 0.4 s.
    found = detector.update({'f1': SHUT_EYES}, Instant(100_000_000, 8_700_000_000), TIMEOUT)
    assert found == {'f1': pytest.approx((9.0, 0.1))}
