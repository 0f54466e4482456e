"""Playing a file as a camera would."""
from threading import Event
from time import monotonic


class Pacer:
    """Waits for the time of each frame of a constant rate.

    A player that falls behind goes on from where it is: it never hurries to catch up.

    :param rate: frames a second, > 0.
    """

    def __init__(self, rate: float) -> None:
        self._period = 1 / rate
        self._due = 0.0

    def approach(self, stop: Event, lead: float) -> bool:
        """Wait until ``lead`` seconds before the next frame is due; False if ``stop`` was set."""
        return not stop.wait(max(0.0, self._due - lead - monotonic()))

    def wait(self, stop: Event) -> bool:
        """Wait until the next frame is due; return False if ``stop`` was set meanwhile."""
        now = monotonic()
        if now - self._due > self._period:
            self._due = now
        stopped = stop.wait(max(0.0, self._due - now))
        self._due += self._period
        return not stopped
