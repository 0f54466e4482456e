"""The capture thread, whose reads may hang, and the watchdog that replaces it then."""
from collections.abc import Callable
from threading import Event, Lock, Thread
import time
from typing import Optional, TypeVar

from gaze_ros.core.sources import Source

_T = TypeVar('_T')

#: Seconds after which a call counts as hanging in a driver or a disk: OpenCV gives up a webcam or
#: a stream after 5 s, or after twice that if it has to open it first.
HANG_TIMEOUT = 12.0
#: Seconds between two checks of the watchdog.
_CHECK_PERIOD = 0.5


class AbandonedError(Exception):
    """Ends a thread that another one has replaced."""


class CaptureThread:
    """A thread that plays sources until it is abandoned.

    :ivar source: the source being played; None between two sources.
    :ivar abandoned: whether another thread has replaced this one.
    """

    def __init__(self, run: Callable[['CaptureThread'], None]) -> None:
        self.source: Optional[Source] = None
        self.abandoned = False
        #: time.monotonic() at which the current call started; None without one.
        self.since: Optional[float] = None
        #: Whether the current call was reported as hanging.
        self.reported = False
        self.lock = Lock()
        self.thread = Thread(target=run, args=(self,), name='camera', daemon=True)
        self.thread.start()

    def call(self, function: Callable[[], _T]) -> _T:
        """Return the result of a call that may hang.

        :raises AbandonedError: if it hung and another thread took over.
        """
        self.reported, self.since = False, time.monotonic()
        try:
            return function()
        finally:
            with self.lock:
                self.since = None
                if self.abandoned:
                    raise AbandonedError


class CaptureWatchdog:
    """Runs one capture thread and starts a new one when it hangs.

    An abandoned thread ends when its call returns, if ever. Until then its successor is not
    abandoned, so threads do not accumulate.

    :param run: function that a capture thread runs.
    :param on_hang: called once per hanging call.
    :param hand_over: returns whether a new thread can replace the hanging one; called with the
        lock of the hanging thread held.
    """

    def __init__(
            self, run: Callable[[CaptureThread], None], on_hang: Callable[[CaptureThread], None],
            hand_over: Callable[[CaptureThread], bool]) -> None:
        self._run = run
        self._on_hang = on_hang
        self._hand_over = hand_over
        self._stopping = Event()
        self._current: Optional[CaptureThread] = None
        self._abandoned: Optional[CaptureThread] = None
        self._watch_thread: Optional[Thread] = None

    def start(self) -> None:
        """Start the first capture thread."""
        self._stopping = Event()
        self._current = CaptureThread(self._run)
        self._watch_thread = Thread(
            target=self._watch, args=(self._stopping,), name='camera_watch', daemon=True)
        self._watch_thread.start()

    def stop(self) -> None:
        """Start no further capture thread; the owner ends the running one."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the thread; return False if it still runs."""
        if self._current is None:
            return True
        until = time.monotonic() + timeout
        self._watch_thread.join(timeout)
        self._current.thread.join(max(0.0, until - time.monotonic()))
        return not self._current.thread.is_alive()

    def _watch(self, stopping: Event) -> None:
        while not stopping.wait(_CHECK_PERIOD):
            current = self._current
            since = current.since
            if since is None or time.monotonic() - since < HANG_TIMEOUT:
                continue
            if not current.reported:
                current.reported = True
                self._on_hang(current)
            if self._abandoned is not None and self._abandoned.thread.is_alive():
                continue
            with current.lock:
                # The hanging call may have returned meanwhile.
                if current.since != since or not self._hand_over(current):
                    continue
                current.abandoned = True
            self._abandoned, self._current = current, CaptureThread(self._run)
