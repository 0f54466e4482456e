"""Rates and means of recent values, in constant memory."""
from collections import deque
import math
from threading import Lock
from time import monotonic

#: Seconds. An age beyond this, past or future, comes from another clock and is not reported.
MAX_PLAUSIBLE_AGE = 60.0


class RateCounter:
    """Counts events and computes their rate, overall and recent. Not thread-safe."""

    def __init__(self, window: int = 60) -> None:
        self._times: deque[float] = deque(maxlen=window)
        self._first = math.nan
        self._last = math.nan
        self.count = 0

    def tick(self) -> None:
        """Count an event at the current time."""
        now = monotonic()
        if not self.count:
            self._first = now
        self._last = now
        self.count += 1
        self._times.append(now)

    @property
    def overall(self) -> float:
        """Events per second from the first to the last event; 0 for fewer than two."""
        span = self._last - self._first
        return (self.count - 1) / span if span > 0 else 0.0

    @property
    def recent(self) -> float:
        """Events per second over the last ``window`` events; 0 for fewer than two."""
        times = list(self._times)
        span = times[-1] - times[0] if times else 0
        return (len(times) - 1) / span if span > 0 else 0.0


class IntervalMean:
    """Mean of the values since the last :meth:`pop`. Not thread-safe."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        """Add a value; NaN is ignored."""
        if not math.isnan(value):
            self._sum += value
            self._count += 1

    def pop(self) -> float:
        """Return the mean and start over; NaN without values."""
        mean = self._sum / self._count if self._count else math.nan
        self._sum, self._count = 0.0, 0
        return mean


class RollingMean:
    """Mean of the last ``window`` values. Thread-safe."""

    def __init__(self, window: int = 60) -> None:
        self._values: deque[float] = deque(maxlen=window)
        self._lock = Lock()

    def add(self, value: float) -> None:
        """Add a value; a value that is not finite is ignored."""
        if math.isfinite(value):
            with self._lock:
                self._values.append(value)

    @property
    def mean(self) -> float:
        """Mean of the last values; NaN without values."""
        with self._lock:
            return sum(self._values) / len(self._values) if self._values else math.nan


class FrameTimings:
    """Formats the statistics line of every ``every`` frames: rate, latency, durations."""

    def __init__(self, every: int = 30) -> None:
        self.every = every
        self._rate = RateCounter(every + 1)
        self._latency = IntervalMean()
        self._detection = IntervalMean()
        self._estimation = IntervalMean()

    def add(self, latency: float, detection: float, estimation: float) -> str:
        """Add a frame, all times in seconds; return the line if it is due, else ''."""
        self._rate.tick()
        self._latency.add(latency if abs(latency) < MAX_PLAUSIBLE_AGE else math.nan)
        self._detection.add(detection)
        self._estimation.add(estimation)
        if self._rate.count % self.every:
            return ''
        latency, face, gaze = (
            _milliseconds(mean.pop())
            for mean in (self._latency, self._detection, self._estimation))
        return (f'Overall FPS: {self._rate.recent:.2f}, Latency: {latency}, Face: {face}, '
                f'Gaze: {gaze}')


def _milliseconds(value: float) -> str:
    return '-' if math.isnan(value) else f'{1e3 * value:.1f}ms'
