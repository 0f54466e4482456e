"""Sections of the work on images that threads enter in the order of the images."""
from threading import Condition
from time import perf_counter
from typing import Optional


class Order:
    """Lets threads that work on consecutive images pass each section one after the other.

    Images have the numbers 0, 1, 2, ...; sections have numbers from 1 on, which rise on the way of
    an image.
    """

    def __init__(self) -> None:
        self._condition = Condition()
        #: The last section that each unfinished image has left.
        self._left: dict[int, int] = {}
        #: All images below this number are finished.
        self._finished = 0

    def turn(self, number: int) -> 'Turn':
        """Return the turn of an image; it must be finished, whatever happens to the image."""
        return Turn(self, number)

    def wait(self, number: int, section: int) -> None:
        """Wait until the image before this one has left a section."""
        with self._condition:
            self._condition.wait_for(lambda: self._finished >= number or (
                self._left.get(number - 1, 0) >= section))

    def leave(self, number: int, section: int) -> None:
        """Let the next image into a section and those before it."""
        with self._condition:
            self._left[number] = section
            self._condition.notify_all()

    def finish(self, number: int) -> None:
        """Wait until all images before this one are finished, and finish it."""
        with self._condition:
            self._condition.wait_for(lambda: self._finished >= number)
            self._left.pop(number, None)
            self._finished = number + 1
            self._condition.notify_all()


class Turn:
    """The turn of one image.

    :param order: None for an image that is processed alone: nothing waits.
    :ivar waited: seconds spent waiting for earlier images.
    """

    def __init__(self, order: Optional[Order] = None, number: int = 0) -> None:
        self._order = order
        self._number = number
        self.waited = 0.0

    def enter(self, section: int) -> None:
        """Wait until the image before this one has left a section."""
        if self._order is not None:
            start = perf_counter()
            self._order.wait(self._number, section)
            self.waited += perf_counter() - start

    def leave(self, section: int) -> None:
        """Let the next image into a section."""
        if self._order is not None:
            self._order.leave(self._number, section)

    def finish(self) -> None:
        """Let the next image into all sections, once those before this one are finished."""
        if self._order is not None:
            self._order.finish(self._number)
