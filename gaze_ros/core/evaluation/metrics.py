"""Figures of ``gaze_ros evaluate``: accuracy of gaze, head and eyes, reliability of sigma.

Shares are 0..1; a figure over nothing is None.
"""
from dataclasses import dataclass
from typing import Optional

from gaze_ros.core.attention.blinks import SHUT
import numpy as np

#: Bins of the absolute yaw of the labelled head, degrees; None is no upper limit.
HEAD_YAW_BINS = ((0, 20), (20, 40), (40, 60), (60, None))

#: Bins of sigma, degrees.
SIGMA_BINS = ((0, 5), (5, 10), (10, 15), (15, 20), (20, 30), (30, None))

#: Errors above these are large, degrees.
LARGE_ERRORS = (25, 40)

#: Absolute yaw of the labelled head in degrees from which a face counts as a profile.
PROFILE_YAW = 60

#: Sigma in degrees below which a model is sure of its gaze.
SURE_SIGMA = 15

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
    :ivar share_over_25_deg: share of errors above 25 degrees.
    :ivar share_over_40_deg: share of errors above 40 degrees.
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
    share_over_25_deg: float
    share_over_40_deg: float


@dataclass(frozen=True)
class HeadYawBin:
    """Gaze and head errors of the faces whose labelled head has an absolute yaw in a range.

    :ivar from_deg: lower limit of the range, degrees.
    :ivar to_deg: upper limit, degrees, not in the range; None without one.
    :ivar labels: number of labelled faces, found or not.
    :ivar n: number of gazes compared.
    :ivar head_n: number of head directions compared.
    """

    from_deg: int
    to_deg: Optional[int]
    labels: int
    n: int
    mean_error_deg: Optional[float]
    median_error_deg: Optional[float]
    share_over_25_deg: Optional[float]
    share_over_40_deg: Optional[float]
    head_n: int
    mean_head_error_deg: Optional[float]


@dataclass(frozen=True)
class Coverage:
    """How many labelled faces were found, and how many of them have a gaze.

    :ivar labels: labelled faces whose image is in the input; both shares are of them.
    :ivar with_gaze: faces found whose gaze is known, whether it is labelled or not.
    """

    labels: int
    found: int
    with_gaze: int
    found_share: Optional[float]
    gaze_share: Optional[float]


@dataclass(frozen=True)
class HeadAccuracy:
    """Errors of the head pose; an error is the angle between two directions of the face.

    :ivar n: head directions compared; ``missed``: labels without an estimated one.
    :ivar below_60_n: those whose labelled yaw is below 60 degrees, ``beyond_60_n``: the others.
    :ivar roll_n: rolls compared.
    """

    n: int
    missed: int
    mean_error_deg: Optional[float]
    median_error_deg: Optional[float]
    below_60_n: int
    mean_error_below_60_deg: Optional[float]
    beyond_60_n: int
    mean_error_beyond_60_deg: Optional[float]
    roll_n: int
    mean_roll_error_deg: Optional[float]
    max_roll_error_deg: Optional[float]


@dataclass(frozen=True)
class EyesAccuracy:
    """Accuracy of the eyes' openness; a face counts with its wider eye.

    Only faces labelled 0 (shut) or 1 (open) count.

    :ivar shut_found_share: share of the shut faces with an openness below 0.5; a face that was
        not found, or whose openness is unknown, counts as not found.
    :ivar open_taken_for_shut_share: share of the open faces with an openness below 0.5, of those
        with a known one.
    :ivar unknown: faces labelled 0 or 1 whose openness is unknown.
    """

    shut: int
    shut_found_share: Optional[float]
    open: int
    open_taken_for_shut_share: Optional[float]
    unknown: int


@dataclass(frozen=True)
class SigmaBin:
    """The errors whose sigma is in a range of degrees; ``to_deg`` None: without upper limit."""

    from_deg: int
    to_deg: Optional[int]
    n: int
    mean_sigma_deg: Optional[float]
    rms_error_deg: Optional[float]
    within_1_sigma_share: Optional[float]


