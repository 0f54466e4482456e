"""Handing the newest things to a slower stage."""
from collections import deque
from threading import Condition
from typing import Generic, Optional, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Holds a few items in order; where there is no room, the oldest goes for the newest.

    :ivar depth: items held at most, at least 1; may be changed.
    """

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        self._condition = Condition()
        self._items: deque[T] = deque()
        self._closed = False

    def put(self, item: T) -> int:
        """Leave an item; return how many that nobody had taken were dropped for it."""
        dropped = 0
        with self._condition:
            while len(self._items) >= self.depth:
                self._items.popleft()
                dropped += 1
            self._items.append(item)
            self._condition.notify()
        return dropped

    def take(self) -> Optional[T]:
        """Wait for an item and return the oldest held, or None once closed."""
        with self._condition:
            while not self._items and not self._closed:
                self._condition.wait()
            return None if self._closed else self._items.popleft()

    def close(self) -> None:
        """Let the reader go; items left are dropped."""
        with self._condition:
            self._closed = True
            self._items.clear()
            self._condition.notify_all()
