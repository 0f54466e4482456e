"""Where a gaze meets a sphere, a rectangle or a point, and the probability that it does.

A gaze is a ray from the eyes. Its error is taken as normal in two axes
(:mod:`gaze_ros.core.geometry.angular_error`). The error of the range of the eyes turns the line to
a nearby object, too; it is added along the axis in which it does. Rays drawn from this
distribution are tested one by one: a fixed set of them, so that the result does not jitter.
"""
from dataclasses import dataclass
import math
from typing import Optional, Union

from gaze_ros.core.geometry.angular_error import PER_AXIS
import numpy as np

#: Number of rays. The probability differs by less than 0.02 from that of infinitely many.
_RAYS = 256
#: Smallest part of a ray along the normal of a rectangle with which it is taken to meet the plane.
_GRAZING = 1e-3
#: Smallest cosine with which a rectangle is foreshortened in its solid angle.
_MIN_SLANT = 0.2


@dataclass(frozen=True, slots=True)
class Sphere:
    """A sphere, or a point with radius 0; in the optical frame, meters.

    :ivar center: (3,).
    """

    center: np.ndarray
    radius: float = 0.0


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle in the optical frame, meters.

    :ivar center: (3,).
    :ivar axes: (3, 3) rotation: its columns point to the right, down, and into the rectangle, for
        somebody in front of it.
    :ivar size: width and height.
    :ivar one_sided: whether only rays from the front meet it.
    """

    center: np.ndarray
    axes: np.ndarray
    size: tuple[float, float]
    one_sided: bool = False


Shape = Union[Sphere, Rectangle]


@dataclass(frozen=True, slots=True)
class Incidence:
    """How a gaze meets a shape.

    :ivar share: of the rays that meet it, or pass it by less than the margin, 0..1. It is the
        probability that the true gaze does, if the standard deviation of the gaze is known.
    :ivar solid_angle: of the shape with its margin, seen from the eyes, steradian.
    :ivar point: (3,) where the measured gaze meets the shape, or the nearest point of the shape,
        meters.
    :ivar position: the same point on a rectangle, right and down from its centre, in parts of its
        size, -0.5 .. 0.5; NaN for others.
    :ivar stddev_known: whether the gaze has a standard deviation; without, it is taken as exact.
    """

    share: float
    solid_angle: float
    point: np.ndarray
    position: tuple[float, float] = (math.nan, math.nan)
    stddev_known: bool = True

    @property
    def probability(self) -> float:
        """Probability that the true gaze meets it, 0..1; NaN without a standard deviation."""
        return self.share if self.stddev_known else math.nan

    @property
    def likelihood(self) -> float:
        """Likelihood of the gaze if people look at all places of the shape alike, 1/sr."""
        return self.share / self.solid_angle


def _unit_disc() -> np.ndarray:
    """Return (2, 1 + _RAYS): the origin, and the normal distribution in two axes as a spiral."""
    index = np.arange(_RAYS) + 0.5
    radius = np.sqrt(-2 * np.log(1 - index / _RAYS))
    turn = index * math.pi * (3 - math.sqrt(5))
    points = np.array((radius * np.cos(turn), radius * np.sin(turn)))
    return np.concatenate((np.zeros((2, 1)), points), axis=1)


_NORMAL = _unit_disc()


def incidence(shape: Shape, origin: np.ndarray, direction: np.ndarray, stddev: float,
              range_stddev: float = 0.0, margin: float = 0.0, far: float = 3.5
              ) -> Optional[Incidence]:
    """Return how a gaze meets a shape; None if it does not come near it.

    :param origin: (3,) of the gaze, meters.
    :param direction: (3,) unit vector.
    :param stddev: of the gaze, radians; NaN if unknown.
    :param range_stddev: of the origin along the ray from the lens, meters.
    :param margin: angle by which a gaze may pass the shape, radians.
    :param far: in standard deviations: a circle around the shape that is farther from the gaze
        is not met. With 0, None if the probability is surely below one half.
    """
    to = shape.center - origin
    distance = float(np.linalg.norm(to))
    if not distance > 1e-6:
        return None
    # Nobody looks at what their eyes are in: a person that a detector has found as an object.
    if (distance <= shape.radius if isinstance(shape, Sphere) else
            shape.one_sided and to @ shape.axes[:, 2] <= 0):
        return None
    # In the plane across the gaze: the error of the direction, and that of the origin.
    basis = _across(direction)
    axis = stddev / PER_AXIS if stddev > 0 else 0.0  # NaN is not
    lens = origin / max(math.hypot(*origin.tolist()), 1e-9)
    shift = basis @ lens * (min(range_stddev, distance) / distance if range_stddev > 0 else 0.0)
    spread = math.hypot(axis, *shift.tolist())
    # No rays are drawn for what is far outside.
    angle = math.acos(max(-1.0, min(1.0, float(direction @ to) / distance)))
    if angle > _angular_radius(shape, distance) + margin + far * spread:
        return None
    rays = direction[:, None]
    if spread:
        # The root of the covariance axis^2 I + shift shift'.
        size = math.hypot(*shift.tolist())
        along = shift / size if size else shift
        root = axis * np.eye(2) + (spread - axis) * np.outer(along, along)
        tangent = (root @ basis).T @ _NORMAL
        length = np.sqrt((tangent * tangent).sum(axis=0))
        # The first is the measured gaze.
        rays = np.cos(length) * rays + np.sin(length) / np.maximum(length, 1e-9) * tangent
    met, point = (_meet_sphere if isinstance(shape, Sphere) else _meet_rectangle)(
        shape, to, rays, margin)
    share = float(met[1:].mean()) if spread else float(met[0])
    point = origin + point
    position = (math.nan, math.nan)
    if isinstance(shape, Rectangle):
        x, y, _ = ((point - shape.center) @ shape.axes).tolist()
        position = x / shape.size[0], y / shape.size[1]
    return Incidence(share, _solid_angle(shape, to, distance, margin), point, position,
                     math.isfinite(stddev))


def _across(direction: np.ndarray) -> np.ndarray:
    """Return two unit vectors (2, 3) across a direction and each other."""
    x, y, z = direction.tolist()
    # Across x, or across y where the direction is close to x.
    first = np.array([0.0, -z, y]) if abs(x) < 0.6 else np.array([z, 0.0, -x])
    first /= math.hypot(*first.tolist())
    return np.array([first, [
        y * first[2] - z * first[1], z * first[0] - x * first[2], x * first[1] - y * first[0]]])


def outline_radius(shape: Shape) -> float:
    """Return the distance from the centre to the farthest point, meters."""
    return shape.radius if isinstance(shape, Sphere) else math.hypot(*shape.size) / 2


def _angular_radius(shape: Shape, distance: float) -> float:
    """Return the angle between the centre and the farthest outline, radians."""
    radius = outline_radius(shape)
    return math.asin(radius / distance) if radius < distance else math.pi


def _solid_angle(shape: Shape, to: np.ndarray, distance: float, margin: float) -> float:
    """Return the solid angle of a shape that is wider by the margin on all sides, about."""
    if isinstance(shape, Sphere):
        angle = min(_angular_radius(shape, distance) + margin, math.pi)
        return max(2 * math.pi * (1 - math.cos(angle)), 1e-9)
    slant = abs(float(to @ shape.axes[:, 2])) / distance
    width, height = (2 * math.atan(side / 2 / distance) + 2 * margin for side in shape.size)
    return min(width * height * max(slant, _MIN_SLANT), 4 * math.pi)


def _meet_sphere(shape: Sphere, to: np.ndarray, rays: np.ndarray, margin: float
                 ) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) which rays meet the sphere, and (3,) where the first does.

    :param to: (3,) from the origin of the rays to the centre.
    :param rays: (3, N) unit vectors.
    """
    distance = math.hypot(*to.tolist())
    along = to @ rays
    met = along >= distance * math.cos(min(_angular_radius(shape, distance) + margin, math.pi))
    # Where the ray enters; if it passes, the point of the sphere that is nearest to it.
    closest = along[0] * rays[:, 0]
    aside = math.hypot(*(to - closest).tolist())
    if aside <= shape.radius < distance and along[0] > 0:
        return met, closest - math.sqrt(shape.radius ** 2 - aside ** 2) * rays[:, 0]
    return met, to + min(shape.radius / max(aside, 1e-9), 1.0) * (closest - to)


