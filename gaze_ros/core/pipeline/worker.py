"""A thread that works on the newest things it was given."""
from collections import deque
from collections.abc import Callable
import math
from threading import Condition, Thread
from time import monotonic
from typing import Generic, Optional, TypeVar

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.stage_stats import StageStats

T = TypeVar('T')

#: Share of the newest measurement in the averages that auto goes by.
_SHARE = 0.1


class Mailbox(Generic[T]):
    """Holds a few items in order; where there is no room, the oldest goes for the newest.

    :ivar depth: items held at most, at least 1; may be changed.
    """

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        self._condition = Condition()
        self._items: deque[T] = deque()
        self._closed = False

    def put(self, item: T) -> int:
        """Leave an item; return how many that nobody had taken were dropped for it."""
        dropped = 0
        with self._condition:
            while len(self._items) >= self.depth:
                self._items.popleft()
                dropped += 1
            self._items.append(item)
            self._condition.notify()
        return dropped

    def take(self) -> Optional[T]:
        """Wait for an item and return the oldest held, or None once closed."""
        with self._condition:
            while not self._items and not self._closed:
                self._condition.wait()
            return None if self._closed else self._items.popleft()

    def close(self) -> None:
        """Let the reader go; items left are dropped."""
        with self._condition:
            self._closed = True
            self._items.clear()
            self._condition.notify_all()


class Worker(Generic[T]):
    """Does one thing at a time; what comes meanwhile waits in a mailbox, the newest winning.

    An item that fails costs itself only. What failed is told once, until something else does,
    and a few times a minute at most.

    :param name: of the thread.
    :param work: what is done with an item.
    :param stage: counts the items dropped: replaced before their turn, or failed. Whoever gives
        items counts that they came, and the work that they are done.
    :param tell: takes the reason of a failure.
    :param queue_depth: how many items may wait, as the parameter of that name has it. ``auto`` is as many
        of 1, 2 and 4 as can be worked off before the next one comes: hiccups cost a fast stage
        nothing, and a slow one has no queue to be late by.
    """

    def __init__(self, name: str, work: Callable[[T], None], stage: StageStats,
                 tell: Callable[[str], None], queue_depth: str = 'auto') -> None:
        self._work = work
        self._stage = stage
        self._report_error = tell
        self._log_throttle = LogThrottle()
        self._mailbox: Mailbox[T] = Mailbox()
        self.set_queue_depth(queue_depth)
        self._came = 0.0
        self._period = 0.0
        self._taken = 0.0
        self._thread = Thread(target=self._run, name=name, daemon=True)

    @property
    def queue_depth(self) -> int:
        """How many items may wait at present."""
        return self._mailbox.depth

    def set_queue_depth(self, queue_depth: str) -> None:
        """Let so many items wait from the next one on, from any thread.

        :param queue_depth: as the parameter of that name has it.
        """
        self._fixed = 0 if queue_depth == 'auto' else int(queue_depth)
        self._mailbox.depth = self._fixed or 1

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, item: T) -> None:
        """Leave an item to be worked on, from any thread; the oldest may go for it."""
        now = monotonic()
        if self._came:
            # A pause is no pace: after one, a slow stage is not to be given a deep queue.
            self._period = _average(
                self._period, min(now - self._came, 2 * self._period or math.inf))
        self._came = now
        for _ in range(self._mailbox.put(item)):
            self._stage.dropped('newer')

    def request_stop(self) -> None:
        """Tell the thread to end after what it does."""
        self._mailbox.close()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, in seconds; return whether it has ended, or never began."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._mailbox.take()) is not None:
            start = monotonic()
            try:
                self._work(item)
            except Exception as e:
                self._stage.dropped('failed')
                self._stage.failed(reason := str(e) or type(e).__name__)
                if self._log_throttle.should_log(reason):
                    self._report_error(reason)
            # Else a picture would live on until the next one comes.
            item = None
            self._taken = _average(self._taken, monotonic() - start)
            self._mailbox.depth = self._fixed or affordable_queue_depth(self._taken, self._period)


def affordable_queue_depth(work: float, period: float) -> int:
    """Return how deep a queue is worked off within one period: 4, 2 or 1.

    :param work: seconds an item takes.
    :param period: seconds from one item to the next.
    """
    return next((depth for depth in (4, 2) if depth * work <= period), 1)


def _average(average: float, value: float) -> float:
    return average + _SHARE * (value - average) if average else value
