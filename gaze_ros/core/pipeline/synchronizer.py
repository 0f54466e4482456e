"""Pairing each image with its result by equal stamps."""
from collections import deque, OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Generic, Optional, TypeVar

Image = TypeVar('Image')
Result = TypeVar('Result')

#: Bytes of images kept until their result arrives: 9 s of 640x480, 1.3 s of 1920x1080 at 30 Hz.
_MEMORY = 256_000_000
#: Fewest and most images kept, whatever their size.
_MIN_IMAGES, _MAX_IMAGES = 4, 300

#: Seconds without a pair after which results no longer wait for their images.
_TIMEOUT = 1.0


class ExactTimeSynchronizer(Generic[Image, Result]):
    """Keeps images until their result arrives, and results until their image arrives.

    Results arrive in the order of their images: a complete pair drops everything received before
    it, whatever the stamps are. Stamps may jump back or ahead, or stand still.

    :ivar capacity: maximum images kept; the oldest is dropped first. It bounds the memory, and
        the latency that can be matched: capacity / frame rate. May be changed.
    :ivar late: count of results whose image had already been dropped.
    """

    def __init__(self, capacity: int = 16) -> None:
        self.capacity = capacity
        self.late = 0
        self._lock = Lock()
        self._images: OrderedDict[Hashable, Image] = OrderedDict()
        self._results: OrderedDict[Hashable, Result] = OrderedDict()
        #: Stamps of images that were dropped without a result.
        self._dropped: deque[Hashable] = deque(maxlen=_MAX_IMAGES)

    def set_image_size(self, nbytes: int) -> None:
        """Set the capacity to what fits into memory for images of nbytes each, 4 to 300."""
        self.capacity = max(_MIN_IMAGES, min(_MAX_IMAGES, _MEMORY // max(1, nbytes)))

    def add_image(self, stamp: Hashable, image: Image) -> Optional[tuple[Image, Result]]:
        """Return the pair that the image completes, or None."""
        with self._lock:
            if stamp in self._results:
                # The results of earlier images have arrived as well, or never will.
                self._images.clear()
                return image, _pop_through(self._results, stamp)
            self._dropped.extend(self._store(self._images, stamp, image))
            return None

    def add_result(self, stamp: Hashable, result: Result) -> Optional[tuple[Image, Result]]:
        """Return the pair that the result completes, or None."""
        with self._lock:
            if stamp in self._images:
                self._results.clear()
                return _pop_through(self._images, stamp), result
            if stamp in self._dropped:
                self.late += 1
            self._store(self._results, stamp, result)
            return None

    def _store(self, queue: OrderedDict, stamp: Hashable, item: object) -> list[Hashable]:
        """Store an item; return the stamps of those dropped to make room."""
        queue.pop(stamp, None)
        queue[stamp] = item
        return [queue.popitem(last=False)[0] for _ in range(len(queue) - self.capacity)]


def _pop_through(queue: OrderedDict, stamp: Hashable) -> object:
    """Remove and return an item; drop all items stored before it."""
    while True:
        key, item = queue.popitem(last=False)
        if key == stamp:
            return item


class TimeoutSynchronizer(Generic[Image, Result]):
    """Calls back with each result and its image, or without it if no images arrive.

    Results wait for their image as long as pairs complete. After one second without a pair (no
    publisher, no messages, or other stamps) results are passed on at once, without an image,
    until a pair completes again. Each callback is for a newer stamp than the one before.

    :param callback: takes an image, or None, and its result.
    """

    def __init__(self, callback: Callable[[tuple[Optional[Image], Result]], None]) -> None:
        self._callback = callback
        self._synchronizer: ExactTimeSynchronizer[Image, Result] = ExactTimeSynchronizer()
        self._lock = Lock()
        self._last_pair_time = monotonic()
        #: The newest stamp whose result was passed on without its image.
        self._last_unpaired: Optional[Hashable] = None

    def add_image(self, stamp: Hashable, image: Image, nbytes: int) -> None:
        """Add an image that occupies nbytes."""
        with self._lock:
            self._synchronizer.set_image_size(nbytes)
            self._emit(stamp, self._synchronizer.add_image(stamp, image))

    def add_result(self, stamp: Hashable, result: Result) -> None:
        """Add a result."""
        with self._lock:
            if self._last_unpaired is not None and stamp < self._last_unpaired:
                self._last_unpaired = None  # time jumped back: a bag was restarted
            pair = self._synchronizer.add_result(stamp, result)
            if pair is None and monotonic() - self._last_pair_time > _TIMEOUT:
                self._last_unpaired = stamp
                self._callback((None, result))
            else:
                self._emit(stamp, pair)

    def _emit(self, stamp: Hashable, pair: Optional[tuple[Image, Result]]) -> None:
        if pair is None:
            return
        self._last_pair_time = monotonic()
        if self._last_unpaired is None or self._last_unpaired < stamp:
            self._callback(pair)
        elif self._last_unpaired == stamp:
            self._last_unpaired = None
