"""Blinks: when both eyes of each track were last shut, and for how long."""
from collections.abc import Mapping
from dataclasses import dataclass
import math
from typing import Optional

from gaze_ros.core.stream_time import Instant

#: Openness below which an eye counts as shut.
SHUT = 0.5


@dataclass(slots=True)
class _Eyes:
    """The last time both eyes of a track were shut.

    :ivar start: when; None if never.
    :ivar duration: seconds.
    :ivar shut: whether they still are.
    :ivar seen: when the track was last in an image.
    """

    seen: Instant
    start: Optional[Instant] = None
    duration: float = 0.0
    shut: bool = False


class BlinkDetector:
    """When both eyes of each track were last shut, in the time of the stream."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Eyes] = {}

    def update(self, openness: Mapping[str, tuple[float, float]], now: Instant, timeout: float
               ) -> dict[str, tuple[float, float]]:
        """Return start (stamp, seconds; 0 if never) and duration (seconds) for each track.

        :param openness: of the left and right eye for each track in the image; NaN if unknown: it
            ends no closure and begins none.
        :param now: of the image.
        :param timeout: seconds after which a track that is not seen is dropped.
        """
        result = {}
        for track_id, both in openness.items():
            eyes = self._tracks.setdefault(track_id, _Eyes(now))
            eyes.seen = now
            known = [value for value in both if math.isfinite(value)]
            if known and max(known) >= SHUT:
                if eyes.shut:
                    eyes.duration, eyes.shut = now - eyes.start, False
            elif len(known) == 2:
                if not eyes.shut:
                    eyes.start, eyes.shut = now, True
                eyes.duration = now - eyes.start
            result[track_id] = 1e-9 * eyes.start.stamp if eyes.start else 0.0, eyes.duration
        self._tracks = {k: e for k, e in self._tracks.items() if now - e.seen <= timeout}
        return result
