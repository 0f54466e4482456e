"""How far gazes are from the true ones: the figures of ``gaze_ros evaluate``, on numbers alone."""
from dataclasses import dataclass
from typing import Optional

import numpy as np

#: Radians of spread below which an axis counts as constant: it has no correlation.
_CONSTANT = 1e-9


@dataclass(frozen=True)
class Accuracy:
    """Figures of a comparison, over the gazes that were told; all ``_deg`` are degrees.

    The baselines are over all labels, so that they are the same for every model.

    An error is the angle between two gazes in space, 0..180 degrees. The bias is the mean of
    found minus true for an axis. A correlation is Pearson's, None where an axis does not vary.

    :ivar n: gazes compared.
    :ivar missed: labels for which no gaze was told.
    :ivar mean_error_without_bias_deg: once the bias is taken off both axes of what was found: what
        remains where the position of camera and targets is not exactly known.
    :ivar mean_absolute_pitch_error_deg: of one axis alone; yaw likewise.
    :ivar zero_baseline_error_deg: mean error of always saying (0, 0), into the lens.
    :ivar constant_baseline_error_deg: mean error of always saying the mean label.
    """

    n: int
    missed: int
    mean_error_deg: float
    median_error_deg: float
    mean_error_without_bias_deg: float
    median_error_without_bias_deg: float
    bias_pitch_deg: float
    bias_yaw_deg: float
    mean_absolute_pitch_error_deg: float
    mean_absolute_yaw_error_deg: float
    correlation_pitch: Optional[float]
    correlation_yaw: Optional[float]
    zero_baseline_error_deg: float
    constant_baseline_error_deg: float


def angular_errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the (N,) angles in radians, 0..pi, between two (N, 2) arrays of pitch and yaw."""
    a, b = _units(found), _units(true)
    # Not arccos of the dot product: of equal vectors it is 1e-8, not 0.
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1))


def measure(found: np.ndarray, true: np.ndarray) -> Accuracy:
    """Return how well the gazes found match the true ones.

    :param found: (N, 2) pitch and yaw in radians; NaN where no gaze was told.
    :param true: (N, 2) likewise, without NaN.
    :raises ValueError: if no gaze was told at all.
    """
    told = np.isfinite(found).all(axis=1)
    n, missed = int(told.sum()), int((~told).sum())
    if not n:
        raise ValueError('no gaze was told')
    constant = np.broadcast_to(true.mean(axis=0), true.shape)
    baselines = [angular_errors(b, true).mean() for b in (np.zeros_like(true), constant)]
    found, true = found[told], true[told]
    # The shorter way round: a yaw of 179 degrees is 2 from one of -179.
    difference = (found - true + np.pi) % (2 * np.pi) - np.pi
    bias = difference.mean(axis=0)
    errors, without = angular_errors(found, true), angular_errors(found - bias, true)

    def degrees(value: float) -> float:
        return float(np.degrees(value))

    return Accuracy(
        n, missed,
        degrees(errors.mean()), degrees(np.median(errors)),
        degrees(without.mean()), degrees(np.median(without)),
        *(degrees(v) for v in bias), *(degrees(v) for v in np.abs(difference).mean(axis=0)),
        *(correlation(found[:, axis], true[:, axis]) for axis in (0, 1)),
        *(degrees(v) for v in baselines))


def correlation(a: np.ndarray, b: np.ndarray) -> Optional[float]:
    """Return Pearson's correlation, -1..1, of two (N,) arrays; None where one is constant."""
    if len(a) < 2 or np.ptp(a) < _CONSTANT or np.ptp(b) < _CONSTANT:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _units(angles: np.ndarray) -> np.ndarray:
    """Return (N, 3) right, up, toward the lens: geometry.angles_to_unit for arrays."""
    pitch, yaw = angles[:, 0], angles[:, 1]
    return np.stack(
        [np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)], axis=1)
