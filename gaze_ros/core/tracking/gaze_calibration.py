"""Calibration of a person: removes the constant error that the gaze of one person has.

A person looks at a known target, ideally while the head moves. The difference between the measured
and the true direction, in axes of the head, is that person's offset. What it gains is measured in
docs/calibration.md.
"""
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
import math
from pathlib import Path
from threading import Lock
from typing import Any, Optional, Union

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.angular_error import confidence
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles, view_frame
from gaze_ros.core.geometry.rotations import head_angles
from gaze_ros.core.output import safe_paths
from gaze_ros.core.system.safe_files import parse_yaml, read_text
from gaze_ros.core.types import Estimate
import numpy as np
import yaml

#: The lens, as a target: the origin of the optical frame.
LENS = np.zeros(3)
#: Minimum number of samples with a known gaze, in all looks together.
MIN_SAMPLES = 15
#: Distance in meters below which two targets are the same: the newer look replaces the older.
SAME_TARGET = 0.05

#: Weight of "no offset", in looks from one pose: an image of one pose says as much about that
#: pose as about the person. 0.5 to 1 is best on Columbia Gaze, 0 makes one look harmful there.
_PRIOR_LOOKS = 0.5
#: What the error at one target says only about this target, radians: an offset that is not larger
#: is halved again.
_TARGET_NOISE = math.radians(4)
#: Turn of the head in radians that makes a look count as one more, and the most it can count.
_TURN_PER_LOOK, _MAX_LOOKS = math.radians(15), 5.0
#: The stddev after n looks is at least this share of the one before, as on Columbia Gaze:
#: 0.70 + 0.16 / n.
_BEST_FACTOR, _FACTOR_PER_LOOK = 0.70, 0.16
#: Smallest standard deviation that a calibration leaves, radians.
_MIN_STDDEV = math.radians(3)
#: 68 % quantile over median, of an error that is normal in two axes.
_QUANTILE_RATIO = math.sqrt(math.log(0.32) / math.log(0.5))

#: Number of target directions, their distance and their range on an axis in radians, from which
#: on a gain is fitted for it.
_GAIN_TARGETS, _GAIN_DISTANCE, _GAIN_SPREAD = 3, math.radians(5), math.radians(10)
#: Weight of a gain of 1, rad^2: (4 deg of noise of a look / 0.3 expected deviation of a gain)^2.
_GAIN_PRIOR = (math.radians(4) / 0.3) ** 2
#: Smallest and largest gain.
GAINS = 0.5, 2.0

#: Largest plausible offset, and largest median distance of the gaze from its middle, radians:
#: beyond, the person did not look at the target.
MAX_OFFSET, MAX_SPREAD = math.radians(30), math.radians(12)
#: Groups of consecutive samples of a look that are left out in turn.
_BLOCKS = 4
#: Tracks whose calibration is kept.
_MAX_TRACKS = 64


