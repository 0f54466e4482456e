from gaze_ros.core.evaluation.metrics import (
    angular_errors,
    correlation,
    measure,
    measure_by_head_yaw,
    measure_coverage,
    measure_eyes,
    measure_head,
    measure_reliability,
)
from gaze_ros.core.geometry.camera_model import angles_to_unit
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
import pytest

GAZES = arrays(float, st.tuples(st.integers(1, 20), st.just(2)),
               elements=st.floats(-1.5, 1.5))


def pairs(limit=1.5):
    return st.integers(1, 20).flatmap(lambda n: st.tuples(*(
        arrays(float, (n, 2), elements=st.floats(-limit, limit)),) * 2))


@given(GAZES)
def test_error_of_equal_angles_is_zero(gazes):
    assert not angular_errors(gazes, gazes).any()


@given(pairs(3.0))
def test_errors_equal_the_angle_between_unit_vectors_and_are_symmetric(two):
    a, b = two
    errors = angular_errors(a, b)
    cosines = [angles_to_unit(*p) @ angles_to_unit(*q) for p, q in zip(a, b)]
    assert errors == pytest.approx(np.arccos(np.clip(cosines, -1, 1)), abs=1e-6)
    assert errors == pytest.approx(angular_errors(b, a), abs=1e-12)
    assert ((errors >= 0) & (errors <= np.pi)).all()


@pytest.mark.parametrize('a,b,degrees', [
    ((0, 0), (0, 30), 30), ((0, 0), (-40, 0), 40), ((90, 0), (90, 120), 0),
    ((60, -10), (60, 10), 2 * np.degrees(np.arcsin(np.sin(np.radians(10)) / 2))),
    ((0, 179), (0, -179), 2), ((0, 0), (0, 180), 180)])
def test_known_errors(a, b, degrees):
    error, = np.degrees(angular_errors(np.radians([a]), np.radians([b])))
    assert error == pytest.approx(degrees, abs=1e-9)


