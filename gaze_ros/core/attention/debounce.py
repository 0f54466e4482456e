"""A value that changes only after another one has been observed for a while."""
from dataclasses import dataclass
from typing import Generic, Optional, TypeVar, Union

from gaze_ros.core.stream_time import Instant

T = TypeVar('T')

#: Seconds, or an instant.
Time = Union[float, Instant]

#: Tolerance for rounding in differences of times, seconds.
_ROUNDING = 1e-6


@dataclass(slots=True)
class Debouncer(Generic[T]):
    """A value that changes only after another one has been observed for a while.

    Times are all seconds, or all instants.

    :ivar since: time at which the current value was first observed.
    :ivar left_since: time since which other values are observed; None while the current one is.
    :ivar candidate: the other value observed last, without a break since ``candidate_since``.
    """

    value: T
    since: Time = 0.0
    left_since: Optional[Time] = None
    candidate: Optional[T] = None
    candidate_since: Time = 0.0

    def update(self, observed: T, time: Time, dwell: float) -> None:
        """Add an observation; it becomes the value after dwell seconds without a break."""
        if observed == self.value:
            self.cancel()
            return
        if self.left_since is None:
            self.left_since = time
        if observed != self.candidate:
            self.candidate, self.candidate_since = observed, time
        if time - self.candidate_since >= dwell - _ROUNDING:
            self.set(observed, self.candidate_since)

    def set(self, value: T, since: Time) -> None:
        """Change the value at once."""
        self.value, self.since = value, since
        self.cancel()

    def cancel(self) -> None:
        """Drop the candidate."""
        self.left_since = self.candidate = None
