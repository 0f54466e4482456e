"""Ending a process: by signal, by a key, or because the source is at its end."""
import os
import signal
import sys
from threading import Event, Thread, Timer

#: Seconds an orderly end may take before the process is ended anyhow.
GRACE = 1.8


class Stop:
    """Asked once, from any thread; the main thread waits for it.

    SIGINT and SIGTERM are minded by Python alone, not by rclpy: its own handler can leave a node
    waiting for ever when its guard conditions fire before the context ends.

    :ivar code: the exit code to end with.
    """

    def __init__(self) -> None:
        self.event = Event()
        self.code = 0
        self._starting = True

    def mind_signals(self) -> None:
        """Take SIGINT and SIGTERM as a request to end; call in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def started(self) -> None:
        """From now on signals do not break off what the main thread does."""
        self._starting = False

    def ask(self, code: int = 0) -> None:
        """Ask the process to end with an exit code; the first one asked for stays."""
        if not self.event.is_set():
            self.code = code
            self.event.set()
            last = Timer(GRACE, self._end)
            last.daemon = True
            last.start()

    def _on_signal(self, number: int, frame: object) -> None:
        # Not here: the main thread may be inside the event's own lock as it begins to wait.
        Thread(target=self.ask, daemon=True).start()
        if self._starting:
            # Breaks off imports and the loading of models, which can take longer than GRACE.
            raise SystemExit(0)

    @staticmethod
    def _end() -> None:
        sys.stderr.write(f'not ended {GRACE} s after it was asked to: ending now\n')
        sys.stderr.flush()
        os._exit(1)
