"""A thread whose calls may hang, and the one that takes its place then."""
from collections.abc import Callable
from threading import Event, Lock, Thread
import time
from typing import Optional, TypeVar

from gaze_ros.core.sources import Source

_T = TypeVar('_T')

#: Seconds after which a call hangs: the driver or the disk does, for OpenCV gives up a webcam or
#: a stream after 5 s, and after twice that one that has to be opened first. And how often it is
#: looked after, in seconds.
HANG_TIMEOUT, _LOOK = 12.0, 0.5


class AbandonedError(Exception):
    """Ends a thread whose place another one has taken."""


class CaptureThread:
    """A thread that plays, until it is left behind.

    :ivar source: what it plays; None between two.
    :ivar left: whether another thread has taken its place.
    """

    def __init__(self, run: Callable[['CaptureThread'], None]) -> None:
        self.source: Optional[Source] = None
        self.abandoned = False
        #: time.monotonic() at which a call began that is under way, and whether that was told.
        self.since: Optional[float] = None
        self.reported = False
        self.lock = Lock()
        self.thread = Thread(target=run, args=(self,), name='camera', daemon=True)
        self.thread.start()

    def call(self, function: Callable[[], _T]) -> _T:
        """Return what a call returns that may hang.

        :raises LeftBehindError: if it hung, and another thread has gone on.
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
    """Has turns run one after the other, and the next take over from one that hangs.

    One that was left behind ends when its call returns, if it ever does. Until then the next one
    is not left behind: threads do not pile up.

    :param run: what a turn runs, in its thread.
    :param hangs: called once for a call that hangs.
    :param hand_over: whether another turn can go on in place of one that hangs; called with its
        lock held.
    """

    def __init__(self, run: Callable[[CaptureThread], None], hangs: Callable[[CaptureThread], None],
                 hand_over: Callable[[CaptureThread], bool]) -> None:
        self._run = run
        self._hangs = hangs
        self._hand_over = hand_over
        self._ending = Event()
        self._current: Optional[CaptureThread] = None
        self._abandoned: Optional[CaptureThread] = None
        self._watch: Optional[Thread] = None

    def start(self) -> None:
        """Begin the first turn."""
        self._ending = Event()
        self._current = CaptureThread(self._run)
        self._watch = Thread(
            target=self._look, args=(self._ending,), name='camera_watch', daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """Have no turn follow; to end the one at work is the owner's."""
        self._ending.set()

    def join(self, timeout: float) -> bool:
        """Wait for the turn, in seconds; False where it hangs."""
        if self._current is None:
            return True
        until = time.monotonic() + timeout
        self._watch.join(timeout)
        self._current.thread.join(max(0.0, until - time.monotonic()))
        return not self._current.thread.is_alive()

    def _look(self, ending: Event) -> None:
        while not ending.wait(_LOOK):
            turn = self._current
            since = turn.since
            if since is None or time.monotonic() - since < HANG_TIMEOUT:
                continue
            if not turn.reported:
                turn.reported = True
                self._hangs(turn)
            if self._abandoned is not None and self._abandoned.thread.is_alive():
                continue
            with turn.lock:
                # Another call than the one that hung is none of its.
                if turn.since != since or not self._hand_over(turn):
                    continue
                turn.abandoned = True
            self._abandoned, self._current = turn, CaptureThread(self._run)
