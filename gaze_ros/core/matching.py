"""Bringing a picture and its result together by their stamp."""
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, Optional, TypeVar

Picture = TypeVar('Picture')
Result = TypeVar('Result')


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
