"""Worker threads with a bounded queue that drops the oldest items first."""
from collections import deque
from collections.abc import Callable
import math
from threading import Condition, Thread
from time import monotonic
from typing import Generic, Optional, TypeVar

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.pipeline.ordering import Order, Turn

T = TypeVar('T')

#: Share of the mean work time at which a thread needs its next item, ready to be processed. Later
#: than the mean: a thread that waits leaves its core to the others, and an early item waits or is
#: dropped after its conversion. One face 1080p on 2 cores, camera at 500 frames/s, one image at
#: a time: 57 images/s and p50 20.8 ms with 1.0, 63 and 16.7 with 1.1, 64 and 15.0 with 1.2; two
#: side by side: 79.5 and 28.6, 82.3 and 26.2, 81.4 and 24.7. Chosen on that clip.
_NEED = 1.2
#: The same at which an item is asked for that comes from another process, which may not learn
#: that a thread is free earlier. One image at a time: 49 images/s and p50 31 ms with 0.8, 52 and
#: 27 with 1.0, 44 and 30 with 1.2; two side by side: 61 and 38 with 1.0, 59 and 35 with 1.2.
_REMOTE_NEED = 1.0
#: Share of the mean work time that an item waits at least before a newer one replaces it.
_STALE = 0.5

#: Weight of the newest measurement in the averages that the ``auto`` queue depth uses.
_SMOOTHING = 0.1


class Mailbox(Generic[T]):
    """A bounded queue; if it is full, the oldest item is dropped for the newest.

    :ivar depth: maximum items held, at least 1; may be changed.
    :ivar readers: number of threads that may take items; may be changed.
    """

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        self.readers = 1
        self._condition = Condition()
        self._items: deque[T] = deque()
        self._closed = False
        self._taken = 0

    def put(self, item: T) -> int:
        """Add an item; return how many waiting items were dropped for it."""
        dropped = 0
        with self._condition:
            while len(self._items) >= self.depth:
                self._items.popleft()
                dropped += 1
            self._items.append(item)
            self._condition.notify_all()
        return dropped

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return len(self._items)

    def take(self, reader: int = 0) -> Optional[tuple[int, T]]:
        """Wait for an item; return its number, from 0 on, and the oldest one, or None once closed.

        :param reader: number of the calling thread; if it is not below :attr:`readers`, it waits.
        """
        with self._condition:
            while not self._closed and (not self._items or reader >= self.readers):
                self._condition.wait()
            if self._closed:
                return None
            self._taken += 1
            return self._taken - 1, self._items.popleft()

    def close(self) -> None:
        """Wake the readers and drop all waiting items."""
        with self._condition:
            self._closed = True
            self._items.clear()
            self._condition.notify_all()


