"""What a standard deviation of a direction means: confidence, and angles to be compared with.

A direction with standard deviation ``stddev`` is within that angle of the true one with a
probability of 68 %. Its error is taken as normal in two axes: the angle is Rayleigh distributed,
each axis has the deviation stddev / 1.5096.
"""
from functools import lru_cache
import math

import numpy as np

#: ``stddev`` over the deviation of one axis: sqrt(-2 ln(1 - 0.68)).
PER_AXIS = math.sqrt(-2 * math.log(1 - 0.68))

#: Angle in radians that :func:`confidence` is about.
CONFIDENT_ANGLE = math.radians(10)


def confidence(stddev: float) -> float:
    """Return the probability that the error is below 10 degrees, 0..1; 0 for NaN."""
    if not stddev > 0:
        return 0.0
    ratio = CONFIDENT_ANGLE / (stddev / PER_AXIS)
    return -math.expm1(-ratio * ratio / 2)  # ** would raise an OverflowError


def even_odds_angle(limit: float, stddev: float) -> float:
    """Return the largest measured angle for which the true one is within limit as likely as not.

    A comparison with it takes the uncertainty into account: it is ``limit`` for a certain
    direction, a little less for an uncertain one, and negative, so that no angle is within it, if
    not even a measured angle of 0 makes the limit likely (stddev > 1.28 limit).

    :param limit: radians.
    :param stddev: radians; NaN if unknown: the limit itself is returned.
    """
    if math.isnan(stddev):
        return limit
    if limit <= 0 or stddev <= 0:
        return limit
    axis = stddev / PER_AXIS
    limits, angles = _rice_medians()
    ratio = limit / axis
    if ratio < limits[0]:
        return -1.0
    if ratio > limits[-1]:  # the median of a Rice distribution far from its origin
        return limit - axis / (2 * ratio)
    return axis * float(np.interp(ratio, limits, angles))


@lru_cache(maxsize=1)
def _rice_medians() -> tuple[np.ndarray, np.ndarray]:
    """Return medians of the Rice distribution, and the angles they belong to, in axis deviations.

    Density r exp(-(r^2 + a^2) / 2) I0(r a), integrated on a grid.
    """
    angles = np.linspace(0.0, 8.0, 161)
    radii = (np.arange(2800) + 0.5) * 0.005
    # I0(x) exp(-x), so that nothing overflows: the mean of exp(x (cos t - 1)) over t.
    turns = np.cos((np.arange(64) + 0.5) * (math.pi / 64)) - 1
    medians = []
    for angle in angles:
        bessel = np.exp(np.outer(radii * angle, turns)).mean(axis=1)
        density = radii * np.exp(-(radii - angle) ** 2 / 2) * bessel
        medians.append(float(np.interp(0.5, np.cumsum(density) * 0.005, radii + 0.0025)))
    return np.array(medians), angles
