"""Playing bags: yield each message when it is due, at a rate, in a loop."""
from collections.abc import Callable, Collection, Iterator
from threading import Event
from time import monotonic
from typing import NamedTuple, Optional

from gaze_ros.bags.reading import BagReader, Record
from gaze_ros.bags.stamps import shift_stamp

#: Maximum seconds between two calls of on_time.
_TICK = 0.01

#: Seconds that playing may be late before the bag's time waits for it.
_MAX_LATENESS = 0.1

#: Minimum nanoseconds of a round of a loop: a single image has no period.
_MIN_ROUND = 100_000_000


class PlayedRecord(NamedTuple):
    """A message that is due.

    :ivar record: the message; its time includes the shift.
    :ivar shift: nanoseconds by which its stamp is shifted, > 0 after the first round of a loop.
    """

    record: Record
    shift: int

    @property
    def cdr(self) -> bytes:
        """The message with its stamp shifted.

        :raises ValueError: if it has no header, or the stamp would be out of range.
        """
        return shift_stamp(self.record.cdr, self.shift)


class Player:
    """Plays some topics of a bag, by one thread at a time.

    No message is skipped: if the caller takes too long, the bag's time slows down.

    :param reader: must stay open while it is played.
    :param topics: topics to play.
    :param images: topic whose mean period separates two rounds of a loop.
    :param loop: whether to start again at the end; the bag's time continues, it never goes back.
    :param rate: bag seconds per second, > 0.
    :param on_time: called with the bag's time (ns) at least every 10 ms and before each message;
        the time never decreases.
    :ivar loop: may be changed; if set after the end, the next :meth:`play` starts again.
    :ivar rate: may be changed.
    :ivar delay: seconds by which playing has been slower than the rate so far.
    :ivar remaining: seconds until the next message.
    :ivar ended: whether all messages have been played.
    """

    def __init__(self, reader: BagReader, topics: Collection[str], images: str, loop: bool,
                 rate: float, on_time: Callable[[int], None]) -> None:
        self.loop = loop
        self.rate = rate
        self.delay = self.remaining = 0.0
        self.ended = False
        self._on_time = on_time
        self._messages = self._rounds(reader, topics, images)
        self._next: Optional[PlayedRecord] = None
        self._bag_time: Optional[float] = None
        self._updated = 0.0
        self._reported = 0

    def play(self, stop: Event) -> Iterator[PlayedRecord]:
        """Yield messages when due, until all are played or stop is set; may be called again."""
        self._updated = monotonic()
        while True:
            if self._next is None:
                self._next = next(self._messages)
            self.ended = self._next is None
            if self.ended:
                return
            due = self._next.record.time
            if not self._wait(due, stop):
                return
            played, self._next = self._next, None
            yield played
            if (lateness := -self._time_until(due)) > _MAX_LATENESS:
                self.delay += lateness - _MAX_LATENESS
                self._bag_time -= 1e9 * self.rate * (lateness - _MAX_LATENESS)

    def run_clock(self, stop: Event, seconds: float) -> None:
        """Continue the bag's time for some seconds, or until stop is set."""
        if self._bag_time is not None:
            self._wait(int(self._bag_time + 1e9 * self.rate * seconds), stop)

    def _wait(self, due: int, stop: Event) -> bool:
        """Advance the bag's time to ``due``; return False if stop is set."""
        if self._bag_time is None:
            self._bag_time = float(due)
        while (remaining := self._time_until(due)) > 0:
            self.remaining = remaining
            self._report(min(int(self._bag_time), due))
            if stop.wait(min(remaining, _TICK)):
                return False
        self.remaining = 0.0
        self._report(due)
        return not stop.is_set()

    def _time_until(self, due: int) -> float:
        """Update the bag's time; return the seconds until ``due``, < 0 if late."""
        now = monotonic()
        self._bag_time += 1e9 * self.rate * (now - self._updated)
        self._updated = now
        return (due - self._bag_time) / (1e9 * self.rate)

    def _report(self, now: int) -> None:
        # Files of a split bag may overlap in time.
        self._reported = max(self._reported, now)
        self._on_time(self._reported)

    def _rounds(self, reader: BagReader, topics: Collection[str], images: str
                ) -> Iterator[Optional[PlayedRecord]]:
        """Yield the messages, round after round; None while the bag has ended."""
        shift = 0
        while True:
            first = None
            last = first_image = last_image = count = 0
            for record in reader.records(topics):
                time = record.time
                first, last = time if first is None else first, max(last, time)
                if record.topic == images:
                    first_image, last_image = first_image if count else time, time
                    count += 1
                yield PlayedRecord(record._replace(time=time + shift), shift)
            while first is None or not self.loop:
                yield None
            # The gap between the last image and the first is one mean period.
            period = (last_image - first_image) // max(1, count - 1)
            shift += max(last_image - first_image + period, last - first, _MIN_ROUND)
