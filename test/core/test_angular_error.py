"""What a standard deviation of a direction means."""
import math

from gaze_ros.core.geometry.angular_error import confidence, CONFIDENT_ANGLE, even_odds_angle
from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pytest

STDDEV = st.floats(1e-4, 2.0)
LIMIT = st.floats(0.01, 1.0)


def share_within(limit, angle, stddev, count=200_000):
    """Return the share of true angles within a limit, for a measured angle, all in radians."""
    axis = stddev / math.sqrt(-2 * math.log(0.32))
    x, y = np.random.default_rng(0).normal(0, axis, (2, count))
    return float((np.hypot(x + angle, y) <= limit).mean())


@pytest.mark.parametrize('degrees', [2, 10, 30])
def test_standard_deviation_covers_68_percent(degrees):
    assert share_within(math.radians(degrees), 0.0, math.radians(degrees)) == pytest.approx(
        0.68, abs=0.005)


@pytest.mark.parametrize('degrees', [2, 5, 10, 20, 40])
def test_confidence_is_the_share_within_ten_degrees(degrees):
    stddev = math.radians(degrees)
    assert confidence(stddev) == pytest.approx(
        share_within(CONFIDENT_ANGLE, 0.0, stddev), abs=0.005)


def test_confidence_of_ten_degrees_is_68_percent():
    assert confidence(math.radians(10)) == pytest.approx(0.68)


@given(STDDEV, STDDEV)
def test_confidence_falls_with_the_standard_deviation(a, b):
    assume(a < b)
    assert 1 >= confidence(a) >= confidence(b) > 0


@pytest.mark.parametrize('stddev', [math.nan, 0.0, -1.0])
def test_confidence_of_an_unknown_direction_is_0(stddev):
    assert confidence(stddev) == 0


@pytest.mark.parametrize(('stddev', 'expected'), [
    (5e-324, 1), (1e-200, 1), (1e-9, 1), (1e300, 0), (math.inf, 0)])
def test_confidence_of_extreme_values(stddev, expected):
    assert confidence(stddev) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('degrees', [1, 3, 6, 10, 15, 17])
def test_even_odds_angle_has_even_odds(degrees):
    limit, stddev = 0.25, math.radians(degrees)
    angle = even_odds_angle(limit, stddev)
    assert 0 <= angle < limit
    assert share_within(limit, angle, stddev) == pytest.approx(0.5, abs=0.008)


@pytest.mark.parametrize('factor', [1.30, 2.0, 50.0])
def test_no_angle_is_within_a_limit_that_is_unlikely_even_from_0(factor):
    assert even_odds_angle(0.25, factor * 0.25) < 0
    assert share_within(0.25, 0.0, factor * 0.25) < 0.5


@given(LIMIT, STDDEV, STDDEV)
def test_even_odds_angle_falls_with_the_standard_deviation(limit, a, b):
    assume(a < b)
    assert limit >= even_odds_angle(limit, a) >= even_odds_angle(limit, b) - 1e-9


@given(LIMIT, st.floats(0.001, 20), st.floats(0.1, 10))
def test_even_odds_angle_scales_with_the_limit(limit, ratio, scale):
    first, second = (even_odds_angle(k * limit, k * limit / ratio) for k in (1.0, scale))
    assert (first < 0) == (second < 0)
    if first >= 0:
        assert second == pytest.approx(scale * first, abs=1e-6)


@given(LIMIT)
def test_even_odds_angle_is_continuous(limit):
    """Between the table, its end and the formula beyond it."""
    angles = np.array([even_odds_angle(limit, 1.5096 * limit / ratio)
                       for ratio in np.linspace(1.3, 12, 2000)])
    assert np.abs(np.diff(angles)).max() < 0.01 * limit


@pytest.mark.parametrize('stddev', [math.nan, 0.0, 5e-324, 1e-200])
def test_without_uncertainty_the_limit_itself_is_returned(stddev):
    assert even_odds_angle(0.25, stddev) == 0.25


@pytest.mark.parametrize('limit', [0.0, -0.1])
def test_limit_without_extent_is_returned(limit):
    assert even_odds_angle(limit, 0.1) == limit
