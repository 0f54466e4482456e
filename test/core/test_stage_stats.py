import math

from gaze_ros.core.diagnostics import rolling
from gaze_ros.core.diagnostics import stage_stats as module
from gaze_ros.core.diagnostics.stage_stats import StageStats, statistics_block
import pytest


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only item is the current time."""
    now = [1000.0]
    for one in (module, rolling):
        monkeypatch.setattr(one, 'monotonic', lambda: now[0])
    return now


def test_summary_has_rate_frames_and_drops_by_reason(clock):
    stage = StageStats('Camera')
    for _ in range(31):
        stage.processed()
        clock[0] += 0.04
    assert stage.summary() == 'Camera FPS: 25.00 (31 frames, 0 dropped)'
    for reason in ('newer', 'failed', 'newer'):
        stage.dropped(reason)
    assert stage.drop_count == 3
    assert stage.summary() == (
        'Camera FPS: 25.00 (31 frames, 3 dropped: 1 failed, 2 newer)')


def test_statistics_block_has_a_line_per_stage_in_order():
    lines = statistics_block([StageStats('Camera'), StageStats('Gaze')]).split('\n')
    assert lines == ['=== Pipeline Statistics ===', 'Camera FPS: 0.00 (0 frames, 0 dropped)',
                     'Gaze FPS: 0.00 (0 frames, 0 dropped)']


def test_snapshot_covers_the_time_since_its_mark(clock):
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
    snapshot = stage.snapshot(mark)
    assert snapshot.rate == pytest.approx(10)
    assert snapshot.received_rate == pytest.approx(20)
    assert snapshot.work == pytest.approx(0.02)
    assert snapshot.dropped == {'old': 10}
    assert snapshot.ages == pytest.approx([0.01 * i for i in range(10)])
    assert snapshot.age_percentile(50) == pytest.approx(0.045)


def test_last_error_is_kept_with_its_age(clock):
    stage = StageStats('Inference')
    assert stage.last_error == ''
    stage.failed('first')
    stage.failed('no\n  encoding')
    clock[0] += 12
    stage.processed()
    assert stage.last_error == 'no encoding (12 s ago)'


def test_snapshot_without_images(clock):
    stage = StageStats('Display')
    snapshot = stage.snapshot(stage.mark())
    assert (snapshot.rate, snapshot.received_rate) == (0, 0)
    assert (snapshot.processed, snapshot.dropped) == (0, {})
    assert math.isnan(snapshot.work)
    assert math.isnan(snapshot.age_percentile(99))


def test_unknown_age_is_not_stored(clock):
    stage = StageStats('Inference')
    mark = stage.mark()
    clock[0] += 1
    stage.processed(math.nan)
    assert stage.snapshot(mark).ages == ()


def test_number_of_stored_ages_is_bounded():
    stage = StageStats('Inference')
    mark = stage.mark()
    for _ in range(10_000):
        stage.processed(0.01)
    assert len(stage.snapshot(mark).ages) == 3600
