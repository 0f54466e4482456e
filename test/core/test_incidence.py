"""Rays that meet spheres and rectangles, against simulation and closed forms."""
import math

from gaze_ros.core.geometry.angular_error import even_odds_angle, PER_AXIS
from gaze_ros.core.geometry.incidence import incidence, Rectangle, Sphere
from gaze_ros.core.geometry.rotations import rotation_from_rpy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

EYES = np.array([0.2, -0.1, 1.5])
RNG = np.random.default_rng(0)


def unit(vector):
    return np.asarray(vector, float) / np.linalg.norm(vector)


def drawn(direction, stddev, count=40_000):
    """Return directions whose angles to the first have this standard deviation (68 %)."""
    aside = np.linalg.svd(direction[None])[2][1:]
    errors = RNG.normal(0, stddev / PER_AXIS, (count, 2))
    angle = np.hypot(*errors.T)[:, None]
    return np.cos(angle) * direction + np.sin(angle) * (errors / angle) @ aside


def meets_sphere(shape, origins, directions, margin):
    to = shape.center - origins
    distance = np.linalg.norm(to, axis=-1)
    angle = np.arccos(np.clip((to * directions).sum(-1) / distance, -1, 1))
    return angle <= np.arcsin(np.minimum(shape.radius / distance, 1)) + margin


def meets_rectangle(shape, origins, directions):
    to = (shape.center - origins) @ shape.axes
    local = directions @ shape.axes
    t = to[..., 2] / local[:, 2]
    on = local[:, :2] * t[:, None] - to[..., :2]
    return (t > 0) & (np.abs(on) <= np.array(shape.size) / 2).all(axis=1)


def looking(shape, off, turn):
    """Return a direction that passes the centre by the angle off."""
    to = unit(shape.center - EYES)
    a, b = np.linalg.svd(to[None])[2][1:]
    return math.cos(off) * to + math.sin(off) * (math.cos(turn) * a + math.sin(turn) * b)


places = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.5, 1)).map(np.array)
angles, turns = st.floats(0, 0.4), st.floats(0, 2 * math.pi)


@settings(max_examples=40, deadline=None)
@given(places, st.floats(0.02, 0.3), angles, turns, st.floats(0.02, 0.3), st.floats(0, 0.2))
def test_sphere_is_met_as_often_as_in_simulation(center, radius, off, turn, stddev, margin):
    shape = Sphere(center, radius)
    assume(np.linalg.norm(center - EYES) > 0.5)
    direction = looking(shape, off, turn)
    found = incidence(shape, EYES, direction, stddev, margin=margin)
    simulated = meets_sphere(shape, EYES, drawn(direction, stddev), margin).mean()
    assert (found.probability if found else 0.0) == pytest.approx(simulated, abs=0.03)


@settings(max_examples=40, deadline=None)
@given(places, st.tuples(turns, turns, turns), st.floats(0.1, 1.5), st.floats(0.1, 1.5), angles,
       turns, st.floats(0.02, 0.3))
def test_rectangle_is_met_as_often_as_in_simulation(
        center, rpy, width, height, off, turn, stddev):
    shape = Rectangle(center, rotation_from_rpy(*rpy), (width, height))
    to = center - EYES
    assume(np.linalg.norm(to) > 0.5 and abs(to @ shape.axes[:, 2]) > 0.05)
    direction = looking(shape, off, turn)
    found = incidence(shape, EYES, direction, stddev)
    simulated = meets_rectangle(shape, EYES, drawn(direction, stddev)).mean()
    assert (found.probability if found else 0.0) == pytest.approx(simulated, abs=0.03)


@settings(max_examples=30, deadline=None)
@given(places, st.floats(0.05, 0.3), angles, turns, st.floats(0.03, 0.2), st.floats(0, 0.2))
def test_error_of_the_range_counts_as_in_simulation(
        center, radius, off, turn, stddev, range_stddev):
    shape = Sphere(center, radius)
    assume(np.linalg.norm(center - EYES) > 1.0)
    direction = looking(shape, off, turn)
    found = incidence(shape, EYES, direction, stddev, range_stddev)
    rays = drawn(direction, stddev)
    origins = EYES + RNG.normal(0, range_stddev, (len(rays), 1)) * unit(EYES)
    simulated = meets_sphere(shape, origins, rays, 0.0).mean()
    assert (found.probability if found else 0.0) == pytest.approx(simulated, abs=0.05)


@pytest.mark.parametrize('stddev', [0.05, 0.15, 0.25])
def test_point_with_a_margin_is_met_by_even_odds_where_a_person_is(stddev):
    limit = even_odds_angle(0.25, stddev)
    point = Sphere(EYES + (0, 0, -1.0))
    for off, likely in ((limit - 0.01, True), (limit + 0.01, False)):
        found = incidence(point, EYES, looking(point, off, 1.0), stddev, margin=0.25)
        assert (found.probability >= 0.5) == likely


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)),
       st.floats(-0.49, 0.49), st.floats(-0.49, 0.49))
def test_place_on_a_tilted_screen_is_exact(rpy, x, y):
    axes = rotation_from_rpy(*rpy) @ rotation_from_rpy(0, math.pi, 0)
    screen = Rectangle(np.array([0.0, 0.3, 0.2]), axes, (0.6, 0.34), one_sided=True)
    at = screen.center + axes @ (0.6 * x, 0.34 * y, 0)
    assume((screen.center - EYES) @ axes[:, 2] > 0.1)
    found = incidence(screen, EYES, unit(at - EYES), 0.05)
    assert found.position == pytest.approx((x, y), abs=1e-6)
    assert found.point == pytest.approx(at, abs=1e-6)


def test_screen_is_met_from_the_front_only():
    for turn, met in ((math.pi, True), (0.0, False)):
        screen = Rectangle(EYES + (0, 0, -1), rotation_from_rpy(0, turn, 0), (1, 1), True)
        assert bool(incidence(screen, EYES, np.array([0, 0, -1.0]), 0.1)) == met


def test_gaze_without_a_standard_deviation_meets_or_does_not():
    ball = Sphere(EYES + (0, 0, -1), 0.1)
    inside, outside = (incidence(ball, EYES, looking(ball, off, 0), math.nan, margin=0.05)
                       for off in (0.14, 0.16))
    assert inside.share == 1.0 and outside is None
    assert math.isnan(inside.probability) and inside.likelihood > 0


@given(angles, turns)
def test_point_of_incidence_on_a_sphere_is_where_the_ray_enters(off, turn):
    ball = Sphere(EYES + (0.2, 0, -1), 0.3)
    direction = looking(ball, off, turn)
    found = incidence(ball, EYES, direction, 0.3, margin=0.5)
    to = found.point - EYES
    assert np.linalg.norm(found.point - ball.center) == pytest.approx(0.3)
    if off < 0.29:
        assert unit(to) == pytest.approx(direction, abs=1e-6)
        assert np.linalg.norm(to) < 1.02


def test_eyes_at_the_target_or_unknown_meet_nothing():
    ahead = np.array([0, 0, -1.0])
    assert incidence(Sphere(EYES, 0.1), EYES, ahead, 0.1) is None
    assert incidence(Sphere(EYES, 0.1), np.full(3, math.nan), ahead, 0.1) is None
