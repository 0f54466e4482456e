"""Things that people may look at: points, spheres and rectangles in TF frames, from YAML."""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.incidence import (
    Incidence,
    incidence,
    outline_radius,
    Rectangle,
    Shape,
    Sphere,
)
from gaze_ros.core.geometry.rotations import rotation_from_rpy
from gaze_ros.core.output import safe_paths
from gaze_ros.core.system.safe_files import parse_yaml, read_text
from gaze_ros.core.types import Gaze
import numpy as np

#: Most targets in a file.
MAX_TARGETS = 100
#: Longest name, characters; largest number, meters or pixels.
_MAX_NAME, _MAX_NUMBER = 60, 100_000

_KEYS = ('name', 'frame', 'position', 'rpy', 'radius', 'size', 'resolution', 'robot')


class Pose(NamedTuple):
    """Where a TF frame is in the optical frame of the images.

    :ivar rotation: (3, 3).
    :ivar translation: (3,), meters.
    """

    rotation: np.ndarray
    translation: np.ndarray


#: The optical frame itself.
IDENTITY = Pose(np.eye(3), np.zeros(3))


@dataclass(frozen=True, slots=True)
class Target:
    """Something to look at.

    :ivar frame: TF frame of ``shape``; '' for the optical frame of the images.
    :ivar shape: in that frame, meters.
    :ivar resolution: width and height of a screen, pixels; None if it is not a screen.
    :ivar robot: whether who looks at it looks at the robot.
    """

    name: str
    shape: Shape
    frame: str = ''
    resolution: Optional[tuple[int, int]] = None
    robot: bool = False

    def placed(self, pose: Pose) -> 'Target':
        """Return the target in the optical frame; for ``IDENTITY`` it is the same.

        :param pose: of its frame.
        """
        if pose is IDENTITY:
            return self
        shape = self.shape
        center = pose.rotation @ shape.center + pose.translation
        if isinstance(shape, Sphere):
            moved: Shape = Sphere(center, shape.radius)
        else:
            moved = Rectangle(
                center, pose.rotation @ shape.axes, shape.size, shape.one_sided)
        return Target(self.name, moved, '', self.resolution, self.robot)

    def pixel(self, position: tuple[float, float]) -> tuple[float, float]:
        """Return the pixel of a position on a screen; NaN for what is none.

        (0, 0) is the upper left corner of the screen, as its viewer sees it.

        :param position: of an :class:`Incidence`.
        """
        if self.resolution is None:
            return math.nan, math.nan
        return tuple((p + 0.5) * n for p, n in zip(position, self.resolution))


