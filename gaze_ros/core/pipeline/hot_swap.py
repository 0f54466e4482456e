"""Putting a new part in place of one that a thread works with."""
from threading import Lock
from typing import Generic, Optional, Protocol, TypeVar


class Closable(Protocol):
    """What holds a model, a device or a file."""

    def close(self) -> None:
        """Let go of it."""


T = TypeVar('T', bound=Closable)


class HotSwap(Generic[T]):
    """A part that one thread uses and any thread may replace.

    The one replaced is closed by the thread that uses it, between two uses. Of those that it has
    not come to use the newest is kept, and the others are closed.

    :param part: the first one.
    """

    def __init__(self, part: T) -> None:
        self.current = part
        self._next: Optional[T] = None
        self._lock = Lock()

    @property
    def newest(self) -> T:
        """The part that was put in last, in use or about to be."""
        with self._lock:
            return self.current if self._next is None else self._next

    def replace(self, part: T) -> None:
        """Replace the part before its next use."""
        with self._lock:
            unused, self._next = self._next, part
        if unused is not None:
            unused.close()

    def acquire(self) -> T:
        """Return the part to use now, in the thread that uses it."""
        if self._next is None:
            return self.current
        with self._lock:
            old, self.current, self._next = self.current, self._next, None
        old.close()
        return self.current

    def close(self) -> None:
        """Close what is in use and what was to be; the thread that uses them has ended."""
        with self._lock:
            unused, self._next = self._next, None
        for part in (self.current, unused):
            if part is not None:
                part.close()
