"""Debouncing over time: of any value, and of the looking-at-camera state of each track."""
from collections.abc import Mapping
from dataclasses import dataclass
import math
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


class LookingAtCamera:
    """Whether each track looks at the camera, with hysteresis and dwell, timed by image stamps."""

    def __init__(self) -> None:
        self._states: dict[str, Debouncer[bool]] = {}
        self._last_stamp = -math.inf

    def update(self, angles: Mapping[str, float], stamp: float, limit: float, hysteresis: float,
               dwell: float) -> set[str]:
        """Return the tracks that look at the camera.

        Set after ``dwell`` seconds inside ``limit``; cleared after ``dwell`` seconds outside
        ``limit + hysteresis``, with an unknown gaze, or out of the image.

        :param angles: angle between gaze and lens for each track in the image, radians; NaN if
            unknown.
        :param stamp: of the image, seconds; if it jumps back, all states are cleared. While it
            stands still, the state of a track that is not in the image is cleared.
        :param limit: radians.
        :param hysteresis: radians.
        :param dwell: seconds.
        """
        if stamp < self._last_stamp:
            self._states.clear()
        elif stamp == self._last_stamp:
            self._states = {k: s for k, s in self._states.items() if k in angles}
        self._last_stamp = stamp
        for track_id in angles:
            self._states.setdefault(track_id, Debouncer(False, stamp))
        for track_id, state in self._states.items():
            # NaN compares False: an unknown angle is outside.
            inside = angles.get(track_id, math.nan) <= limit + hysteresis * state.value
            state.update(inside, stamp, dwell)
        # States that equal a new one need not be kept.
        self._states = {k: s for k, s in self._states.items() if s.value or s.candidate}
        return {k for k in angles if k in self._states and self._states[k].value}
