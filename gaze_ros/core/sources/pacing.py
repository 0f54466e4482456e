"""Plays a file at its own times or at a constant rate, as a camera delivers it."""
from collections import deque
import math
from threading import Event
from time import monotonic


class Pacer:
    """Waits for the time of each frame.

    A late player continues from the current time and does not catch up.

    :param rate: frames per second, > 0; the largest if their times are uneven.
    :ivar stamp: time of the next frame in its file, seconds; NaN if it has none, or is not read
        yet.
    """

    def __init__(self, rate: float) -> None:
        self._period = 1 / rate
        #: When the last frame was due; the first one is due at once.
        self._last = -math.inf
        self.stamp = self._last_stamp = math.nan
        #: Seconds before each of the latest frames.
        self._steps: deque[float] = deque([self._period], maxlen=30)

    @property
    def rate(self) -> float:
        """Mean rate of the latest frames, per second."""
        return len(self._steps) / max(sum(self._steps), self._period)

    @property
    def step(self) -> float:
        """Seconds from the last frame to the next; those of the rate if its time is unknown.

        Also where the time of the next frame is before that of the last, because a file starts
        again.
        """
        step = self.stamp - self._last_stamp
        return step if step >= 0 else self._period

    def approach(self, stop: Event, lead: float) -> bool:
        """Wait until ``lead`` seconds before the next frame; return False if ``stop`` was set."""
        return not stop.wait(max(0.0, self._last + self.step - lead - monotonic()))

    def wait(self, stop: Event) -> bool:
        """Wait until the next frame is due; return False if ``stop`` was set meanwhile."""
        now, step = monotonic(), self.step
        due = self._last + step
        self._last = now if now - due > self._period else due
        self._last_stamp, self.stamp = self.stamp, math.nan
        self._steps.append(step)
        return not stop.wait(max(0.0, self._last - now))