class TargetSet:
    """Targets in the optical frame; finds quickly those that a gaze passes near."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._targets = list(targets)
        self._centers = np.array([target.shape.center for target in self._targets]).reshape(-1, 3)
        self._radii = np.array([outline_radius(target.shape) for target in self._targets])

    def __bool__(self) -> bool:
        return bool(self._targets)

    def near(self, gaze: Gaze, angle: float) -> list[Target]:
        """Return the targets around which a circle is within an angle of the gaze.

        :param angle: radians.
        """
        to = self._centers - gaze.origin
        distances = np.sqrt((to * to).sum(axis=1))
        with np.errstate(divide='ignore', invalid='ignore'):
            off = np.arccos(np.clip(to @ gaze.direction / distances, -1.0, 1.0))
            limits = np.arcsin(np.minimum(self._radii / distances, 1.0)) + angle
        limits[self._radii >= distances] = math.pi
        return [self._targets[i] for i in np.flatnonzero(off <= limits).tolist()]


class Hit(NamedTuple):
    """The target of a gaze in one image."""

    target: Target
    incidence: Incidence


def best_hit(gaze: Gaze, targets: Iterable[Target], angle: float,
             bonus: Mapping[str, float] = MappingProxyType({})) -> Optional[Hit]:
    """Return the target that explains a gaze best; None if no target is likely enough.

    Candidates are the targets at which the true gaze is as likely as not, or passes them by less
    than ``angle``. The best is the one with the largest likelihood if people look at all places of
    a target alike: probability per solid angle. So a cup on a table comes before the table. A gaze
    without a standard deviation counts as exact.

    :param targets: in the optical frame.
    :param angle: radians.
    :param bonus: radians to be added to ``angle``, by name.
    """
    best, best_likelihood = None, 0.0
    for target in targets:
        found = incidence(
            target.shape, gaze.origin, gaze.direction, gaze.stddev, gaze.range_stddev,
            angle + bonus.get(target.name, 0.0), far=0.0)
        if found is not None and found.share >= 0.5 and found.likelihood > best_likelihood:
            best, best_likelihood = Hit(target, found), found.likelihood
    return best


def load_targets(path: str) -> list[Target]:
    """Return the targets of a YAML file; [] for ''.

    :raises GazeRosError: if it cannot be read or is not such a file; the text names the entry.
    """
    if not path:
        return []
    try:
        return parse_targets(parse_yaml(read_text(safe_paths.safe_path(Path(path)))))
    except OSError as e:
        raise GazeRosError(f"targets_file '{path}' cannot be read: {e}") from e
    except ValueError as e:
        raise GazeRosError(f"targets_file '{path}': {e}") from e


def parse_targets(content: Any) -> list[Target]:
    """Return the targets of the content of a file.

    :raises ValueError: if it is not what docs/targets.md describes.
    """
    entries = content.get('targets') if isinstance(content, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError("expected the key 'targets' with a list")
    if len(entries) > MAX_TARGETS:
        raise ValueError(f'{len(entries)} targets; expected at most {MAX_TARGETS}')
    targets: list[Target] = []
    for number, entry in enumerate(entries, 1):
        try:
            target = _target(entry)
            if target.name in {other.name for other in targets}:
                raise ValueError('another target has this name')
        except ValueError as e:
            name = str(entry.get('name', ''))[:_MAX_NAME] if isinstance(entry, Mapping) else ''
            raise ValueError(f'target {number}{f" {name!r}" if name else ""}: {e}') from None
        targets.append(target)
    return targets


def _target(entry: Any) -> Target:
    if not isinstance(entry, Mapping):
        raise ValueError(f'expected keys with values: {", ".join(_KEYS)}')
    if unknown := [str(key) for key in entry if key not in _KEYS]:
        raise ValueError(f'unknown key {unknown[0][:40]!r}; expected {", ".join(_KEYS)}')
    name, frame, robot = (entry.get(*k) for k in (('name', ''), ('frame', ''), ('robot', False)))
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        raise ValueError(f'name is {name!r}; expected a text of 1 to {_MAX_NAME} characters')
    if not isinstance(frame, str):
        raise ValueError(f'frame is {frame!r}; expected the name of a TF frame')
    if not isinstance(robot, bool):
        raise ValueError(f'robot is {robot!r}; expected true or false')
    center = np.array(_numbers(entry, 'position', 3, (0.0, 0.0, 0.0)))
    radius, size, resolution = (
        entry.get('radius'), _numbers(entry, 'size', 2), _numbers(entry, 'resolution', 2))
    if size is None:
        if extra := [key for key in ('rpy', 'resolution') if key in entry]:
            raise ValueError(f'{extra[0]} needs a size: width and height of a plane (m)')
        return Target(name, Sphere(center, _radius(radius)), frame, None, robot)
    if radius is not None:
        raise ValueError('it has a radius and a size; expected one of them')
    if min(size) <= 0:
        raise ValueError(f'size is {list(size)}; expected width and height above 0 (m)')
    if resolution is not None:
        if min(resolution) < 1:
            raise ValueError(f'resolution is {list(resolution)}; expected at least 1 pixel')
        resolution = int(resolution[0]), int(resolution[1])
    axes = rotation_from_rpy(*_numbers(entry, 'rpy', 3, (0.0, 0.0, 0.0)))
    shape = Rectangle(center, axes, (size[0], size[1]), one_sided=resolution is not None)
    return Target(name, shape, frame, resolution, robot)


def _radius(radius: Any) -> float:
    if radius is None:
        return 0.0
    if not _is_number(radius) or radius < 0:
        raise ValueError(f'radius is {radius!r}; expected a number of at least 0 (m)')
    return float(radius)


def _numbers(entry: Mapping, key: str, count: int, default: Optional[tuple[float, ...]] = None
             ) -> Optional[tuple[float, ...]]:
    value = entry.get(key)
    if value is None:
        return default
    if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
        raise ValueError(f'{key} is {str(value)[:60]}; expected a list of {count} numbers')
    return tuple(float(number) for number in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (
        abs(value) <= _MAX_NUMBER)
