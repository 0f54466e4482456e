"""Rates and means: counters of fixed size, each fed by one thread."""
from collections import deque
import math
from threading import Lock
from time import monotonic

#: Seconds from where on, past or future, an age is that of another clock: no figure to print.
MAX_PLAUSIBLE_AGE = 60.0


class RateCounter:
    """Counts events, and how many a second there were, overall and of late."""

    def __init__(self, window: int = 60) -> None:
        self._times: deque[float] = deque(maxlen=window)
        self._first = math.nan
        self._last = math.nan
        self.count = 0

    def tick(self) -> None:
        """Count one event, now."""
        now = monotonic()
        if not self.count:
            self._first = now
        self._last = now
        self.count += 1
        self._times.append(now)

    @property
    def overall(self) -> float:
        """Events a second from the first to the last; 0 for fewer than two."""
        span = self._last - self._first
        return (self.count - 1) / span if span > 0 else 0.0

    @property
    def recent(self) -> float:
        """Events a second over the last window of them; 0 for fewer than two."""
        times = list(self._times)
        span = times[-1] - times[0] if times else 0
        return (len(times) - 1) / span if span > 0 else 0.0


class IntervalMean:
    """Mean of what came since it was last taken."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        """Count a value; NaN is passed over."""
        if not math.isnan(value):
            self._sum += value
            self._count += 1

    def pop(self) -> float:
        """Return the mean and start anew; NaN if nothing came."""
        mean = self._sum / self._count if self._count else math.nan
        self._sum, self._count = 0.0, 0
        return mean


class RollingMean:
    """Mean of the last values. Added to and read from any thread."""

    def __init__(self, window: int = 60) -> None:
        self._values: deque[float] = deque(maxlen=window)
        self._lock = Lock()

    def add(self, value: float) -> None:
        """Count a value; what is not finite is passed over."""
        if math.isfinite(value):
            with self._lock:
                self._values.append(value)

    @property
    def mean(self) -> float:
        """Of the last values; NaN for none."""
        with self._lock:
            return sum(self._values) / len(self._values) if self._values else math.nan


class FrameTimings:
    """Latency and durations of the last ``every`` frames, as the line printed for them."""

    def __init__(self, every: int = 30) -> None:
        self.every = every
        self._rate = RateCounter(every + 1)
        self._latency, self._detection, self._estimation = IntervalMean(), IntervalMean(), IntervalMean()

    def add(self, latency: float, detection: float, estimation: float) -> str:
        """Count a frame, all in seconds; return the line when it is due, else ''."""
        self._rate.tick()
        self._latency.add(latency if abs(latency) < MAX_PLAUSIBLE_AGE else math.nan)
        self._detection.add(detection)
        self._estimation.add(estimation)
        if self._rate.count % self.every:
            return ''
        latency, face, gaze = (
            mean.pop() for mean in (self._latency, self._detection, self._estimation))
        return (f'Overall FPS: {self._rate.recent:.2f}, Latency: {_milliseconds(latency)}, '
                f'Face: {_milliseconds(face)}, Gaze: {_milliseconds(gaze)}')


def _milliseconds(value: float) -> str:
    return '-' if math.isnan(value) else f'{1e3 * value:.1f}ms'
