"""Plays a file at a constant rate, as a camera delivers it."""
from threading import Event
from time import monotonic


class Pacer:
    """Waits for the time of each frame of a constant rate.

    A late player continues from the current time and does not catch up.

    :param rate: frames per second, > 0.
    """

    def __init__(self, rate: float) -> None:
        self._period = 1 / rate
        self._due = 0.0

    def approach(self, stop: Event, lead: float) -> bool:
        """Wait until ``lead`` seconds before the next frame; return False if ``stop`` was set."""
        return not stop.wait(max(0.0, self._due - lead - monotonic()))

    def wait(self, stop: Event) -> bool:
        """Wait until the next frame is due; return False if ``stop`` was set meanwhile."""
        now = monotonic()
        if now - self._due > self._period:
            self._due = now
        stopped = stop.wait(max(0.0, self._due - now))
        self._due += self._period
        return not stopped
