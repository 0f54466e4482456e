"""Bringing a picture and its result together by their stamp."""
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Generic, Optional, TypeVar

Picture = TypeVar('Picture')
Result = TypeVar('Result')

#: Bytes of pictures kept until their result comes: 9 s of 640x480, 1.3 s of 1920x1080 at 30 Hz.
_MEMORY = 256_000_000

#: Seconds without a pair after which results are not to wait for their pictures any more.
_PATIENCE = 1.0


class StampMatcher(Generic[Picture, Result]):
    """Keeps pictures until their result comes, and results until their picture comes.

    A pair made drops everything with an older stamp: results come in order, so nothing older is
    waited for. Stamps can be compared.

    :ivar capacity: pictures kept at most; the oldest goes first. It bounds memory, and the
        latency that can be matched: capacity / frame rate. May be changed.
    :ivar late: results whose picture had already gone.
    """

    def __init__(self, capacity: int = 16) -> None:
        self.capacity = capacity
        self.late = 0
        self._lock = Lock()
        self._pictures: OrderedDict[Hashable, Picture] = OrderedDict()
        self._results: OrderedDict[Hashable, Result] = OrderedDict()

    def fit(self, nbytes: int) -> None:
        """Keep as many pictures of so many bytes as there is memory for, 16 to 300."""
        self.capacity = max(16, min(300, _MEMORY // max(1, nbytes)))

    def add_picture(self, stamp: Hashable, picture: Picture
                    ) -> Optional[tuple[Picture, Result]]:
        """Return the pair the picture completes, or None."""
        with self._lock:
            if stamp in self._results:
                result = self._results[stamp]
                self._drop_until(stamp)
                return picture, result
            self._keep(self._pictures, stamp, picture)
            return None

    def add_result(self, stamp: Hashable, result: Result) -> Optional[tuple[Picture, Result]]:
        """Return the pair the result completes, or None."""
        with self._lock:
            if stamp in self._pictures:
                picture = self._pictures[stamp]
                self._drop_until(stamp)
                return picture, result
            if self._pictures and stamp < next(iter(self._pictures)):
                self.late += 1
            self._keep(self._results, stamp, result)
            return None

    def _keep(self, kept: OrderedDict, stamp: Hashable, item: object) -> None:
        kept.pop(stamp, None)
        kept[stamp] = item
        while len(kept) > self.capacity:
            kept.popitem(last=False)

    def _drop_until(self, stamp: Hashable) -> None:
        for kept in (self._pictures, self._results):
            for old in [key for key in kept if key <= stamp]:
                del kept[old]


class Companion(Generic[Picture, Result]):
    """Gives each result with its picture, or without where pictures do not come.

    Results wait for theirs while some come: after a second without a pair (nobody publishes them,
    or none arrives, or their stamps are others) none does, until there is a pair again. What is
    given is newer each time.

    :param give: takes a picture, or None, and its result.
    """

    def __init__(self, give: Callable[[tuple[Optional[Picture], Result]], None]) -> None:
        self._give = give
        self._matcher: StampMatcher[Picture, Result] = StampMatcher()
        self._lock = Lock()
        self._paired = monotonic()
        #: The newest stamp whose result was given without its picture.
        self._alone: Optional[Hashable] = None

    def add_picture(self, stamp: Hashable, picture: Picture, nbytes: int) -> None:
        """Take a picture of so many bytes."""
        with self._lock:
            self._matcher.fit(nbytes)
            self._hand_on(stamp, self._matcher.add_picture(stamp, picture))

    def add_result(self, stamp: Hashable, result: Result) -> None:
        """Take a result."""
        with self._lock:
            if self._alone is not None and stamp < self._alone:
                self._alone = None  # another time has begun: a bag again
            pair = self._matcher.add_result(stamp, result)
            if pair is None and monotonic() - self._paired > _PATIENCE:
                self._alone = stamp
                self._give((None, result))
            else:
                self._hand_on(stamp, pair)

    def _hand_on(self, stamp: Hashable, pair: Optional[tuple[Picture, Result]]) -> None:
        if pair is None:
            return
        self._paired = monotonic()
        if self._alone is None or self._alone < stamp:
            self._give(pair)
        elif self._alone == stamp:
            self._alone = None