@dataclass(frozen=True)
class Reliability:
    """Whether sigma, the published standard deviation of an angle, is true.

    A true sigma covers 68 % of the errors, and twice as much 99 % (the error is normal in two
    axes); the root mean square of the errors is 0.94 sigma.

    :ivar n: errors with a sigma.
    :ivar over_40: errors above 40 degrees with a sigma.
    :ivar over_40_with_sigma_below_15: those of them whose sigma is below 15 degrees.
    """

    n: int
    within_1_sigma_share: float
    within_2_sigma_share: float
    mean_sigma_deg: float
    rms_error_deg: float
    over_40: int
    over_40_with_sigma_below_15: int
    bins: list[SigmaBin]


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
    difference = _wrapped(estimated - true)
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
        *(degrees(v) for v in baselines), *_large_shares(np.degrees(errors)))


def measure_by_head_yaw(
        errors: np.ndarray, head_errors: np.ndarray, head_yaw: np.ndarray) -> list[HeadYawBin]:
    """Return the errors by :data:`HEAD_YAW_BINS`; none if no head yaw is labelled.

    :param errors: (N,) angular errors of the gaze, radians; NaN without one.
    :param head_errors: (N,) angular errors of the head, radians; NaN without one.
    :param head_yaw: (N,) labelled yaw of the head, radians; NaN where not labelled.
    """
    if not np.isfinite(head_yaw).any():
        return []
    yaw = np.abs(np.degrees(head_yaw))
    bins = []
    for start, end in HEAD_YAW_BINS:
        inside = _inside(yaw, start, end)
        gaze, head = _degrees(errors[inside]), _degrees(head_errors[inside])
        bins.append(HeadYawBin(
            start, end, int(inside.sum()), len(gaze), _mean(gaze), _median(gaze),
            *(_large_shares(gaze) if len(gaze) else (None, None)), len(head), _mean(head)))
    return bins


def measure_coverage(found: np.ndarray, with_gaze: np.ndarray) -> Coverage:
    """Return the coverage of N labelled faces.

    :param found: (N,) bool, whether the face was found.
    :param with_gaze: (N,) bool, whether it has a gaze.
    """
    return Coverage(
        len(found), int(found.sum()), int(with_gaze.sum()), _mean(found), _mean(with_gaze))


def measure_head(estimated: np.ndarray, true: np.ndarray) -> Optional[HeadAccuracy]:
    """Return the accuracy of heads; None if no direction and no roll is labelled.

    :param estimated: (N, 3) pitch, yaw and roll in radians; NaN without a head pose.
    :param true: (N, 3) labels; NaN where not labelled. A direction needs pitch and yaw.
    """
    labelled = np.isfinite(true[:, :2]).all(axis=1)
    if not (labelled.any() or np.isfinite(true[:, 2]).any()):
        return None
    errors = head_errors(estimated, true)
    compared = np.isfinite(errors)
    profile = _inside(np.abs(np.degrees(true[:, 1])), PROFILE_YAW, None)
    groups = [_degrees(errors[chosen]) for chosen in (compared, ~profile, profile)]
    rolls = np.abs(_degrees(_wrapped(estimated[:, 2] - true[:, 2])))
    return HeadAccuracy(
        len(groups[0]), int((labelled & ~compared).sum()), _mean(groups[0]), _median(groups[0]),
        len(groups[1]), _mean(groups[1]), len(groups[2]), _mean(groups[2]),
        len(rolls), _mean(rolls), float(rolls.max()) if len(rolls) else None)


