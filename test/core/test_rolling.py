import math
import re

from gaze_ros.core.diagnostics import rolling
from gaze_ros.core.diagnostics.rolling import FrameTimings, IntervalMean, RateCounter
import pytest

LINE = (r'^Overall FPS: \d+\.\d\d, Latency: \d+\.\dms, Face: \d+\.\dms, Gaze: \d+\.\dms$')


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only item is the current time."""
    now = [1000.0]
    monkeypatch.setattr(rolling, 'monotonic', lambda: now[0])
    return now


def test_overall_and_recent_rate(clock):
    rate = RateCounter(window=11)
    assert (rate.count, rate.overall, rate.recent) == (0, 0, 0)
    rate.tick()
    assert (rate.count, rate.overall, rate.recent) == (1, 0, 0)
    for _ in range(10):
        clock[0] += 1
        rate.tick()
    for _ in range(10):
        clock[0] += 0.1
        rate.tick()
    assert rate.count == 21
    assert rate.recent == pytest.approx(10)
    assert rate.overall == pytest.approx(20 / 11)


def test_rate_of_simultaneous_events_is_zero(clock):
    rate = RateCounter()
    for _ in range(5):
        rate.tick()
    assert (rate.count, rate.overall, rate.recent) == (5, 0, 0)


def test_interval_mean_restarts_after_pop_and_ignores_nan():
    mean = IntervalMean()
    assert math.isnan(mean.pop())
    for value in (1.0, math.nan, 3.0):
        mean.add(value)
    assert mean.pop() == 2
    assert math.isnan(mean.pop())


def test_line_is_due_every_30_frames():
    frames = FrameTimings()
    lines = [frames.add(0.0123, 0.004, 0.01) for _ in range(100)]
    assert [i for i, line in enumerate(lines, 1) if line] == [30, 60, 90]
    assert all(re.match(LINE, line) for line in lines if line)


def test_line_covers_only_its_own_frames(clock):
    frames = FrameTimings(every=30)
    for i in range(60):
        clock[0] += 0.05 if i < 30 else 0.1
        line = frames.add(*((9, 9, 9) if i < 30 else (0.0123, 0.0041, 0.0102)))
    assert line == 'Overall FPS: 10.00, Latency: 12.3ms, Face: 4.1ms, Gaze: 10.2ms'


def test_latency_of_another_clock_is_ignored():
    frames = FrameTimings(every=10)
    for latency in (3600.0, -3600.0, *[0.0123] * 8):
        line = frames.add(latency, 0.004, 0.01)
    assert 'Latency: 12.3ms' in line
    for latency in [1.7e9] * 10:
        line = frames.add(latency, 0.004, 0.01)
    assert 'Latency: -,' in line