@dataclass(frozen=True)
class GazeCorrection:
    """The correction of the gaze of one person and one model; angles in radians.

    :ivar model: name of the gaze model it was measured with.
    :ivar head_frame: whether its axes are the head's; else those along the ray to the lens.
    :ivar offset_pitch: added to the pitch in these axes, > 0 up.
    :ivar offset_yaw: added to the yaw, > 0 toward the person's left: the right of the image.
    :ivar gain_pitch: factor of the pitch between ``low_pitch`` and ``high_pitch``; beyond, the
        correction stays that of the nearer end. ``gain_yaw``: the same for the yaw.
    :ivar stddev_factor: of the gaze's standard deviation, at most 1.
    :ivar min_stddev: the standard deviation is not reduced below it.
    :ivar targets: number of targets.
    :ivar samples: number of images.
    :ivar residual_before: median angle to the target without the correction, mean of the targets.
    :ivar residual_after: the same with it, each group of images corrected by a fit to the others.
    :raises ValueError: for values that no fit returns; the message names them.
    """

    model: str
    head_frame: bool
    offset_pitch: float
    offset_yaw: float
    gain_pitch: float = 1.0
    gain_yaw: float = 1.0
    low_pitch: float = 0.0
    high_pitch: float = 0.0
    low_yaw: float = 0.0
    high_yaw: float = 0.0
    stddev_factor: float = 1.0
    min_stddev: float = _MIN_STDDEV
    targets: int = 0
    samples: int = 0
    residual_before: float = 0.0
    residual_after: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
                ('offset_pitch', -MAX_OFFSET, MAX_OFFSET), ('offset_yaw', -MAX_OFFSET, MAX_OFFSET),
                ('gain_pitch', *GAINS), ('gain_yaw', *GAINS),
                ('low_pitch', -math.pi, math.pi), ('high_pitch', self.low_pitch, math.pi),
                ('low_yaw', -math.pi, math.pi), ('high_yaw', self.low_yaw, math.pi),
                ('stddev_factor', 0.5, 1.0), ('min_stddev', 0.0, math.pi),
                ('targets', 0, 1e6), ('samples', 0, 1e9),
                ('residual_before', 0.0, math.pi), ('residual_after', 0.0, math.pi)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f'{name} is {value}; expected {low:.3g} to {high:.3g}')

    def apply(self, pitch: float, yaw: float, head_rotation: Optional[np.ndarray] = None
              ) -> tuple[float, float]:
        """Return corrected pitch and yaw in radians, relative to the ray to the lens.

        :param head_rotation: (3, 3) as in :class:`gaze_ros.core.types.Estimate`; None if unknown:
            the correction is then made in axes along the ray.
        :returns: NaN for an unknown gaze.
        """
        if not math.isfinite(pitch + yaw):
            return pitch, yaw
        rotation = head_rotation if self.head_frame else None
        gaze = angles_to_unit(pitch, yaw)
        p, y = unit_to_angles(gaze if rotation is None else gaze @ rotation)
        p += self.offset_pitch + (self.gain_pitch - 1) * min(
            max(p, self.low_pitch), self.high_pitch)
        y += self.offset_yaw + (self.gain_yaw - 1) * min(max(y, self.low_yaw), self.high_yaw)
        gaze = angles_to_unit(p, y)
        return unit_to_angles(gaze if rotation is None else rotation @ gaze)

    def stddev(self, stddev: float) -> float:
        """Return the standard deviation of the corrected gaze; NaN stays NaN."""
        return min(stddev, max(self.stddev_factor * stddev, self.min_stddev)) if (
            math.isfinite(stddev)) else stddev

    def estimate(self, estimate: Estimate) -> Estimate:
        """Return an estimate with its gaze corrected, and the confidence that follows from it."""
        if not math.isfinite(estimate.pitch + estimate.yaw):
            return estimate
        pitch, yaw = self.apply(estimate.pitch, estimate.yaw, estimate.head_rotation)
        stddev = self.stddev(estimate.stddev)
        return replace(
            estimate, pitch=pitch, yaw=yaw, stddev=stddev,
            confidence=confidence(stddev) if math.isfinite(stddev) else estimate.confidence)


@dataclass
class Look:
    """What was measured of one person who looks at one target.

    :ivar target: (3,) point in the optical frame, meters; :data:`LENS` for the lens.
    :ivar gazes: (3,) measured gaze of each image: right, up, toward the lens along the ray.
    :ivar directions: (3,) true direction to the target, in the same axes.
    :ivar rotations: (3, 3) rotation of the head in the same axes, or None.
    """

    target: np.ndarray = field(default_factory=LENS.copy)
    gazes: list[np.ndarray] = field(default_factory=list)
    directions: list[np.ndarray] = field(default_factory=list)
    rotations: list[Optional[np.ndarray]] = field(default_factory=list)

    def add(self, pitch: float, yaw: float, rotation: Optional[np.ndarray],
            direction: np.ndarray) -> None:
        """Add a sample; an unknown gaze is left out.

        :param direction: (3,) to the target, as of :func:`direction_to`.
        """
        if math.isfinite(pitch + yaw) and np.isfinite(direction).all():
            self.gazes.append(angles_to_unit(pitch, yaw))
            self.directions.append(direction)
            self.rotations.append(rotation)


