"""Bringing a picture and its result together by their stamp."""
from collections import deque, OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Generic, Optional, TypeVar

Image = TypeVar('Picture')
Result = TypeVar('Result')

#: Bytes of pictures kept until their result comes: 9 s of 640x480, 1.3 s of 1920x1080 at 30 Hz.
_MEMORY = 256_000_000
#: Pictures kept at least, however large, and at most.
_FEWEST, _MOST = 4, 300

#: Seconds without a pair after which results are not to wait for their pictures any more.
_PATIENCE = 1.0


class ExactTimeSynchronizer(Generic[Image, Result]):
    """Keeps pictures until their result comes, and results until their picture comes.

    Results come in the order of their pictures: a pair made drops all that came before it,
    whatever the stamps say. They may jump, back or ahead, or stand still.

    :ivar capacity: pictures kept at most; the oldest goes first. It bounds memory, and the
        latency that can be matched: capacity / frame rate. May be changed.
    :ivar late: results whose picture had already gone.
    """

    def __init__(self, capacity: int = 16) -> None:
        self.capacity = capacity
        self.late = 0
        self._lock = Lock()
        self._images: OrderedDict[Hashable, Image] = OrderedDict()
        self._results: OrderedDict[Hashable, Result] = OrderedDict()
        #: Stamps of pictures that went without a result.
        self._dropped: deque[Hashable] = deque(maxlen=_MOST)

    def set_image_size(self, nbytes: int) -> None:
        """Keep as many pictures of so many bytes as there is memory for, 4 to 300."""
        self.capacity = max(_FEWEST, min(_MOST, _MEMORY // max(1, nbytes)))

    def add_image(self, stamp: Hashable, picture: Image
                    ) -> Optional[tuple[Image, Result]]:
        """Return the pair the picture completes, or None."""
        with self._lock:
            if stamp in self._results:
                # Those of the pictures before it have come, too, or never will.
                self._images.clear()
                return picture, _take(self._results, stamp)
            self._dropped.extend(self._keep(self._images, stamp, picture))
            return None

    def add_result(self, stamp: Hashable, result: Result) -> Optional[tuple[Image, Result]]:
        """Return the pair the result completes, or None."""
        with self._lock:
            if stamp in self._images:
                self._results.clear()
                return _take(self._images, stamp), result
            if stamp in self._dropped:
                self.late += 1
            self._keep(self._results, stamp, result)
            return None

    def _keep(self, kept: OrderedDict, stamp: Hashable, item: object) -> list[Hashable]:
        """Keep an item; return the stamps of those that had to go for it."""
        kept.pop(stamp, None)
        kept[stamp] = item
        return [kept.popitem(last=False)[0] for _ in range(len(kept) - self.capacity)]


def _take(kept: OrderedDict, stamp: Hashable) -> object:
    """Take an item out, and drop all that came before it."""
    while True:
        key, item = kept.popitem(last=False)
        if key == stamp:
            return item


class TimeoutSynchronizer(Generic[Image, Result]):
    """Gives each result with its picture, or without where pictures do not come.

    Results wait for theirs while some come: after a second without a pair (nobody publishes them,
    or none arrives, or their stamps are others) none does, until there is a pair again. What is
    given is newer each time.

    :param give: takes a picture, or None, and its result.
    """

    def __init__(self, give: Callable[[tuple[Optional[Image], Result]], None]) -> None:
        self._callback = give
        self._synchronizer: ExactTimeSynchronizer[Image, Result] = ExactTimeSynchronizer()
        self._lock = Lock()
        self._paired = monotonic()
        #: The newest stamp whose result was given without its picture.
        self._alone: Optional[Hashable] = None

    def add_image(self, stamp: Hashable, picture: Image, nbytes: int) -> None:
        """Take a picture of so many bytes."""
        with self._lock:
            self._synchronizer.set_image_size(nbytes)
            self._hand_on(stamp, self._synchronizer.add_image(stamp, picture))

    def add_result(self, stamp: Hashable, result: Result) -> None:
        """Take a result."""
        with self._lock:
            if self._alone is not None and stamp < self._alone:
                self._alone = None  # another time has begun: a bag again
            pair = self._synchronizer.add_result(stamp, result)
            if pair is None and monotonic() - self._paired > _PATIENCE:
                self._alone = stamp
                self._callback((None, result))
            else:
                self._hand_on(stamp, pair)

    def _hand_on(self, stamp: Hashable, pair: Optional[tuple[Image, Result]]) -> None:
        if pair is None:
            return
        self._paired = monotonic()
        if self._alone is None or self._alone < stamp:
            self._callback(pair)
        elif self._alone == stamp:
            self._alone = None
