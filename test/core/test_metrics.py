from gaze_ros.core.evaluation.metrics import angular_errors, correlation, measure
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
