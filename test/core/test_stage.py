import math

from gaze_ros.core.diagnostics import rolling
from gaze_ros.core.diagnostics import stage_stats as module
from gaze_ros.core.diagnostics.stage_stats import StageStats, statistics_block
import pytest


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only number is the time."""
    now = [1000.0]
    for one in (module, rolling):
        monkeypatch.setattr(one, 'monotonic', lambda: now[0])
    return now


def test_the_closing_line_tells_rate_frames_and_drops_by_reason(clock):
    stage = StageStats('Camera')
    for _ in range(31):
        stage.processed()
        clock[0] += 0.04
    assert stage.summary() == 'Camera FPS: 25.00 (31 frames, 0 dropped)'
    for why in ('newer', 'failed', 'newer'):
        stage.dropped(why)
    assert stage.drop_count == 3
    assert stage.summary() == (
        'Camera FPS: 25.00 (31 frames, 3 dropped: 1 failed, 2 newer)')


def test_closing_block_has_a_line_for_each_stage_in_order():
    lines = statistics_block([StageStats('Camera'), StageStats('Gaze')]).split('\n')
    assert lines == ['=== Pipeline Statistics ===', 'Camera FPS: 0.00 (0 frames, 0 dropped)',
                     'Gaze FPS: 0.00 (0 frames, 0 dropped)']


def test_figures_are_of_the_time_since_their_mark_only(clock):
    stage = StageStats('Inference')
    for _ in range(5):
        stage.received()
        stage.processed(9.0, 9.0)
    stage.dropped('newer')
    clock[0] += 1
    mark = stage.mark()
    for i in range(10):
        clock[0] += 0.1
        stage.received()
        stage.received()
        stage.processed(0.01 * i, 0.02)
        stage.dropped('old')
    figures = stage.snapshot(mark)
    assert figures.rate == pytest.approx(10)
    assert figures.received_rate == pytest.approx(20)
    assert figures.work == pytest.approx(0.02)
    assert figures.dropped == {'old': 10}
    assert figures.ages == pytest.approx([0.01 * i for i in range(10)])
    assert figures.age_percentile(50) == pytest.approx(0.045)


def test_the_last_error_is_kept_with_its_age(clock):
    stage = StageStats('Inference')
    assert stage.last_error == ''
    stage.failed('first')
    stage.failed('no\n  encoding')
    clock[0] += 12
    stage.processed()
    assert stage.last_error == 'no encoding (12 s ago)'


def test_figures_of_nothing(clock):
    stage = StageStats('Display')
    figures = stage.snapshot(stage.mark())
    assert (figures.rate, figures.received_rate, figures.processed, figures.dropped) == (0, 0, 0, {})
    assert math.isnan(figures.work)
    assert math.isnan(figures.age_percentile(99))


def test_an_unknown_age_is_no_age(clock):
    stage = StageStats('Inference')
    mark = stage.mark()
    clock[0] += 1
    stage.processed(math.nan)
    assert stage.snapshot(mark).ages == ()


def test_ages_do_not_grow_without_bound():
    stage = StageStats('Inference')
    mark = stage.mark()
    for _ in range(10_000):
        stage.processed(0.01)
    assert len(stage.snapshot(mark).ages) == 3600
