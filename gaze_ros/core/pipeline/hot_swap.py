"""Replacing a component, such as a model, while another thread uses it."""
from threading import Lock
from typing import Generic, Optional, Protocol, TypeVar


class Closable(Protocol):
    """A component that holds a model, a device or a file."""

    def close(self) -> None:
        """Release it."""


T = TypeVar('T', bound=Closable)


class HotSwap(Generic[T]):
    """A component that one thread uses and any thread may replace.

    The using thread closes the replaced component between two uses. If several replacements
    arrive between two uses, only the newest is used; the others are closed at once.

    :param component: the first one.
    """

    def __init__(self, component: T) -> None:
        self.current = component
        self._next: Optional[T] = None
        self._lock = Lock()

    @property
    def newest(self) -> T:
        """The most recently set component, whether in use or pending."""
        with self._lock:
            return self.current if self._next is None else self._next

    def replace(self, component: T) -> None:
        """Replace the component before its next use; from any thread."""
        with self._lock:
            unused, self._next = self._next, component
        if unused is not None:
            unused.close()

    def acquire(self) -> T:
        """Return the component to use now; only for the thread that uses it."""
        if self._next is None:
            return self.current
        with self._lock:
            old, self.current, self._next = self.current, self._next, None
        old.close()
        return self.current

    def close(self) -> None:
        """Close the current and any pending component; the using thread must have stopped."""
        with self._lock:
            unused, self._next = self._next, None
        for component in (self.current, unused):
            if component is not None:
                component.close()
