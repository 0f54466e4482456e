"""A value that changes only after another one has been observed for a while."""
from dataclasses import dataclass
from typing import Generic, Optional, TypeVar

T = TypeVar('T')

#: Tolerance for rounding in differences of stamps, seconds.
_ROUNDING = 1e-6


@dataclass(slots=True)
class Debouncer(Generic[T]):
    """A value that changes only after another one has been observed for a while.

    Stamps and times are in the same unit; any unit will do.

    :ivar since: stamp at which the current value was first observed.
    :ivar left_since: stamp since which other values are observed; None while the current one is.
    :ivar candidate: the other value observed last, without a break since ``candidate_since``.
    """

    value: T
    since: float = 0
    left_since: Optional[float] = None
    candidate: Optional[T] = None
    candidate_since: float = 0

    def update(self, observed: T, stamp: float, dwell: float) -> None:
        """Add an observation; it becomes the value after dwell without a break."""
        if observed == self.value:
            self.cancel()
            return
        if self.left_since is None:
            self.left_since = stamp
        if observed != self.candidate:
            self.candidate, self.candidate_since = observed, stamp
        if stamp - self.candidate_since >= dwell - _ROUNDING:
            self.set(observed, self.candidate_since)

    def set(self, value: T, since: float) -> None:
        """Change the value at once."""
        self.value, self.since = value, since
        self.cancel()

    def cancel(self) -> None:
        """Drop the candidate."""
        self.left_since = self.candidate = None
