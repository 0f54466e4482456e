"""Which messages are logged, and which would only fill the log."""
from gaze_ros.core.diagnostics import log_throttle
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
import pytest


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(log_throttle, 'monotonic', lambda: now[0])
    return now


def test_alternating_messages_are_logged_once_each(clock):
    throttle = LogThrottle()
    logged = []
    for _ in range(100):
        clock[0] += 1
        logged += [text for text in ('a', 'b', 'c') if throttle.should_log(text)]
    assert logged == ['a', 'b', 'c']


def test_message_is_logged_again_after_a_quiet_minute(clock):
    throttle = LogThrottle()
    assert throttle.should_log('a')
    clock[0] += 59
    assert not throttle.should_log('a')
    clock[0] += 59
    assert not throttle.should_log('a')  # never absent for a minute
    clock[0] += 61
    assert throttle.should_log('a')


def test_messages_that_differ_in_numbers_are_one_kind():
    throttle = LogThrottle()
    logged = [text for text in (
        'step is 7 and data has 9 bytes', 'step is 8 and data has 12345 bytes', 'a 2x3 image',
        'a 1920x1080 image', "encoding '8UC2'", "encoding '16UC2'") if throttle.should_log(text)]
    assert logged == ['step is 7 and data has 9 bytes', 'a 2x3 image', "encoding '8UC2'",
                      "encoding '16UC2'"]


def test_ever_new_messages_fill_neither_log_nor_memory(clock):
    throttle = LogThrottle()
    logged = 0
    for second in range(120):
        clock[0] += 1
        logged += sum(throttle.should_log('x' * 1000 if n == 0 else f'a{second}b{n}')
                      for n in range(50))
    assert 16 <= logged <= 48
    kinds = throttle._last_seen
    assert len(kinds) <= 16 and all(len(kind) <= 500 for kind in kinds)
