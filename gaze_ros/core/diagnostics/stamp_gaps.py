"""Estimates from the stamps of received images how many images in between did not arrive."""
from collections.abc import Sequence

import numpy as np

#: Minimum number of intervals, and of intervals without a gap, that tell the period.
_MIN_INTERVALS, _MIN_WITHOUT_GAP = 20, 4
#: Tolerance of an interval in periods, and the share of intervals that must be within it.
_TOLERANCE, _MIN_SHARE = 0.2, 0.9


def count_missing(stamps: Sequence[float]) -> int:
    """Return the number of images that are missing between those with these stamps.

    It is known for a publisher with a constant rate: its intervals are then multiples of the
    shortest ones. Otherwise, or if too few neighbours arrived to tell, it is 0.

    :param stamps: seconds, in the order of arrival.
    """
    intervals = np.diff(np.asarray(stamps, float))
    if len(intervals) < _MIN_INTERVALS or np.any(intervals <= 0):
        return 0
    period = float(np.median(np.sort(intervals)[:_MIN_WITHOUT_GAP]))
    # Jitter makes the shortest ones too short, which a gap of many periods would multiply.
    period = float(np.mean(intervals[np.round(intervals / period) == 1]))
    multiples = np.round(intervals / period)
    regular = np.abs(intervals / period - multiples) <= _TOLERANCE
    if np.mean(regular) < _MIN_SHARE or np.sum(multiples == 1) < _MIN_WITHOUT_GAP:
        return 0
    return int(np.sum(multiples - 1))
