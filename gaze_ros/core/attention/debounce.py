"""What takes a while to count: a value that turns, and who looks at the lens."""
from collections.abc import Mapping
from dataclasses import dataclass
import math
from typing import Generic, Optional, TypeVar

T = TypeVar('T')

#: What differences of stamps may be off by rounding, seconds.
_ROUNDING = 1e-6


@dataclass(slots=True)
class Debouncer(Generic[T]):
    """A value that another takes the place of once that has been seen for a while.

    Stamps and times are of one unit, whichever.

    :ivar since: stamp at which what counts was seen first.
    :ivar left: stamp since which it has not been seen; None while it is.
    :ivar coming: what was seen last in its place, since ``coming_since`` without a break.
    """

    value: T
    since: float = 0
    left_since: Optional[float] = None
    candidate: Optional[T] = None
    candidate_since: float = 0

    def update(self, seen: T, stamp: float, dwell: float) -> None:
        """Count a value seen; it takes the place after a time of dwell without a break."""
        if seen == self.value:
            self.cancel()
            return
        if self.left_since is None:
            self.left_since = stamp
        if seen != self.candidate:
            self.candidate, self.candidate_since = seen, stamp
        if stamp - self.candidate_since >= dwell - _ROUNDING:
            self.set(seen, self.candidate_since)

    def set(self, value: T, since: float) -> None:
        """Put a value in the place at once."""
        self.value, self.since = value, since
        self.cancel()

    def cancel(self) -> None:
        """Forget what was to come."""
        self.left_since = self.candidate = None


class LookingAtCamera:
    """Who looks at the lens, with hysteresis and dwell, by the stamps of the pictures."""

    def __init__(self) -> None:
        self._states: dict[str, Debouncer[bool]] = {}
        self._last = -math.inf

    def update(self, angles: Mapping[str, float], stamp: float, limit: float, hysteresis: float,
               dwell: float) -> set[str]:
        """Return the tracks that look at the lens.

        Who does not begins to by ``dwell`` seconds within ``limit``; who does ends by as long
        beyond ``limit + hysteresis``, with a gaze that cannot be told, or out of the pictures.

        :param angles: of a picture's gazes from the ray into the lens, radians, by track; NaN
            where it cannot be told.
        :param stamp: of the picture, seconds; where it is less than the last one, what was before
            is forgotten. Where it stands still, who is not in the picture is.
        """
        if stamp < self._last:
            self._states.clear()
        elif stamp == self._last:
            self._states = {k: s for k, s in self._states.items() if k in angles}
        self._last = stamp
        for track_id in angles:
            self._states.setdefault(track_id, Debouncer(False, stamp))
        for track_id, state in self._states.items():
            # NaN is within nothing.
            within = angles.get(track_id, math.nan) <= limit + hysteresis * state.value
            state.update(within, stamp, dwell)
        # Nothing is lost with what is as at first.
        self._states = {k: s for k, s in self._states.items() if s.value or s.candidate}
        return {k for k in angles if k in self._states and self._states[k].value}
