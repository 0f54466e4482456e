"""Statistical tests of growth: a fitted line and its confidence interval."""
from dataclasses import dataclass
import math

import numpy as np
from scipy import stats

#: Minimum slope of a leak, MB per hour.
LEAK = 1.0

#: Minimum number of values of a test, and minimum rise of a latency that drifts: share and ms.
_MIN_VALUES, _DRIFT, _DRIFT_MS = 20, 0.1, 5.0


@dataclass(frozen=True)
class Line:
    """A line fitted by least squares.

    :ivar slope: units per hour.
    :ivar low: lower limit of its 95 % confidence interval; -inf if unknown.
    :ivar high: upper limit; inf if unknown.
    """

    slope: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f'{self.slope:+.2f} an hour (too short for a confidence interval)'
        return f'{self.slope:+.2f} an hour (95 %: {self.low:+.2f} to {self.high:+.2f})'


def fit(seconds: np.ndarray, values: np.ndarray) -> Line:
    """Fit a line to values over time.

    Memory grows in steps, and neighbouring values are correlated: n values hold as much
    information as n (1 - r) / (1 + r) independent ones, where r is the lag-1 autocorrelation of
    the residuals. The confidence interval is wider by that (Santer et al. 2000,
    doi:10.1029/1999JD901105, eq. 6).

    :param seconds: (N,), increasing.
    :param values: (N,); NaN is ignored.
    """
    known = np.isfinite(values)
    x, y = seconds[known] / 3600, values[known]
    if len(x) < 3:
        return Line(math.nan, -math.inf, math.inf)
    line = stats.linregress(x, y)
    residuals = y - line.intercept - line.slope * x
    power = float(residuals @ residuals)
    scale = max(1.0, float(np.abs(y).max()))
    if power <= len(y) * (1e-9 * scale) ** 2:  # no noise: the slope is exact
        return Line(float(line.slope), float(line.slope), float(line.slope))
    r = min(max(float(residuals[1:] @ residuals[:-1]) / power, 0.0), 0.999)
    count = len(x) * (1 - r) / (1 + r)
    if count <= 2.5:
        return Line(float(line.slope), -math.inf, math.inf)
    error = line.stderr * math.sqrt((len(x) - 2) / (count - 2))
    half = float(stats.t.ppf(0.975, count - 2)) * error
    return Line(float(line.slope), float(line.slope - half), float(line.slope + half))


def leaks(line: Line, values: np.ndarray) -> str:
    """Return 'leaks', 'steady', or 'undecided': too few values, or the interval spans the limit.

    Few values allow no estimate of noise and autocorrelation: three values during the start of a
    process gave a slope of 380 MB per hour with a narrow interval.

    :param line: fitted to the values.
    :param values: (N,) MB; NaN is ignored.
    """
    if np.isfinite(values).sum() < _MIN_VALUES:
        return 'undecided'
    if line.low >= LEAK:
        return 'leaks'
    return 'steady' if line.high < LEAK else 'undecided'


def grows(values: np.ndarray) -> str:
    """Return 'grows', 'steady', or 'undecided': too few values.

    Counts go up and down as subscribers come and go, and thread pools fill up. A count grows if
    the median rises from quarter to quarter, and the minimum of the last quarter exceeds the
    maximum of the first.

    :param values: (N,) counts; NaN is ignored.
    """
    known = values[np.isfinite(values)]
    if len(known) < _MIN_VALUES:
        return 'undecided'
    parts = np.array_split(known, 4)
    rises = all(np.diff([np.median(part) for part in parts]) > 0)
    return 'grows' if rises and parts[3].min() > parts[0].max() else 'steady'


def quarters(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last quarter of values, at least one each."""
    size = max(1, len(values) // 4)
    return values[:size], values[-size:]


def drifts(line: Line, values: np.ndarray) -> str:
    """Return 'drifts', 'steady', or 'undecided': too few values.

    :param line: fitted to the values.
    :param values: (N,) ms; NaN is ignored.
    """
    known = values[np.isfinite(values)]
    if len(known) < _MIN_VALUES:
        return 'undecided'
    first, last = (float(np.median(part)) for part in quarters(known))
    higher = last - first > max(_DRIFT_MS, _DRIFT * first)
    return 'drifts' if higher and line.low > 0 else 'steady'
