import math

from gaze_ros.core.tracking.one_euro import OneEuroSmoother
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

PITCH = st.floats(-math.pi / 2, math.pi / 2)
YAW = st.floats(-math.pi, math.pi)


@pytest.mark.parametrize('rate', [4, 10, 60])
@pytest.mark.parametrize('time', [0.1, 0.5])
def test_step_response_reaches_63_percent_after_the_time_constant(rate, time):
    smoother = OneEuroSmoother(time)
    smoother.update('f1', 0.0, 0.0, 0.0)
    for i in range(1, 2 * rate + 1):
        pitch, yaw = smoother.update('f1', 0.1, -0.1, i / rate)
        part = 1 - math.exp(-i / rate / time)
        assert (pitch, yaw) == pytest.approx((0.1 * part, -0.1 * part), abs=3e-4)


def test_result_does_not_depend_on_the_frame_rate():
    found = []
    for rate in (10, 20, 60):
        smoother = OneEuroSmoother(0.4)
        for i in range(4 * rate + 1):
            t = i / rate
            last = smoother.update('f1', 0.1 * math.cos(t), 0.3 * math.sin(t), t)
        found.append(last)
    assert found[0] == pytest.approx(found[2], abs=0.02)
    assert found[1] == pytest.approx(found[2], abs=0.01)
    assert found[2] != pytest.approx((0.1 * math.cos(4), 0.3 * math.sin(4)), abs=0.03)


@given(PITCH, YAW, PITCH, YAW)
def test_zero_time_constant_does_not_smooth(pitch, yaw, pitch2, yaw2):
    smoother = OneEuroSmoother(0.0)
    assert smoother.update('f1', pitch, yaw, 0.0) == (pitch, yaw)
    assert smoother.update('f1', pitch2, yaw2, 0.03) == (pitch2, yaw2)


@pytest.mark.parametrize('unknown', [
    (math.nan, math.nan), (math.nan, 0.0), (0.0, math.nan), (math.inf, 0.0)])
def test_unknown_gaze_passes_and_does_not_affect_the_state(unknown):
    with_gap, without = OneEuroSmoother(0.2), OneEuroSmoother(0.2)
    for smoother in (with_gap, without):
        smoother.update('f1', 0.1, 0.2, 0.0)
    assert all(map(math.isnan, with_gap.update('f1', *unknown, 0.1)))
    assert with_gap.update('f1', 0.3, -0.2, 0.2) == without.update('f1', 0.3, -0.2, 0.2)


def test_tracks_are_smoothed_independently():
    smoother = OneEuroSmoother(0.2)
    smoother.update('f1', 0.0, 0.0, 0.0)
    assert smoother.update('f2', 0.3, 0.3, 0.03) == (0.3, 0.3)
    assert smoother.update('f1', 0.0, 0.0, 0.06) == pytest.approx((0.0, 0.0))


def test_filter_restarts_after_the_timeout():
    smoother = OneEuroSmoother(0.2, timeout=0.5)
    smoother.update('f1', 0.0, 0.0, 5.0)
    assert smoother.update('f1', 0.3, -0.4, 5.6) == (0.3, -0.4)


def test_gaze_at_an_equal_time_changes_nothing():
    plain, pairs = OneEuroSmoother(0.2, beta=1.5), OneEuroSmoother(0.2, beta=1.5)
    for i in range(30):
        yaw = math.sin(i)
        expected = plain.update('f1', 0.0, yaw, i / 30)
        assert pairs.update('f1', 0.0, yaw, i / 30) == expected
        assert pairs.update('f1', 0.0, -yaw, i / 30) == pytest.approx(expected)
        plain.prune(i / 30)
        pairs.prune(i / 30)


def test_memory_is_bounded():
    smoother = OneEuroSmoother(0.2, timeout=0.5)
    for i in range(1000):
        smoother.update(f'f{i}', 0.0, 0.0, i / 10)
        smoother.prune(i / 10)
        assert len(smoother._states) <= 6
    smoother.prune(200.0)
    assert not smoother._states


def smoothed(smoother, yaws, rate):
    return np.array([smoother.update('f1', 0.0, yaw, i / rate)[1] for i, yaw in enumerate(yaws)])


@pytest.mark.parametrize('rate', [10, 30])
def test_lag_and_jitter_are_lower_than_with_a_plain_average(rate):
    """The paper's promise, with the defaults, against the average they replace."""
    noise = np.random.default_rng(5).normal(0, 0.01, 20 * rate)
    turn = 0.5 * (np.arange(2 * rate) >= rate)
    late, jitter = [], []
    for time, beta in ((0.1, 0.0), (0.2, 1.5)):
        filtered = smoothed(OneEuroSmoother(time, beta=beta), turn, rate)
        late.append(np.abs(turn - filtered).sum() / 0.5 / rate)
        jitter.append(np.diff(smoothed(OneEuroSmoother(time, beta=beta), noise, rate)).std())
    assert late[1] < 0.6 * late[0]
    assert jitter[1] < 0.9 * jitter[0]


def test_beta_does_not_depend_on_the_frame_rate():
    found = []
    for rate in (10, 30, 90):
        yaws = 0.4 * np.sin(np.arange(2 * rate) / rate)
        found.append(smoothed(OneEuroSmoother(0.3, beta=2.0), yaws, rate)[-1])
    assert found == pytest.approx([found[2]] * 3, abs=0.02)