class Worker(Generic[T]):
    """A thread that processes the items submitted to it, newest first when it falls behind.

    :param name: name of the thread.
    :param work: processes one item.
    :param stage: counts the dropped items: replaced while waiting, or failed. The caller of
        :meth:`submit` counts received items, and ``work`` counts processed ones.
    :param report_error: takes the reason of a failure.
    :param queue_depth: maximum items waiting, as the parameter of that name. ``auto``: 1, 2 or 4,
        the most that can be processed within one period. So a fast stage survives hiccups
        without drops, and a slow one has no queue that adds latency.
    :ivar work_time: mean seconds of a thread per item.
    :ivar period: mean seconds from one item to the next.
    :ivar on_idle: called in a thread that has finished an item while no other one is waiting.
    """

    def __init__(self, name: str, work: Callable[[T], None], stage: StageStats,
                 report_error: Callable[[str], None], queue_depth: str = 'auto') -> None:
        self.name = name
        self._work = work
        self._stage = stage
        self._report_error = report_error
        self._log_throttle = LogThrottle()
        self._mailbox: Mailbox[T] = Mailbox()
        self.set_queue_depth(queue_depth)
        #: time.monotonic() of the last arrival, and of the last item that was queued.
        self._last_submit = self._last_put = 0.0
        self.work_time = self.period = 0.0
        #: By thread, time.monotonic() at which it took its present item.
        self._starts: dict[int, float] = {}
        self.on_idle: Callable[[], None] = lambda: None
        self._threads: list[Thread] = []

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
        number = len(self._threads)
        thread = Thread(
            target=self._run, args=(number,), name=f'{self.name}{number or ""}', daemon=True)
        self._threads.append(thread)
        thread.start()

    def submit(self, item: T, missed: int = 0) -> None:
        """Queue an item, from any thread; the oldest one may be dropped for it.

        :param missed: number of items since the last that were not submitted because of
            :meth:`needed_at`; they are counted as dropped.
        """
        self._note_arrivals(1 + missed)
        self._last_put = self._last_submit
        for _ in range(self._mailbox.put(item) + missed):
            self._stage.dropped('newer')

    def wants(self, horizon: float) -> bool:
        """Return whether an item submitted now would be processed; from any thread.

        :param horizon: seconds until a newer item replaces it.
        """
        return self.needed_at() <= monotonic() + horizon

    def needed_at(self, remote: bool = False) -> float:
        """Return the time.monotonic() from which on a new item is needed; 0 if it is already.

        :param remote: whether the item comes from another process.
        """
        starts = [*self._starts.values()]
        if len(self._mailbox) >= self._mailbox.depth:
            # The waiting item is replaced only if that makes results clearly fresher.
            return self._last_put + _STALE * self.work_time
        if len(starts) < self._mailbox.readers or self._mailbox.depth > 1:
            return 0.0
        return min(starts) + (_REMOTE_NEED if remote else _NEED) * self.work_time

    def skip(self) -> None:
        """Count an item that was not submitted because :meth:`wants` returned False."""
        self._note_arrivals(1)
        self._stage.dropped('newer')

    def request_stop(self) -> None:
        """Ask the threads to stop after the current item."""
        self._mailbox.close()

    def join(self, timeout: float) -> bool:
        """Wait up to timeout seconds; return whether all threads have stopped."""
        until = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _note_arrivals(self, count: int) -> None:
        now = monotonic()
        if self._last_submit:
            # A pause does not change the rate: a slow stage must not get a deep queue after one.
            self.period = _average(self.period, min(
                (now - self._last_submit) / count, 2 * self.period or math.inf))
        self._last_submit = now

    def _run(self, thread: int) -> None:
        while (taken := self._mailbox.take(thread)) is not None:
            start = self._starts[thread] = monotonic()
            try:
                self._process(*taken, thread)
            except Exception as e:
                self._stage.dropped('failed')
                self._stage.failed(reason := str(e) or type(e).__name__)
                if self._log_throttle.should_log(reason):
                    self._report_error(reason)
            # Release the image now, not when the next one arrives.
            taken = None
            del self._starts[thread]
            self.work_time = _average(self.work_time, monotonic() - start)
            self._mailbox.depth = self._fixed_depth or affordable_queue_depth(
                self.work_time / self._mailbox.readers, self.period)
            if not len(self._mailbox):
                self.on_idle()

    def _process(self, number: int, item: T, thread: int) -> None:
        self._work(item)


class ParallelWorker(Worker[T]):
    """A worker with several threads, which process consecutive items side by side.

    :param work: processes one item; takes the item, its turn, in which it passes the sections that
        follow the order of the items, and the number of the thread.
    """

    def __init__(self, name: str, work: Callable[[T, Turn, int], None], stage: StageStats,
                 report_error: Callable[[str], None], queue_depth: str = 'auto') -> None:
        super().__init__(name, work, stage, report_error, queue_depth)
        self._order = Order()

    @property
    def parallel(self) -> int:
        """Number of items that are processed side by side."""
        return self._mailbox.readers

    def set_parallel(self, count: int) -> None:
        """Change the number of items that are processed side by side, from the next item on."""
        while len(self._threads) < count:
            self.start()
        self.work_time *= count / self.parallel  # until it is measured
        self._mailbox.readers = count

    def _process(self, number: int, item: T, thread: int) -> None:
        turn = self._order.turn(number)
        try:
            self._work(item, turn, thread)
        finally:
            turn.finish()


def affordable_queue_depth(work: float, period: float) -> int:
    """Return the deepest queue that is processed within one period: 4, 2 or 1.

    :param work: seconds of processing per item.
    :param period: seconds from one item to the next.
    """
    return next((depth for depth in (4, 2) if depth * work <= period), 1)


def _average(average: float, value: float) -> float:
    return average + _SMOOTHING * (value - average) if average else value
