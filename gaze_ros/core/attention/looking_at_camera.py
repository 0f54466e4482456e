"""Who looks at the camera, with hysteresis and dwell."""
from collections.abc import Mapping
import math
from types import MappingProxyType

from gaze_ros.core.attention.debounce import Debouncer
from gaze_ros.core.geometry.angular_error import even_odds_angle


class LookingAtCamera:
    """Whether each track looks at the camera, with hysteresis and dwell, in stream time."""

    def __init__(self) -> None:
        self._states: dict[str, Debouncer[bool]] = {}

    def update(self, angles: Mapping[str, float], time: float, limit: float, hysteresis: float,
               dwell: float, stddevs: Mapping[str, float] = MappingProxyType({})) -> set[str]:
        """Return the tracks that look at the camera.

        Set after ``dwell`` seconds inside ``limit``; cleared after ``dwell`` seconds outside
        ``limit + hysteresis``, with an unknown gaze, or out of the image.

        :param angles: angle between gaze and lens for each track in the image, radians; NaN if
            unknown.
        :param time: of the stream, seconds; it never decreases: see
            :class:`gaze_ros.core.stream_time.StreamClock`.
        :param limit: radians.
        :param hysteresis: radians.
        :param dwell: seconds.
        :param stddevs: standard deviation of the gaze of each track, radians; NaN or missing if
            unknown. A gaze is inside a limit if the true one is so as likely as not.
        """
        for track_id in angles:
            self._states.setdefault(track_id, Debouncer(False, time))
        for track_id, state in self._states.items():
            # NaN compares False: an unknown angle is outside.
            inside = angles.get(track_id, math.nan) <= even_odds_angle(
                limit + hysteresis * state.value, stddevs.get(track_id, math.nan))
            state.update(inside, time, dwell)
        # States that equal a new one need not be kept.
        self._states = {k: s for k, s in self._states.items() if s.value or s.candidate}
        return {k for k in angles if k in self._states and self._states[k].value}
