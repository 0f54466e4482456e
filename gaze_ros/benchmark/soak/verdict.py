"""Whether something grows: by a line through what was measured, and how sure that line is."""
from dataclasses import dataclass
import math

import numpy as np
from scipy import stats

#: Megabytes an hour from which on memory leaks.
LEAK = 1.0

#: Rows needed to tell whether anything grows, and share and milliseconds by which latency is
#: higher at the end where it drifts.
_ENOUGH, _DRIFT, _DRIFT_MS = 20, 0.1, 5.0


@dataclass(frozen=True)
class Line:
    """A line fitted by least squares.

    :ivar slope: units an hour.
    :ivar low: of its 95 % interval; high likewise. -inf and inf where too little is known.
    """

    slope: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f'{self.slope:+.2f} an hour (too short to say how sure)'
        return f'{self.slope:+.2f} an hour (95 %: {self.low:+.2f} to {self.high:+.2f})'


def fit(seconds: np.ndarray, values: np.ndarray) -> Line:
    """Return the line through values over time.

    Memory goes by steps, and neighbours are alike: n values say no more than
    n (1 - r) / (1 + r) independent ones, r being the lag-1 autocorrelation of what the line
    leaves over, and the interval is that much wider (Santer et al. 2000, doi:10.1029/1999JD901105,
    eq. 6).

    :param seconds: (N,), increasing.
    :param values: (N,); NaN is left out.
    """
    known = np.isfinite(values)
    x, y = seconds[known] / 3600, values[known]
    if len(x) < 3:
        return Line(math.nan, -math.inf, math.inf)
    line = stats.linregress(x, y)
    left = y - line.intercept - line.slope * x
    power = float(left @ left)
    scale = max(1.0, float(np.abs(y).max()))
    if power <= len(y) * (1e-9 * scale) ** 2:  # no noise at all: nothing to be unsure of
        return Line(float(line.slope), float(line.slope), float(line.slope))
    r = min(max(float(left[1:] @ left[:-1]) / power, 0.0), 0.999)
    count = len(x) * (1 - r) / (1 + r)
    if count <= 2.5:
        return Line(float(line.slope), -math.inf, math.inf)
    error = line.stderr * math.sqrt((len(x) - 2) / (count - 2))
    half = float(stats.t.ppf(0.975, count - 2)) * error
    return Line(float(line.slope), float(line.slope - half), float(line.slope + half))


def leaks(line: Line, values: np.ndarray) -> str:
    """Return 'leaks', 'steady', or 'not told': too few values, or an interval around the limit.

    Of few values neither noise nor how alike neighbours are can be told: three in a second, as
    what was started takes its last megabytes, were 'sure' of 380 MB an hour.

    :param line: of values.
    :param values: (N,) megabytes; NaN is left out.
    """
    if np.isfinite(values).sum() < _ENOUGH:
        return 'not told'
    if line.low >= LEAK:
        return 'leaks'
    return 'steady' if line.high < LEAK else 'not told'


def grows(values: np.ndarray) -> str:
    """Return 'grows', 'steady', or 'not told' where there are too few values.

    Counts go up and down as somebody comes and goes, and pools of threads fill up: what grows has
    more in each quarter than in the one before (by the medians), and in the last never so few as
    it had at most in the first.

    :param values: (N,) counts; NaN is left out.
    """
    known = values[np.isfinite(values)]
    if len(known) < _ENOUGH:
        return 'not told'
    parts = np.array_split(known, 4)
    on = all(np.diff([np.median(part) for part in parts]) > 0)
    return 'grows' if on and parts[3].min() > parts[0].max() else 'steady'


def quarters(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last quarter of values, at least one each."""
    size = max(1, len(values) // 4)
    return values[:size], values[-size:]


def drifts(line: Line, values: np.ndarray) -> str:
    """Return 'drifts', 'steady', or 'not told' where there are too few values.

    :param line: of values.
    :param values: (N,) milliseconds; NaN is left out.
    """
    known = values[np.isfinite(values)]
    if len(known) < _ENOUGH:
        return 'not told'
    first, last = (float(np.median(part)) for part in quarters(known))
    higher = last - first > max(_DRIFT_MS, _DRIFT * first)
    return 'drifts' if higher and line.low > 0 else 'steady'
