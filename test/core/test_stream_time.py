"""The time of a stream from stamps that rise, repeat, are exchanged, step back, or are missing."""
import math

from gaze_ros.core.stream_time import FAR_AHEAD, Instant, PAUSE, RESTART, StreamClock
from hypothesis import given
from hypothesis import strategies as st
import pytest

MS = 1_000_000
#: Time between two images, and the stamp of the first.
PERIOD, START = 40 * MS, 1_700_000_000_000_000_000

STAMPS = st.none() | st.integers(-2**61, 2**61) | st.integers(START, START + 5_000 * MS)


def times(stamps, arrivals=True):
    """Return the time of each image, nanoseconds; images arrive one period apart."""
    clock = StreamClock()
    return [clock.update(stamp, PERIOD * i if arrivals else math.nan).elapsed
            for i, stamp in enumerate(stamps)]


def steps(stamps, arrivals=True):
    found = times(stamps, arrivals)
    return [b - a for a, b in zip(found, found[1:])]


def regular(count, start=START, period=PERIOD):
    return [start + period * i for i in range(count)]


@pytest.mark.parametrize('arrivals', [True, False])
@pytest.mark.parametrize('start', [0, START, -START])
def test_time_follows_rising_stamps(start, arrivals):
    assert times(regular(100, start, 30 * MS), arrivals) == regular(100, 0, 30 * MS)


@pytest.mark.parametrize('depth', [2, 3, 5])
def test_exchanged_images_do_not_move_it_back_and_it_loses_nothing(depth):
    stamps = regular(10 * depth)
    for i in range(0, len(stamps), 2 * depth):
        stamps[i:i + depth] = stamps[i:i + depth][::-1]
    found = times([*stamps, START + 10 * depth * PERIOD])
    assert found == sorted(found)
    # The first stamp is the newest of its group.
    lost = 10 * depth * PERIOD - (stamps[0] - START) - found[-1]
    assert lost == 0 if depth < 4 else -2 * PERIOD <= lost <= 0


@pytest.mark.parametrize('count', [2, 3, 4, 10])
def test_equal_stamps_in_groups(count):
    stamps = [stamp for stamp in regular(20, period=count * PERIOD) for _ in range(count)]
    found = times(stamps)
    assert found == sorted(found)
    # In a long group the time follows the arrival: no dwell waits for it.
    assert max(steps(stamps)) <= max(count, 2) * PERIOD
    assert found[-1] == pytest.approx(PERIOD * len(stamps), rel=0.1)


@pytest.mark.parametrize('arrivals', [True, False])
@pytest.mark.parametrize('back', [1, 40 * MS, 500 * MS, RESTART - 1 - PERIOD])
def test_clock_that_is_set_back_a_little_goes_on(back, arrivals):
    found = times([*regular(50), *regular(50, START + 50 * PERIOD - back)], arrivals)
    assert found == sorted(found)
    # It stands still for two images at most.
    assert 97 * PERIOD <= found[-1] <= 99 * PERIOD
    assert found[54] > found[50]


@pytest.mark.parametrize('back', [RESTART + PERIOD, 2 * RESTART, START])
@pytest.mark.parametrize('arrivals', [True, False])
def test_clock_that_jumps_back_is_another_time(back, arrivals):
    found = steps([*regular(50), *regular(50, START + 50 * PERIOD - back)], arrivals)
    assert found == [PERIOD] * 49 + [PAUSE] + [PERIOD] * 49


def test_pause_of_camera_or_recording_is_a_pause():
    clock = StreamClock()
    first = clock.update(START, 0)
    second = clock.update(START + 60_000 * MS, 60_000 * MS)
    assert second - first == pytest.approx(60)
    assert second.believed


def test_missing_stamps_have_the_time_of_arrival():
    assert steps([None] * 10) == [PERIOD] * 9
    assert steps([START] * 12)[2:] == [PERIOD] * 9
    # Without it, they are a usual period apart.
    assert steps([*regular(10), *[None] * 5], arrivals=False) == [PERIOD] * 14


@pytest.mark.parametrize('odd', [None, START + FAR_AHEAD + 60 * PERIOD, 2**62])
@pytest.mark.parametrize('every', [2, 3, 20])
def test_single_odd_stamps_change_nothing(odd, every):
    stamps = regular(60)
    stamps[every - 1::every] = [odd] * len(stamps[every - 1::every])
    clock = StreamClock()
    for i, stamp in enumerate(stamps):
        now = clock.update(stamp, PERIOD * i)
        assert now.elapsed == PERIOD * i
        assert now.believed == (stamp is not odd)
        assert now.stamp <= START + 60 * PERIOD
    assert clock.late_count == 0


def test_clock_that_is_set_ahead_is_followed_from_the_second_image():
    ahead = [*regular(10), *regular(10, START + 3_600_000 * MS)]
    found = steps(ahead)
    assert found[:10] == [PERIOD] * 10
    assert found[10] > 3_500_000 * MS
    assert found[11:] == [PERIOD] * 8
    # Without arrivals it may be a pause.
    assert steps(ahead, arrivals=False)[9] > 3_500_000 * MS


def test_late_images_are_counted():
    clock = StreamClock()
    for stamp in (1, 3, 2, 3, 4, None, 5, 5 - RESTART, 6):
        clock.update(stamp)
    assert clock.late_count == 2


@given(st.lists(st.tuples(STAMPS, st.just(math.nan) | st.floats(-1e18, 1e18)), max_size=30))
def test_time_never_decreases_and_instants_hold_stamps_of_images(images):
    clock, last, known = StreamClock(), Instant(0, 0), set()
    for stamp, arrival in images:
        now = clock.update(stamp, arrival)
        assert now - last >= 0
        assert type(now.elapsed) is type(now.stamp) is int
        known.add(stamp)
        assert now.stamp in known or not any(isinstance(s, int) for s in known - {stamp})
        assert now.believed == (now.stamp == stamp and stamp is not None) or not now.believed
        last = now
