"""Blinks: when both eyes of each track were last shut, and for how long."""
from collections.abc import Mapping
from dataclasses import dataclass
import math

#: Openness below which an eye counts as shut.
SHUT = 0.5


@dataclass(slots=True)
class _Eyes:
    """The last time both eyes of a track were shut.

    :ivar shut: whether they still are.
    :ivar seen: stamp of the last image with the track, seconds.
    """

    start: float = 0.0
    duration: float = 0.0
    shut: bool = False
    seen: float = -math.inf


class BlinkDetector:
    """When both eyes of each track were last shut, timed by image stamps."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Eyes] = {}
        self._last_stamp = -math.inf

    def update(self, openness: Mapping[str, tuple[float, float]], stamp: float, timeout: float
               ) -> dict[str, tuple[float, float]]:
        """Return start (stamp, seconds; 0 if never) and duration (seconds) for each track.

        :param openness: of the left and right eye for each track in the image; NaN if unknown: it
            ends no closure and begins none.
        :param stamp: of the image, seconds; if it jumps back, all states are cleared.
        :param timeout: seconds after which a track that is not seen is dropped.
        """
        if stamp < self._last_stamp:
            self._tracks.clear()
        self._last_stamp = stamp
        result = {}
        for track_id, both in openness.items():
            eyes = self._tracks.setdefault(track_id, _Eyes())
            eyes.seen = stamp
            known = [value for value in both if math.isfinite(value)]
            if known and max(known) >= SHUT:
                if eyes.shut:
                    eyes.duration, eyes.shut = stamp - eyes.start, False
            elif len(known) == 2:
                if not eyes.shut:
                    eyes.start, eyes.shut = stamp, True
                eyes.duration = stamp - eyes.start
            result[track_id] = eyes.start, eyes.duration
        self._tracks = {k: e for k, e in self._tracks.items() if stamp - e.seen <= timeout}
        return result
