"""Accuracy figures of ``gaze_ros evaluate``: angular errors, bias, correlation, baselines."""
from dataclasses import dataclass
from typing import Optional

import numpy as np

#: Range in radians below which an axis counts as constant and has no correlation.
_CONSTANT = 1e-9


@dataclass(frozen=True)
class Accuracy:
    """Accuracy figures over the estimated gazes; ``_deg`` fields are in degrees.

    The baselines cover all labels, so they are the same for every model.

    An error is the angle between two gazes in space, 0..180 degrees. The bias is the mean of
    estimated minus true per axis. A correlation is Pearson's; None if an axis is constant.

    :ivar n: number of gazes compared.
    :ivar missed: number of labels without an estimated gaze.
    :ivar mean_error_without_bias_deg: mean error after subtracting the bias from both axes of the
        estimates: useful if the position of camera and targets is not exactly known.
    :ivar mean_absolute_pitch_error_deg: mean absolute error of the pitch alone.
    :ivar mean_absolute_yaw_error_deg: mean absolute error of the yaw alone.
    :ivar zero_baseline_error_deg: mean error of the constant estimate (0, 0), into the lens.
    :ivar constant_baseline_error_deg: mean error of the mean label as a constant estimate.
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


def angular_errors(estimated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the (N,) angles in radians, 0..pi, between two (N, 2) arrays of pitch and yaw."""
    a, b = _unit_vectors(estimated), _unit_vectors(true)
    # arccos of the dot product would be 1e-8 for equal vectors, not 0.
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1))


def measure(estimated: np.ndarray, true: np.ndarray) -> Accuracy:
    """Return the accuracy of estimated gazes.

    :param estimated: (N, 2) pitch and yaw in radians; NaN without a gaze.
    :param true: (N, 2) pitch and yaw in radians, without NaN.
    :raises ValueError: if there is no estimated gaze.
    """
    known = np.isfinite(estimated).all(axis=1)
    n, missed = int(known.sum()), int((~known).sum())
    if not n:
        raise ValueError('no gaze was estimated')
    constant = np.broadcast_to(true.mean(axis=0), true.shape)
    baselines = [angular_errors(b, true).mean() for b in (np.zeros_like(true), constant)]
    estimated, true = estimated[known], true[known]
    # Wrapped to -pi..pi: yaws of 179 and -179 degrees are 2 degrees apart.
    difference = (estimated - true + np.pi) % (2 * np.pi) - np.pi
    bias = difference.mean(axis=0)
    errors = angular_errors(estimated, true)
    errors_without_bias = angular_errors(estimated - bias, true)

    def degrees(value: float) -> float:
        return float(np.degrees(value))

    return Accuracy(
        n, missed,
        degrees(errors.mean()), degrees(np.median(errors)),
        degrees(errors_without_bias.mean()), degrees(np.median(errors_without_bias)),
        *(degrees(v) for v in bias), *(degrees(v) for v in np.abs(difference).mean(axis=0)),
        *(correlation(estimated[:, axis], true[:, axis]) for axis in (0, 1)),
        *(degrees(v) for v in baselines))


def correlation(a: np.ndarray, b: np.ndarray) -> Optional[float]:
    """Return Pearson's correlation, -1..1, of two (N,) arrays; None if one is constant."""
    if len(a) < 2 or np.ptp(a) < _CONSTANT or np.ptp(b) < _CONSTANT:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _unit_vectors(angles: np.ndarray) -> np.ndarray:
    """Return (N, 3) unit vectors (right, up, toward the lens) of (N, 2) pitch and yaw."""
    pitch, yaw = angles[:, 0], angles[:, 1]
    return np.stack(
        [np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)], axis=1)
