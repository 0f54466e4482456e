"""What is told, and what would only fill the log."""
from gaze_ros.core.diagnostics import log_throttle
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
import pytest


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(log_throttle, 'monotonic', lambda: now[0])
    return now


def test_what_comes_in_turns_is_told_once_each(clock):
    teller = LogThrottle()
    told = []
    for _ in range(100):
        clock[0] += 1
        told += [what for what in ('a', 'b', 'c') if teller.should_log(what)]
    assert told == ['a', 'b', 'c']


def test_what_comes_again_after_a_quiet_minute_is_told_again(clock):
    teller = LogThrottle()
    assert teller.should_log('a')
    clock[0] += 59
    assert not teller.should_log('a')
    clock[0] += 59
    assert not teller.should_log('a')  # it never was away
    clock[0] += 61
    assert teller.should_log('a')


def test_numbers_make_no_other_thing_and_names_do():
    teller = LogThrottle()
    told = [what for what in (
        'step is 7 and data has 9 bytes', 'step is 8 and data has 12345 bytes', 'a 2x3 image',
        'a 1920x1080 image', "encoding '8UC2'", "encoding '16UC2'") if teller.should_log(what)]
    assert told == ['step is 7 and data has 9 bytes', 'a 2x3 image', "encoding '8UC2'",
                    "encoding '16UC2'"]


def test_who_says_something_else_each_time_fills_no_log_and_no_memory(clock):
    teller = LogThrottle()
    told = 0
    for second in range(120):
        clock[0] += 1
        told += sum(teller.should_log(f'{"x" * 1000}' if n == 0 else f'a{second}b{n}') for n in range(50))
    assert 16 <= told <= 48
    assert len(teller._came) <= 16 and all(len(kind) <= 500 for kind in teller._came)