def head_errors(estimated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the (N,) angles in radians between directions of faces; NaN where unknown.

    :param estimated: (N, 2 or more) pitch and yaw first, radians.
    :param true: the same of the labels.
    """
    return angular_errors(estimated[:, :2], true[:, :2])


def measure_eyes(openness: np.ndarray, true: np.ndarray) -> Optional[EyesAccuracy]:
    """Return the accuracy of openness; None if no face is labelled 0 or 1.

    :param openness: (N, 2) of the left and right eye, 0..1; NaN if unknown.
    :param true: (N,) labelled, 0 shut, 1 open; other values are ignored.
    """
    shut, opened = true == 0, true == 1
    if not (shut.any() or opened.any()):
        return None
    # The wider eye; NaN only if both are. np.fmax ignores a NaN.
    widest = np.fmax(openness[:, 0], openness[:, 1])
    known = np.isfinite(widest)
    taken_for_shut = known & (widest < SHUT)
    known_open = opened & known
    return EyesAccuracy(
        int(shut.sum()), _mean(taken_for_shut[shut]) if known.any() else None,
        int(opened.sum()), _mean(taken_for_shut[known_open]),
        int(((shut | opened) & ~known).sum()))


def measure_reliability(errors: np.ndarray, sigma: np.ndarray) -> Optional[Reliability]:
    """Return the reliability of sigma; None if there is no error with a sigma.

    :param errors: (N,) angular errors, radians; NaN if unknown.
    :param sigma: (N,) standard deviations, radians; NaN if unknown.
    """
    known = np.isfinite(errors) & np.isfinite(sigma)
    if not known.any():
        return None
    errors, sigma = (np.degrees(values[known]).round(9) for values in (errors, sigma))
    large = errors > LARGE_ERRORS[-1]
    bins = []
    for start, end in SIGMA_BINS:
        inside = _inside(sigma, start, end)
        e, s = errors[inside], sigma[inside]
        bins.append(SigmaBin(start, end, len(e), _mean(s), _rms(e), _mean(e <= s)))
    return Reliability(
        len(errors), _mean(errors <= sigma), _mean(errors <= 2 * sigma), _mean(sigma),
        _rms(errors), int(large.sum()), int((large & (sigma < SURE_SIGMA)).sum()), bins)


def correlation(a: np.ndarray, b: np.ndarray) -> Optional[float]:
    """Return Pearson's correlation, -1..1, of two (N,) arrays; None if one is constant."""
    if len(a) < 2 or np.ptp(a) < _CONSTANT or np.ptp(b) < _CONSTANT:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _wrapped(angles: np.ndarray) -> np.ndarray:
    """Return angles in -pi..pi."""
    return (angles + np.pi) % (2 * np.pi) - np.pi


def _inside(degrees: np.ndarray, start: float, end: Optional[float]) -> np.ndarray:
    """Return the (N,) bool of start <= degrees < end.

    Rounded, as in the other comparisons: 20 degrees in radians and back may be less than 20.
    """
    rounded = degrees.round(9)
    return (rounded >= start) & (rounded < (np.inf if end is None else end))


def _degrees(angles: np.ndarray) -> np.ndarray:
    """Return the angles that are not NaN, in degrees."""
    return np.degrees(angles[np.isfinite(angles)])


def _large_shares(errors: np.ndarray) -> list[float]:
    """Return the shares of errors above each of :data:`LARGE_ERRORS`, degrees."""
    return [float((errors.round(9) > limit).mean()) for limit in LARGE_ERRORS]


def _mean(values: np.ndarray) -> Optional[float]:
    return float(values.mean()) if len(values) else None


def _median(values: np.ndarray) -> Optional[float]:
    return float(np.median(values)) if len(values) else None


def _rms(values: np.ndarray) -> Optional[float]:
    return float(np.sqrt((values ** 2).mean())) if len(values) else None


def _unit_vectors(angles: np.ndarray) -> np.ndarray:
    """Return (N, 3) unit vectors (right, up, toward the lens) of (N, 2) pitch and yaw."""
    pitch, yaw = angles[:, 0], angles[:, 1]
    return np.stack(
        [np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)], axis=1)
