"""Playing bags: their messages when the time of each has come."""
from collections.abc import Callable, Collection, Iterator
from threading import Event
from time import monotonic
from typing import NamedTuple, Optional

from gaze_ros.bags.reading import BagReader, Record
from gaze_ros.bags.stamps import shift_stamp

#: Seconds from one time told to the next at most.
_TICK = 0.01

#: Seconds that playing may be behind before the bag's time waits for it.
_BEHIND = 0.1

#: Nanoseconds a round of a loop takes at least: one image has no period.
_ROUND = 100_000_000


class Played(NamedTuple):
    """A message whose time has come, and by how many nanoseconds its stamp is to be moved."""

    record: Record
    moved: int

    @property
    def cdr(self) -> bytes:
        """The message, its stamp moved.

        :raises ValueError: if it has none that could be.
        """
        return shift_stamp(self.record.cdr, self.moved)


class Player:
    """Plays some topics of a bag, by one thread at a time.

    Nothing is skipped: where playing takes longer than it should, the bag's time goes slower.

    :param reader: stays open as long as it is played.
    :param images: the topic by whose mean period one round of a loop follows the other.
    :param loop: whether to begin again at the end, as if the bag went on: time never goes back.
    :param rate: seconds of the bag in a second, > 0.
    :param tell: takes the bag's time (ns) every 10 ms at least, and before each message, never
        an earlier one.
    :ivar loop: may be changed; one set when all has been played begins again with the next
        :meth:`play`.
    :ivar rate: may be changed.
    :ivar lost: seconds by which it was slower than that so far.
    :ivar left: seconds to the next message.
    :ivar ended: whether all has been played.
    """

    def __init__(self, reader: BagReader, topics: Collection[str], images: str, loop: bool,
                 rate: float, tell: Callable[[int], None]) -> None:
        self.loop = loop
        self.rate = rate
        self.lost = self.left = 0.0
        self.ended = False
        self._tell = tell
        self._messages = self._all(reader, topics, images)
        self._next: Optional[Played] = None
        self._at: Optional[float] = None
        self._then = 0.0
        self._told = 0

    def play(self, stop: Event) -> Iterator[Played]:
        """Yield messages in time until all are played, or stopped; once more, and it goes on."""
        self._then = monotonic()
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
            if (behind := -self._left(due)) > _BEHIND:
                self.lost += behind - _BEHIND
                self._at -= 1e9 * self.rate * (behind - _BEHIND)

    def linger(self, stop: Event, seconds: float) -> None:
        """Let time go on for a while, or until stopped."""
        if self._at is not None:
            self._wait(int(self._at + 1e9 * self.rate * seconds), stop)

    def _wait(self, due: int, stop: Event) -> bool:
        """Let time go on until it is due; return False if stopped."""
        if self._at is None:
            self._at = float(due)
        while (left := self._left(due)) > 0:
            self.left = left
            self._say(min(int(self._at), due))
            if stop.wait(min(left, _TICK)):
                return False
        self.left = 0.0
        self._say(due)
        return not stop.is_set()

    def _left(self, due: int) -> float:
        now = monotonic()
        self._at += 1e9 * self.rate * (now - self._then)
        self._then = now
        return (due - self._at) / (1e9 * self.rate)

    def _say(self, now: int) -> None:
        # Files of a split bag may overlap.
        self._told = max(self._told, now)
        self._tell(self._told)

    def _all(self, reader: BagReader, topics: Collection[str], images: str
             ) -> Iterator[Optional[Played]]:
        """Yield the messages of round after round, and None for as long as there is no other."""
        moved = 0
        while True:
            first = None
            last = begin = end = count = 0  # the last of all; of the images
            for record in reader.records(topics):
                time = record.time
                first, last = time if first is None else first, max(last, time)
                if record.topic == images:
                    begin, end, count = begin if count else time, time, count + 1
                yield Played(record._replace(time=time + moved), moved)
            while first is None or not self.loop:
                yield None
            # From the last image to the first as from any to the next.
            period = (end - begin) // max(1, count - 1)
            moved += max(end - begin + period, last - first, _ROUND)
