"""Calibration of persons on their first labels, as the gaze node's service does it on targets."""
from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.evaluation.metrics import angular_errors
from gaze_ros.core.geometry.camera_model import angles_to_unit
from gaze_ros.core.tracking.gaze_calibration import fit_correction, GazeCorrection, Look
import numpy as np

#: Fewest labels to calibrate on: a fit is checked on samples that were left out of it.
MIN_FIRST = 2

#: Angle in radians below which two labelled gazes count as at one target.
_SAME_TARGET = math.radians(5)


@dataclass(frozen=True)
class Calibration:
    """What calibrating each subject on its first labels has changed.

    :ivar first: labels with a gaze that each subject is calibrated on; they are in no figure.
    :ivar subjects: subjects with further labels, whose errors are compared.
    :ivar refused: those of them whose correction was refused, as by the service, because it does
        not help; they keep their gaze.
    :ivar skipped: subjects without further labels; they are in no figure.
    :ivar n: gazes compared.
    :ivar mean_error_before_deg: their mean error without calibration, ``median_`` as well.
    :ivar mean_error_deg: their mean error with it, ``median_`` as well.
    """

    first: int
    subjects: int
    refused: int
    skipped: int
    n: int
    mean_error_before_deg: Optional[float]
    median_error_before_deg: Optional[float]
    mean_error_deg: Optional[float]
    median_error_deg: Optional[float]


@dataclass(frozen=True)
class Calibrated:
    """Gazes after a calibration.

    :ivar gazes: (N, 2) pitch and yaw in radians.
    :ivar stddevs: (N,) their standard deviations, radians.
    :ivar compared: (N,) bool, which of them to compare with their labels: those after the last one
        that their subject was calibrated on.
    """

    gazes: np.ndarray
    stddevs: np.ndarray
    compared: np.ndarray
    result: Calibration


def calibrate(
        gazes: np.ndarray, stddevs: np.ndarray, true: np.ndarray,
        rotations: Sequence[Optional[np.ndarray]], subjects: Sequence, first: int) -> Calibrated:
    """Calibrate each subject on its first labels that have a gaze.

    :param gazes: (N, 2) pitch and yaw in radians; NaN if unknown.
    :param stddevs: (N,) their standard deviations, radians; NaN if unknown.
    :param true: (N, 2) labels; NaN where no gaze is labelled.
    :param rotations: (N,) (3, 3) of the head as in :class:`gaze_ros.core.types.Estimate`; a
        correction is in axes along the ray if one of its samples has None.
    :param subjects: (N,) whose gaze it is.
    :param first: number of labels, at least :data:`MIN_FIRST`.
    """
    new_gazes, new_stddevs = gazes.copy(), stddevs.copy()
    compared = np.zeros(len(gazes), bool)
    indices: dict = {}
    for index, subject in enumerate(subjects):
        if np.isfinite(true[index]).all():
            indices.setdefault(subject, []).append(index)
    used = refused = 0
    for own in indices.values():
        known = [index for index in own if np.isfinite(gazes[index]).all()]
        if len(known) <= first:
            continue
        used += 1
        fitted, others = known[:first], known[first:]
        compared[[index for index in own if index > fitted[-1]]] = True
        correction = _correction(gazes[fitted], true[fitted], [rotations[i] for i in fitted])
        if correction is None:
            refused += 1
            continue
        for index in others:
            new_gazes[index] = correction.apply(*gazes[index], rotations[index])
            new_stddevs[index] = correction.stddev(float(stddevs[index]))
    figures = [None] * 4
    n = int((compared & np.isfinite(gazes).all(axis=1)).sum())
    if n:
        errors = [np.degrees(angular_errors(g[compared], true[compared]))
                  for g in (gazes, new_gazes)]
        figures = [float(f(e)) for e in errors for f in (np.nanmean, np.nanmedian)]
    return Calibrated(new_gazes, new_stddevs, compared, Calibration(
        first, used, refused, len(indices) - used, n, *figures))


def _correction(gazes: np.ndarray, true: np.ndarray, rotations: Sequence[Optional[np.ndarray]]
                ) -> Optional[GazeCorrection]:
    """Return the correction that fits; None if it is refused."""
    looks: list[Look] = []
    for gaze, label, rotation in zip(gazes, true, rotations):
        direction = angles_to_unit(*label)
        look = next((look for look in looks if look.directions[0] @ direction
                     >= math.cos(_SAME_TARGET)), None)
        if look is None:
            look = Look()
            looks.append(look)
        look.add(*gaze, rotation, direction)
    try:
        return fit_correction(looks, minimum=1)
    except GazeRosError:
        return None