def test_cutoff_is_that_of_the_paper():
    """At a steady speed the filter is behind by the time constant of its cutoff."""
    rate, speed, beta = 200, 0.4, 3.0
    yaws = speed * np.arange(3 * rate) / rate
    behind = yaws[-1] - smoothed(OneEuroSmoother(0.5, beta=beta), yaws, rate)[-1]
    cutoff = 1 / (2 * math.pi * 0.5) + beta * speed
    assert behind / speed == pytest.approx(1 / (2 * math.pi * cutoff), abs=0.6 / rate)


@pytest.mark.parametrize('beta', [0.0, 1.5])
@pytest.mark.parametrize(('a', 'b', 'middle'), [
    ((0.0, 3.1), (0.0, -3.1), (0.0, math.pi)), ((0.2, 1.5), (0.2, 1.64), (0.2, 1.57)),
    ((1.52, 0.0), (1.52, math.pi), (math.pi / 2, None))])
def test_nothing_breaks_near_90_and_180_degrees(a, b, middle, beta):
    smoother = OneEuroSmoother(0.05, beta=beta)
    for i in range(40):
        pitch, yaw = smoother.update('f1', *(a, b)[i % 2], i / 30)
        assert pitch == pytest.approx(middle[0], abs=0.06)
        if middle[1] is not None:
            assert math.cos(yaw - middle[1]) > math.cos(0.1)


@given(st.lists(st.tuples(PITCH, YAW, st.floats(-1, 1)), max_size=20),
       st.floats(0, 10), st.floats(0, 2), st.floats(0, 100))
def test_finite_gaze_stays_finite(samples, time, timeout, beta):
    smoother = OneEuroSmoother(time, timeout, beta)
    stamp = 0.0
    for pitch, yaw, step in samples:
        stamp += step
        out = smoother.update('f1', pitch, yaw, stamp)
        assert all(map(math.isfinite, out))
        assert abs(out[0]) <= math.pi / 2 + 1e-9
        assert abs(out[1]) <= math.pi + 1e-9


def test_opposite_gazes_give_a_valid_direction():
    smoother = OneEuroSmoother(0.1, timeout=1)
    smoother.update('f1', 0.0, 0.0, 0.0)
    out = smoother.update('f1', 0.0, math.pi, 0.1 * math.log(2))
    assert all(map(math.isfinite, out))


def turn(yaw):
    return np.array([0.0, math.sin(yaw / 2), 0.0, math.cos(yaw / 2)])


@pytest.mark.parametrize('rate', [5, 30])
def test_head_step_response(rate):
    smoother = OneEuroSmoother(0.5)
    smoother.update_head('f1', 1.0, turn(0.0), 0.0)
    for i in range(1, rate + 1):
        away, orientation = smoother.update_head('f1', 2.0, turn(0.2), i / rate)
        part = 1 - math.exp(-i / rate / 0.5)
        assert math.log(away) == pytest.approx(part * math.log(2))
        assert orientation == pytest.approx(turn(0.2 * part), abs=3e-4)


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(-3.1, 3.1))
def test_zero_time_constant_does_not_smooth_heads(first, second, yaw):
    smoother = OneEuroSmoother(0.0)
    smoother.update_head('f1', first, turn(0.0), 0.0)
    away, orientation = smoother.update_head('f1', second, turn(yaw), 0.03)
    assert away == second
    np.testing.assert_array_equal(orientation, turn(yaw))


def test_range_does_not_lag_when_walking_and_is_steady_when_standing():
    random = np.random.default_rng(1)
    walking, standing = (OneEuroSmoother(0.2, beta=1.5) for _ in range(2))
    lags, raw, kept = [], [], []
    for i in range(90):
        true = 5.0 - 1.5 * i / 30
        away, _ = walking.update_head('f1', true, turn(0), i / 30)
        lags.append(away / true - 1)
        raw.append(2.0 * math.exp(random.normal(0, 0.01)))
        kept.append(standing.update_head('f1', raw[-1], turn(0), i / 30)[0])
    assert 0 < max(lags[15:]) < 0.06
    assert np.abs(np.diff(kept)).mean() < 0.5 * np.abs(np.diff(raw)).mean()


@given(st.lists(st.booleans(), min_size=5, max_size=20))
def test_sign_of_the_quaternion_does_not_matter(signs):
    plain, signed = OneEuroSmoother(0.3), OneEuroSmoother(0.3)
    for i, sign in enumerate(signs):
        _, one = plain.update_head('f1', 1.0, turn(0.1 * i), i / 30)
        _, other = signed.update_head('f1', 1.0, -turn(0.1 * i) if sign else turn(0.1 * i), i / 30)
        assert abs(np.dot(one, other)) == pytest.approx(1)
        assert np.linalg.norm(other) == pytest.approx(1)


def test_head_and_gaze_states_are_separate_and_pruned():
    smoother = OneEuroSmoother(0.3, timeout=0.5)
    for i in range(50):
        smoother.update(f'f{i}', 0.1, 0.2, i / 10)
        away, orientation = smoother.update_head(f'f{i}', 3.0, turn(1.0), i / 10)
        assert (away, orientation.tolist()) == (3.0, turn(1.0).tolist())
        smoother.prune(i / 10)
    assert len(smoother._states) <= 18
