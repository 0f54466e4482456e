"""A worker thread with a bounded queue that drops the oldest items first."""
from collections import deque
from collections.abc import Callable
import math
from threading import Condition, Thread
from time import monotonic
from typing import Generic, Optional, TypeVar

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.stage_stats import StageStats

T = TypeVar('T')

#: Share of the mean work time after which an item may be finished: predicted too late, a stage
#: would wait for the next item; predicted too early, one item is dropped after its conversion.
_EARLY = 0.8
#: Share of the mean work time that an item waits at least before a newer one replaces it.
_STALE = 0.5

#: Weight of the newest measurement in the averages that the ``auto`` queue depth uses.
_SMOOTHING = 0.1


class Mailbox(Generic[T]):
    """A bounded queue; if it is full, the oldest item is dropped for the newest.

    :ivar depth: maximum items held, at least 1; may be changed.
    """

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        self._condition = Condition()
        self._items: deque[T] = deque()
        self._closed = False

    def put(self, item: T) -> int:
        """Add an item; return how many waiting items were dropped for it."""
        dropped = 0
        with self._condition:
            while len(self._items) >= self.depth:
                self._items.popleft()
                dropped += 1
            self._items.append(item)
            self._condition.notify()
        return dropped

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return len(self._items)

    def take(self) -> Optional[T]:
        """Wait for an item and return the oldest one, or None once closed."""
        with self._condition:
            while not self._items and not self._closed:
                self._condition.wait()
            return None if self._closed else self._items.popleft()

    def close(self) -> None:
        """Wake the reader and drop all waiting items."""
        with self._condition:
            self._closed = True
            self._items.clear()
            self._condition.notify_all()


class Worker(Generic[T]):
    """Processes one item at a time in its own thread; new items wait in a mailbox.

    A failed item is dropped; the thread goes on with the next one. Each kind of error is reported
    once, and again only after a minute without it.

    :param name: of the thread.
    :param work: processes one item.
    :param stage: counts the dropped items: replaced while waiting, or failed. The caller of
        :meth:`submit` counts received items, and ``work`` counts processed ones.
    :param report_error: takes the reason of a failure.
    :param queue_depth: maximum items waiting, as the parameter of that name. ``auto``: 1, 2 or 4,
        the most that can be processed within one period. So a fast stage survives hiccups
        without drops, and a slow one has no queue that adds latency.
    """

    def __init__(self, name: str, work: Callable[[T], None], stage: StageStats,
                 report_error: Callable[[str], None], queue_depth: str = 'auto') -> None:
        self._work = work
        self._stage = stage
        self._report_error = report_error
        self._log_throttle = LogThrottle()
        self._mailbox: Mailbox[T] = Mailbox()
        self.set_queue_depth(queue_depth)
        #: time.monotonic() of the last arrival, and of the last item that was queued.
        self._last_submit = self._last_put = 0.0
        self._period = 0.0
        self._work_time = 0.0
        #: time.monotonic() at which the present item was taken; None between two items.
        self._start: Optional[float] = None
        self._thread = Thread(target=self._run, name=name, daemon=True)

    @property
    def queue_depth(self) -> int:
        """Maximum items waiting at present."""
        return self._mailbox.depth

    def set_queue_depth(self, queue_depth: str) -> None:
        """Set the maximum queue length from the next item on; from any thread.

        :param queue_depth: as the parameter of that name.
        """
        self._fixed_depth = 0 if queue_depth == 'auto' else int(queue_depth)
        self._mailbox.depth = self._fixed_depth or 1

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, item: T) -> None:
        """Queue an item, from any thread; the oldest one may be dropped for it."""
        self._note_arrival()
        self._last_put = self._last_submit
        for _ in range(self._mailbox.put(item)):
            self._stage.dropped('newer')

    def wants(self, horizon: float) -> bool:
        """Return whether an item submitted now would be processed; from any thread.

        :param horizon: seconds until a newer item replaces it.
        """
        start, waiting, now = self._start, len(self._mailbox), monotonic()
        if waiting >= self._mailbox.depth:
            # The waiting item is replaced only if that makes results clearly fresher.
            return now - self._last_put > _STALE * self._work_time
        if start is None or self._mailbox.depth > 1:
            return True
        return start + _EARLY * self._work_time <= now + horizon

    def skip(self) -> None:
        """Count an item that was not submitted because :meth:`wants` returned False."""
        self._note_arrival()
        self._stage.dropped('newer')

    def request_stop(self) -> None:
        """Ask the thread to stop after the current item."""
        self._mailbox.close()

    def join(self, timeout: float) -> bool:
        """Wait up to timeout seconds; return whether the thread has stopped or never started."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _note_arrival(self) -> None:
        now = monotonic()
        if self._last_submit:
            # A pause does not change the rate: a slow stage must not get a deep queue after one.
            self._period = _average(
                self._period, min(now - self._last_submit, 2 * self._period or math.inf))
        self._last_submit = now

    def _run(self) -> None:
        while (item := self._mailbox.take()) is not None:
            start = self._start = monotonic()
            try:
                self._work(item)
            except Exception as e:
                self._stage.dropped('failed')
                self._stage.failed(reason := str(e) or type(e).__name__)
                if self._log_throttle.should_log(reason):
                    self._report_error(reason)
            # Release the image now, not when the next one arrives.
            item = None
            self._start = None
            self._work_time = _average(self._work_time, monotonic() - start)
            self._mailbox.depth = self._fixed_depth or affordable_queue_depth(
                self._work_time, self._period)


def affordable_queue_depth(work: float, period: float) -> int:
    """Return the deepest queue that is processed within one period: 4, 2 or 1.

    :param work: seconds of processing per item.
    :param period: seconds from one item to the next.
    """
    return next((depth for depth in (4, 2) if depth * work <= period), 1)


def _average(average: float, value: float) -> float:
    return average + _SMOOTHING * (value - average) if average else value