def direction_to(target: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the unit direction (3,) from a face to a point: right, up, toward the lens.

    :param target: (3,) point in the optical frame, meters.
    :param origin: (3,) midpoint between the eyes in the same frame.
    :returns: NaN if both are the same point.
    """
    away = target - origin
    distance = math.hypot(*away.tolist())
    if not distance > 0:
        return np.full(3, math.nan)
    return view_frame(origin / math.hypot(*origin.tolist())) @ away / distance * [1, -1, -1]


@dataclass
class _Group:
    """Samples of a look, in axes of the head or along the ray.

    :ivar measured: (N, 2) pitch and yaw, radians. ``true``: (N, 2) the target's.
    :ivar heads: (N, 2) pitch and yaw of the head; zero if unknown.
    :ivar directions: (N, 3) of the target, along the ray.
    :ivar rotations: (N, 3, 3) from these axes to those along the ray.
    """

    measured: np.ndarray
    true: np.ndarray
    heads: np.ndarray
    directions: np.ndarray
    rotations: np.ndarray

    def take(self, which: np.ndarray) -> '_Group':
        return _Group(*(getattr(self, f.name)[which] for f in fields(self)))

    @property
    def errors(self) -> np.ndarray:
        """(N, 2) true minus measured angles, -pi..pi."""
        return (self.true - self.measured + math.pi) % (2 * math.pi) - math.pi

    @property
    def weight(self) -> float:
        """The number of looks from one pose that this one is worth."""
        low, high = np.percentile(self.heads, [10, 90], axis=0)
        return min(1 + math.hypot(*(high - low)) / _TURN_PER_LOOK, _MAX_LOOKS)

    def weights(self) -> tuple[np.ndarray, float]:
        """Return (N,) weights with the sum :attr:`weight`, and the spread of the errors, radians.

        Huber's weights about the median, 0 beyond five deviations: glances away count little.
        """
        errors = self.errors
        middle = np.median(errors, axis=0)
        for _ in range(10):
            distances = np.hypot(*(errors - middle).T)
            spread = float(np.median(distances))
            deviation = max(spread / 1.1774, math.radians(0.5))  # Rayleigh
            weights = np.minimum(1.0, 2 * deviation / np.maximum(distances, 1e-9))
            weights[distances > 5 * deviation] = 0
            middle = weights @ errors / weights.sum()
        return weights * self.weight / weights.sum(), spread

    def residual(self, correction: '_Fit') -> np.ndarray:
        """Return (N,) angles between the corrected gazes and the target, radians."""
        pitch, yaw = correction.apply(self.measured).T
        gazes = np.stack([np.cos(pitch) * np.sin(yaw), np.sin(pitch),
                          np.cos(pitch) * np.cos(yaw)], axis=1)
        gazes = np.einsum('nij,nj->ni', self.rotations, gazes)
        return np.arccos(np.clip((gazes * self.directions).sum(axis=1), -1.0, 1.0))


@dataclass
class _Fit:
    """Offset (2,), gains (2,) and the range (2,) (2,) of the gains: pitch, yaw."""

    offset: np.ndarray
    gain: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def apply(self, angles: np.ndarray) -> np.ndarray:
        return angles + self.offset + (self.gain - 1) * np.clip(angles, self.low, self.high)


_IDENTITY = _Fit(np.zeros(2), np.ones(2), np.zeros(2), np.zeros(2))
_NO_GAIN = np.zeros(2, bool)


def fit_correction(
        looks: Sequence[Look], model: str = '', minimum: int = MIN_SAMPLES) -> GazeCorrection:
    """Return the correction that fits what was measured.

    The offset is a weighted mean, robust to glances away, and drawn toward 0 by what few looks
    do not tell: a still head at one target corrects less than two thirds of its error, a head that
    turns by 60 degrees nine tenths. Gains are fitted from three target directions on, and only
    where they predict a target left out better than the offset alone.

    :param looks: one per target.
    :param model: name of the model that measured the gazes.
    :param minimum: number of samples that are needed.
    :raises GazeRosError: for too few samples, for a gaze that was not on the target, and if the
        correction does not make it better.
    """
    looks = [look for look in looks if look.gazes]
    count = sum(len(look.gazes) for look in looks)
    if count < max(minimum, 1):
        raise GazeRosError(f'{count} samples with a known gaze; at least {minimum} are needed: '
                           'look at the target for longer, with the face and the eyes visible')
    head_frame = all(rotation is not None for look in looks for rotation in look.rotations)
    groups = [_group(look, head_frame) for look in looks]
    for group in groups:
        spread = group.weights()[1]
        if spread > MAX_SPREAD:
            raise GazeRosError(
                f'the gaze was not at one point: half of the samples are more than '
                f'{math.degrees(spread):.0f} degrees from their middle; expected at most '
                f'{math.degrees(MAX_SPREAD):.0f}: look at the target all the time')
    gained = _gained_axes(groups)
    fit, after = _fit(groups), _left_out(groups)
    if gained.any():
        with_gain, better = _fit(groups, gained), _left_out(groups, gained)
        if better < after and np.abs(with_gain.offset).max() <= MAX_OFFSET:
            fit, after = with_gain, better
    before = _residual(groups, _IDENTITY)
    offset = float(np.abs(fit.offset).max())
    if offset > MAX_OFFSET:
        raise GazeRosError(
            f'the gaze is {math.degrees(offset):.0f} degrees from the target; expected at most '
            f'{math.degrees(MAX_OFFSET):.0f}: look at the target, and check its position')
    if after >= before or _residual(groups, fit) >= before:
        raise GazeRosError(
            f'a correction does not help: {math.degrees(before):.1f} degrees to the target '
            f'without it, {math.degrees(after):.1f} with it')
    weight = sum(group.weight for group in groups)
    return GazeCorrection(
        model, head_frame, *(float(v) for v in (
            *fit.offset, *fit.gain, fit.low[0], fit.high[0], fit.low[1], fit.high[1])),
        stddev_factor=min(max(after / before, _BEST_FACTOR + _FACTOR_PER_LOOK / weight), 1.0),
        min_stddev=max(_QUANTILE_RATIO * after, _MIN_STDDEV), targets=len(groups), samples=count,
        residual_before=before, residual_after=after)


def _group(look: Look, head_frame: bool) -> _Group:
    count = len(look.gazes)
    rotations = np.array(look.rotations, float) if head_frame else np.tile(
        np.eye(3), (count, 1, 1))
    gazes, directions = np.array(look.gazes), np.array(look.directions)
    in_axes = [np.einsum('nji,nj->ni', rotations, v) for v in (gazes, directions)]
    measured, true = (np.array([unit_to_angles(v) for v in vectors]) for vectors in in_axes)
    return _Group(measured, true, np.array([head_angles(r)[:2] for r in rotations]), directions,
                  rotations)


def _gained_axes(groups: list[_Group]) -> np.ndarray:
    """Return (2,) whether the targets are enough and far enough apart for a gain: pitch, yaw."""
    directions: list[np.ndarray] = []
    for group in groups:
        direction = group.directions.mean(axis=0)
        direction /= np.linalg.norm(direction)
        if all(direction @ other < math.cos(_GAIN_DISTANCE) for other in directions):
            directions.append(direction)
    if len(directions) < _GAIN_TARGETS:
        return np.zeros(2, bool)
    return np.ptp([unit_to_angles(d) for d in directions], axis=0) >= _GAIN_SPREAD


def _fit(groups: list[_Group], gained: np.ndarray = _NO_GAIN) -> _Fit:
    weights = np.concatenate([group.weights()[0] for group in groups])
    errors = np.concatenate([group.errors for group in groups])
    measured = np.concatenate([group.measured for group in groups])
    total = weights.sum()
    mean = weights @ measured / total
    gain = np.ones(2)
    if gained.any():
        centred, rest = measured - mean, errors - weights @ errors / total
        slope = weights @ (centred * rest) / (weights @ centred ** 2 + _GAIN_PRIOR)
        gain[gained] = np.clip(1 + slope, *GAINS)[gained]
    low, high = measured[weights > 0].min(axis=0), measured[weights > 0].max(axis=0)
    offset = weights @ (errors - (gain - 1) * measured) / total
    # The part that holds at the mean is drawn toward 0, not the constant of the line.
    at_mean = offset + (gain - 1) * mean
    square = float(at_mean @ at_mean)
    share = total / (total + _PRIOR_LOOKS) * square / (square + _TARGET_NOISE ** 2 / total)
    offset -= (1 - share) * at_mean
    return _Fit(offset, gain, low, high)


def _residual(groups: list[_Group], fit: _Fit) -> float:
    """Return the median angle to the target in radians, mean of the targets."""
    return float(np.mean([np.median(group.residual(fit)) for group in groups]))


def _left_out(groups: list[_Group], gained: np.ndarray = _NO_GAIN) -> float:
    """Return :func:`_residual` with each part corrected by a fit to the others.

    The parts are the targets from three on, else the quarters of the time.
    """
    if len(groups) >= 3:
        return float(np.mean([
            np.median(group.residual(_fit(groups[:i] + groups[i + 1:], gained)))
            for i, group in enumerate(groups)]))
    residuals = [np.empty(len(group.measured)) for group in groups]
    for i, group in enumerate(groups):
        for part in np.array_split(np.arange(len(group.measured)), _BLOCKS):
            rest = np.setdiff1d(np.arange(len(group.measured)), part)
            others = groups[:i] + ([group.take(rest)] if len(rest) else []) + groups[i + 1:]
            if len(part):
                residuals[i][part] = group.take(part).residual(
                    _fit(others) if others else _IDENTITY)
    return float(np.mean([np.median(r) for r in residuals]))


class GazeCalibrations:
    """The calibrations of the tracked persons; one measurement at a time.

    :meth:`observe` and :meth:`correct` are called by the thread that estimates, the other methods
    by any thread.

    :ivar model: name of the model in use: a correction applies to the model it was made with.
    :ivar default: correction of every track without one of its own, or None.
    """

    def __init__(self) -> None:
        self.model = ''
        self.default: Optional[GazeCorrection] = None
        self._corrections: dict[str, GazeCorrection] = {}
        self._looks: dict[str, tuple[str, list[Look]]] = {}
        self._lock = Lock()
        self._current: Optional[tuple[str, Look]] = None
        #: Track that is measured; '' before the first image. Number of its images.
        self._track, self._images = '', 0

    def correction(self, track_id: str) -> Optional[GazeCorrection]:
        """Return the correction in use for a track, or None."""
        own = self._corrections.get(track_id)
        return next((c for c in (own, self.default) if c and c.model == self.model), None)

    def correct(self, track_id: str, estimate: Estimate) -> Estimate:
        """Return a track's estimate, corrected if there is a correction for it."""
        correction = self.correction(track_id)
        return estimate if correction is None else correction.estimate(estimate)

    def observe(self, track_id: str, estimate: Estimate, origin: np.ndarray) -> None:
        """Take an uncorrected estimate as a sample, if its track is being measured.

        :param origin: (3,) midpoint between the eyes in the optical frame, meters.
        """
        if self._current is None:
            return
        with self._lock:
            if self._current is None or self._current[0] not in ('', self.model):
                return
            look = self._current[1]
            self._current = self.model, look
            self._track = self._track or track_id
            if track_id == self._track:
                self._images += 1
                look.add(estimate.pitch, estimate.yaw, estimate.head_rotation,
                         direction_to(look.target, origin))

    def start(self, track_id: str = '', target: np.ndarray = LENS) -> None:
        """Start to collect samples of a track.

        :param track_id: '' for the first face that is observed: the largest.
        :param target: (3,) point in the optical frame, meters, at which the person looks.
        """
        with self._lock:
            self._current = '', Look(np.array(target, float))
            self._track, self._images = track_id, 0

    def cancel(self) -> None:
        """Stop to collect; nothing changes."""
        with self._lock:
            self._current = None

    def finish(self) -> tuple[str, GazeCorrection]:
        """Stop to collect; return the track and its correction, which is used from now on.

        Earlier looks of the track at other targets are part of it.

        :raises GazeRosError: if the track was not seen, and as :func:`fit_correction`; an earlier
            correction stays.
        """
        with self._lock:
            current, self._current = self._current, None
            track, images = self._track, self._images
        if current is None:
            raise GazeRosError('no calibration was started')
        model, look = current
        if not images:
            raise GazeRosError(f"track '{track}' was not seen: use a track_id of the topic gaze, "
                               "or '' for the largest face" if track else 'no face was seen')
        earlier_model, earlier = self._looks.get(track, (model, []))
        looks = [one for one in earlier if earlier_model == model
                 and math.dist(one.target, look.target) > SAME_TARGET] + [look]
        if len(look.gazes) < MIN_SAMPLES:  # of the new target alone
            looks = [look]
        try:
            correction = fit_correction(looks, model)
        except GazeRosError as e:
            raise GazeRosError(f"track '{track}', {images} images: {e}") from e
        for store, value in ((self._looks, (model, looks)), (self._corrections, correction)):
            store.pop(track, None)
            store[track] = value
            while len(store) > _MAX_TRACKS:
                store.pop(next(iter(store)))
        return track, correction


def save_correction(path: Union[str, Path], correction: GazeCorrection) -> Path:
    """Write a correction to a YAML file and return its absolute path.

    :param path: see :func:`gaze_ros.core.output.safe_paths.safe_path`.
    :raises GazeRosError: if it cannot be written, or may not be written there.
    """
    text = '# Calibration of one person, of the service gaze/calibrate; angles in radians.\n'
    text += yaml.safe_dump(asdict(correction), sort_keys=False)
    try:
        target = safe_paths.safe_path(path)
        with safe_paths.open_output(target) as file:
            file.write(text.encode())
        return target
    except OSError as e:
        raise GazeRosError(f"gaze_calibration_file '{path}' cannot be written: {e}") from e


def load_correction(path: Union[str, Path]) -> Optional[GazeCorrection]:
    """Return the correction in a file of :func:`save_correction`; None if it does not exist yet.

    :param path: as of :func:`save_correction`; '' for none.
    :raises GazeRosError: if it cannot be read, or is not such a file.
    """
    if not str(path):
        return None
    try:
        target = safe_paths.safe_path(path)
        return _from_mapping(parse_yaml(read_text(target))) if target.exists() else None
    except OSError as e:
        raise GazeRosError(f"gaze_calibration_file '{path}' cannot be read: {e}") from e
    except ValueError as e:
        raise GazeRosError(f"gaze_calibration_file '{path}' is not a file that gaze/calibrate "
                           f'saved: {e}; remove it and calibrate again') from e


def _from_mapping(content: Any) -> GazeCorrection:
    if not isinstance(content, Mapping):
        raise ValueError('it has no names with values')
    known = {f.name: f.type for f in fields(GazeCorrection)}
    if unknown := [str(name) for name in content if name not in known]:
        raise ValueError(f'unknown name {unknown[0][:40]!r}')
    if missing := [name for name in known if name not in content]:
        raise ValueError(f'{missing[0]} is missing')
    kinds = {str: str, bool: bool, int: int, float: (int, float)}
    for name, kind in known.items():
        value = content[name]
        if not isinstance(value, kinds[kind]) or isinstance(value, bool) is not (kind is bool):
            raise ValueError(f'{name} is not a {kind.__name__}')
    return GazeCorrection(**content)