@given(GAZES, st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_constant_offset_is_the_bias_and_the_only_error(true, pitch, yaw):
    accuracy = measure(true + (pitch, yaw), true)
    assert accuracy.bias_pitch_deg == pytest.approx(np.degrees(pitch), abs=1e-6)
    assert accuracy.bias_yaw_deg == pytest.approx(np.degrees(yaw), abs=1e-6)
    assert accuracy.mean_absolute_pitch_error_deg == pytest.approx(
        abs(np.degrees(pitch)), abs=1e-6)
    assert accuracy.mean_error_without_bias_deg == pytest.approx(0, abs=1e-6)
    assert accuracy.median_error_without_bias_deg == pytest.approx(0, abs=1e-6)


def test_figures_calculated_by_hand():
    true = np.radians([[0.0, -10], [0, 0], [0, 10], [0, 20], [0, 0]])
    estimated = np.radians([[1.0, -20], [1, 0], [1, 20], [1, 40], [np.nan, np.nan]])
    accuracy = measure(estimated, true)
    assert (accuracy.n, accuracy.missed) == (4, 1)
    assert accuracy.bias_pitch_deg == pytest.approx(1)
    assert accuracy.bias_yaw_deg == pytest.approx(5)
    assert accuracy.mean_absolute_yaw_error_deg == pytest.approx((10 + 0 + 10 + 20) / 4)
    assert accuracy.mean_error_deg == pytest.approx(10.29, abs=0.02)
    assert accuracy.median_error_deg == pytest.approx(10.04, abs=0.02)
    assert accuracy.mean_error_without_bias_deg == pytest.approx((15 + 5 + 5 + 15) / 4)
    assert accuracy.correlation_pitch is None
    assert accuracy.correlation_yaw == pytest.approx(1)
    assert accuracy.zero_baseline_error_deg == pytest.approx((10 + 0 + 10 + 20 + 0) / 5)
    assert accuracy.constant_baseline_error_deg == pytest.approx((14 + 4 + 6 + 16 + 4) / 5)


def test_yaw_differences_wrap_around():
    accuracy = measure(np.radians([[0.0, -179]]), np.radians([[0.0, 179]]))
    assert accuracy.bias_yaw_deg == pytest.approx(2)
    assert accuracy.mean_error_without_bias_deg == pytest.approx(0, abs=1e-9)


def test_no_gaze_is_an_error():
    with pytest.raises(ValueError, match='no gaze'):
        measure(np.full((3, 2), np.nan), np.zeros((3, 2)))


def test_constant_values_have_no_correlation():
    assert correlation(np.ones(5), np.arange(5)) is None
    assert correlation(np.arange(1), np.arange(1)) is None
    assert correlation(np.arange(5), -np.arange(5)) == pytest.approx(-1)


@pytest.mark.parametrize('errors,shares', [
    ([10, 25, 25.1, 40, 40.1], (0.6, 0.2)), ([0], (0, 0)), ([41, 60], (1, 1))])
def test_shares_of_large_errors(errors, shares):
    true = np.zeros((len(errors), 2))
    estimated = np.column_stack([np.zeros(len(errors)), np.radians(errors)])
    accuracy = measure(estimated, true)
    assert (accuracy.share_over_25_deg, accuracy.share_over_40_deg) == pytest.approx(shares)


@given(st.integers(1, 40), st.integers(0, 2 ** 32 - 1))
def test_bins_of_head_yaw_hold_every_labelled_head_once(n, seed):
    rng = np.random.default_rng(seed)
    yaw = np.radians(rng.choice([0, 19.9, 20, 40, 59.9, 60, 97, 180], n) * rng.choice([-1, 1], n))
    errors = np.radians(rng.uniform(0, 90, n))
    errors[rng.random(n) < 0.2] = np.nan
    bins = measure_by_head_yaw(errors, errors / 2, yaw)
    assert [(b.from_deg, b.to_deg) for b in bins] == [(0, 20), (20, 40), (40, 60), (60, None)]
    assert sum(b.labels for b in bins) == n
    assert sum(b.n for b in bins) == sum(b.head_n for b in bins) == np.isfinite(errors).sum()
    for b in bins:
        inside = np.degrees(np.abs(yaw)).round(9)
        inside = (inside >= b.from_deg) & (inside < (b.to_deg or 181)) & np.isfinite(errors)
        assert b.n == inside.sum()
        if b.n:
            e = np.degrees(errors[inside])
            assert b.mean_error_deg == pytest.approx(e.mean())
            assert b.mean_head_error_deg == pytest.approx(e.mean() / 2)
            assert b.share_over_25_deg == pytest.approx((e > 25).mean())
        else:
            assert b.mean_error_deg is b.share_over_40_deg is None


def test_no_bins_without_labelled_heads():
    unknown = np.full(3, np.nan)
    assert measure_by_head_yaw(np.zeros(3), unknown, unknown) == []


def test_coverage_counts_faces_that_were_not_found():
    coverage = measure_coverage(
        np.array([True, True, True, False]), np.array([True, False, False, False]))
    assert (coverage.labels, coverage.found, coverage.with_gaze) == (4, 3, 1)
    assert (coverage.found_share, coverage.gaze_share) == (0.75, 0.25)
    assert measure_coverage(np.zeros(0, bool), np.zeros(0, bool)).found_share is None


def test_head_errors_by_yaw_and_rolls():
    nan = np.nan
    true = np.radians(
        [[0, 10, 0], [0, 60, 170], [0, -97, nan], [nan, 30, 5], [nan] * 3, [0, 0, 0]])
    estimated = np.radians(
        [[0, 14, -2], [0, 50, -170], [0, -77, 9], [5, 5, 5], [0, 0, 0], [nan] * 3])
    head = measure_head(estimated, true)
    assert (head.n, head.missed, head.below_60_n, head.beyond_60_n, head.roll_n) == (3, 1, 1, 2, 3)
    assert head.mean_error_deg == pytest.approx((4 + 10 + 20) / 3)
    assert head.median_error_deg == pytest.approx(10)
    assert head.mean_error_below_60_deg == pytest.approx(4)
    assert head.mean_error_beyond_60_deg == pytest.approx(15)
    assert head.mean_roll_error_deg == pytest.approx((2 + 20 + 0) / 3)  # 170 to -170 is 20
    assert head.max_roll_error_deg == pytest.approx(20)
    assert measure_head(estimated, np.full((6, 3), nan)) is None


def test_only_roll_labelled():
    true = np.array([[np.nan, np.nan, 0.1]])
    assert measure_head(np.zeros((1, 3)), true).n == 0
    assert measure_head(np.zeros((1, 3)), true).mean_roll_error_deg == pytest.approx(
        np.degrees(0.1))


def test_shut_eyes_by_the_wider_eye():
    nan = np.nan
    #                    found       one open    wink ignored  unknown     one eye known
    openness = np.array([[0.1, 0.4], [0.1, 0.6], [0.1, 0.1], [nan, nan], [nan, 0.2],
                         [0.9, 0.8], [0.4, 0.3], [nan, nan]])
    true = np.array([0, 0, 0.5, 0, 0, 1, 1, 1])
    eyes = measure_eyes(openness, true)
    assert (eyes.shut, eyes.open, eyes.unknown) == (4, 3, 2)
    assert eyes.shut_found_share == pytest.approx(2 / 4)  # unknown is not found
    assert eyes.open_taken_for_shut_share == pytest.approx(1 / 2)
    unknown = measure_eyes(np.full((8, 2), nan), true)
    assert unknown.shut_found_share is unknown.open_taken_for_shut_share is None
    assert measure_eyes(openness, np.full(8, 0.5)) is None
    assert measure_eyes(openness, np.full(8, nan)) is None


@given(st.integers(0, 2 ** 32 - 1), st.floats(0.3, 3.0))
def test_reliability_of_a_sigma_that_is_true_or_wrong_by_a_factor(seed, factor):
    """Errors are normal in two axes; a true sigma covers 68 %, twice as much 99 %."""
    rng = np.random.default_rng(seed)
    sigma = np.radians(rng.uniform(3, 40, 4000))
    errors = rng.rayleigh(sigma / np.sqrt(-2 * np.log(0.32)))
    true = measure_reliability(errors, sigma)
    assert true.n == 4000
    assert true.within_1_sigma_share == pytest.approx(0.68, abs=0.04)
    assert true.within_2_sigma_share == pytest.approx(0.9895, abs=0.01)
    assert sum(b.n for b in true.bins) == 4000
    for b in (b for b in true.bins if b.n):
        assert b.from_deg <= b.mean_sigma_deg <= (b.to_deg or 40)
        assert b.rms_error_deg == pytest.approx(0.937 * b.mean_sigma_deg, rel=0.25)
        assert b.within_1_sigma_share == pytest.approx(0.68, abs=0.16)
    wrong = measure_reliability(errors, sigma * factor)
    assert wrong.within_1_sigma_share == pytest.approx(1 - 0.32 ** (factor ** 2), abs=0.04)


def test_reliability_counts_sure_and_large_errors():
    reliability = measure_reliability(
        np.radians([41, 41, 39, 90, 41, np.nan]), np.radians([14, 15, 5, 2, np.nan, 3]))
    assert (reliability.n, reliability.over_40) == (4, 3)
    assert reliability.over_40_with_sigma_below_15 == 2
    assert [b.n for b in reliability.bins] == [1, 1, 1, 1, 0, 0]
    assert measure_reliability(np.zeros(2), np.full(2, np.nan)) is None
