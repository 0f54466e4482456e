"""A thread that works on the newest thing it was given."""
from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

from gaze_ros.core.mailbox import Mailbox
from gaze_ros.core.statistics import Stage

T = TypeVar('T')


class Worker(Generic[T]):
    """Does one thing at a time; what comes meanwhile waits in a mailbox of one place.

    An item that fails costs itself only. What failed is told once, until something else does.

    :param name: of the thread.
    :param work: what is done with an item.
    :param stage: counts the items dropped: replaced before their turn, or failed.
    :param tell: takes the reason of a failure.
    """

    def __init__(self, name: str, work: Callable[[T], None], stage: Stage,
                 tell: Callable[[str], None]) -> None:
        self._work = work
        self._stage = stage
        self._tell = tell
        self._told = ''
        self._mailbox: Mailbox[T] = Mailbox()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def give(self, item: T) -> None:
        """Leave an item to be worked on, from any thread; the one that still waited is dropped."""
        if self._mailbox.put(item):
            self._stage.dropped += 1

    def end(self) -> None:
        """Tell the thread to end after what it does."""
        self._mailbox.close()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, in seconds; return whether it has ended, or never began."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._mailbox.take()) is not None:
            try:
                self._work(item)
            except Exception as e:
                self._stage.dropped += 1
                if str(e) != self._told:
                    self._told = str(e)
                    self._tell(self._told)
