"""Handing the newest thing to a slower stage."""
from threading import Condition
from typing import Generic, Optional, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Holds one item; a newer one replaces it, so the reader always gets the freshest."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._item: Optional[T] = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Leave an item; return whether one nobody had taken was dropped for it."""
        with self._condition:
            dropped = self._item is not None
            self._item = item
            self._condition.notify()
        return dropped

    def take(self) -> Optional[T]:
        """Wait for an item and return it, or None once closed."""
        with self._condition:
            while self._item is None and not self._closed:
                self._condition.wait()
            if self._closed:
                return None
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Let the reader go; items left are dropped."""
        with self._condition:
            self._closed = True
            self._item = None
            self._condition.notify_all()
