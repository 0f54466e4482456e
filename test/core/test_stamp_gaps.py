"""Images that did not arrive are known from the stamps of the others."""
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.stamp_gaps import count_missing
from hypothesis import example, given
from hypothesis import strategies as st
import numpy as np
import pytest

START = 1.7e9


@given(st.lists(st.booleans(), min_size=100, max_size=150), st.floats(5, 120),
       st.integers(0, 2**32 - 1))
@example([False] * 36 + [True] * 16 + ([False] * 5 + [True]) * 10 + [False] * 30, 5.0, 6)
def test_missing_images_of_a_constant_rate_are_counted(kept, rate, seed):
    kept[0] = kept[-1] = True
    jitter = np.random.default_rng(seed).uniform(-0.02, 0.02, len(kept)) / rate
    stamps = (START + np.arange(len(kept)) / rate + jitter)[kept]
    neighbours = sum(a and b for a, b in zip(kept, kept[1:]))
    if len(stamps) < 22 or neighbours < 10:
        return
    assert count_missing(stamps) == pytest.approx(len(kept) - len(stamps), rel=0.1)


@given(st.lists(st.floats(1e-3, 0.5), min_size=0, max_size=200))
def test_nothing_is_counted_that_is_not_a_gap(intervals):
    """A changing rate gives at most what its intervals of several periods look like."""
    stamps = np.cumsum([START, *intervals])
    assert 0 <= count_missing(stamps) <= 500 * len(intervals)


def test_a_rate_that_drifts_has_no_gaps():
    assert count_missing(np.cumsum(np.linspace(0.03, 0.07, 100))) == 0


@pytest.mark.parametrize('stamps', [[], [START], [START] * 50, range(50, 0, -1), range(15)])
def test_too_few_or_unordered_stamps_tell_nothing(stamps):
    assert count_missing(stamps) == 0


def test_snapshot_counts_only_since_its_mark():
    stage = StageStats('Inference')
    stage.received(START)
    stage.announced()
    mark = stage.mark()
    for number in range(60):
        stage.announced()
        if number % 3:
            stage.received(START + number / 30)
    snapshot = stage.snapshot(mark)
    assert (snapshot.announced, snapshot.received, snapshot.missing) == (60, 40, 19)


def test_images_that_were_not_sent_on_purpose_are_not_missing():
    stage = StageStats('Inference')
    mark, before = stage.mark(), -1
    for number in range(0, 90):
        if number % 7 in (0, 1, 4):
            stage.received(START + number / 30, number - before)
            before = number
    snapshot = stage.snapshot(mark)
    assert (snapshot.received, snapshot.missing) == (before + 1, 0)