def _meet_rectangle(shape: Rectangle, to: np.ndarray, rays: np.ndarray, margin: float
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) which rays meet the rectangle, and (3,) its nearest point to the first.

    The nearest point is that to the intersection with its plane.

    :param to: (3,) from the origin of the rays to the centre.
    :param rays: (3, N) unit vectors.
    """
    right, down, depth = (to @ shape.axes).tolist()
    x, y, z = local = shape.axes.T @ rays
    # A ray that never meets the plane comes nearest to it in the far.
    toward = z if depth > 0 else -z
    reach = abs(depth) / np.maximum(toward, _GRAZING)
    half_width, half_height = shape.size[0] / 2, shape.size[1] / 2
    u, v = reach * x - right, reach * y - down
    met = (np.abs(u) <= half_width) & (np.abs(v) <= half_height) & (toward > 0)
    u = np.minimum(np.maximum(u, -half_width), half_width)
    v = np.minimum(np.maximum(v, -half_height), half_height)
    if margin > 0:
        nearest = np.array((u + right, v + down, np.full(len(u), depth)))
        met |= (nearest * local).sum(axis=0) >= math.cos(margin) * np.sqrt(
            (nearest * nearest).sum(axis=0))
    return met, to + shape.axes @ (u[0], v[0], 0.0)
