"""What a stage of the pipeline did: pictures in, out and dropped, their ages, the time it took."""
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
import math
from threading import Lock
from time import monotonic
from typing import Optional

from gaze_ros.core.diagnostics.rolling import RateCounter
import numpy as np

#: Why a picture is dropped, and what that means.
DROP_REASONS = {
    'newer': 'a newer picture came before its turn',
    'old': 'it was older than max_age',
    'skipped': 'frame_skip left it out',
    'failed': 'it could not be worked on',
}

#: Pictures whose age is kept: a minute at 60 a second.
_KEPT = 3600


@dataclass(frozen=True)
class StageMark:
    """The counters of a stage at one time, to begin :class:`Figures` from."""

    time: float
    received: int = 0
    processed: int = 0
    busy: float = 0.0
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StageSnapshot:
    """What a stage did between two times.

    :ivar seconds: between them.
    :ivar came: pictures it was given.
    :ivar done: pictures it finished.
    :ivar dropped: pictures it did not, by the reasons of :data:`DROPS` that occurred.
    :ivar work: seconds it took for a picture, mean; NaN if it finished none.
    :ivar ages: seconds from capture to its end of each picture finished, those that are known.
    """

    seconds: float
    received: int
    processed: int
    dropped: Mapping[str, int]
    work: float
    ages: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Pictures finished a second."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0

    @property
    def received_rate(self) -> float:
        """Pictures given a second."""
        return self.received / self.seconds if self.seconds > 0 else 0.0

    def age_percentile(self, percent: float) -> float:
        """Return a percentile of the ages, seconds; NaN if none is known."""
        return float(np.percentile(self.ages, percent)) if self.ages else math.nan


class StageStats:
    """Counters of fixed size. Given to, finished and dropped from any thread.

    :param name: as it stands in the closing block.
    :ivar rate: of the pictures finished.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rate = RateCounter()
        self._lock = Lock()
        self._received = 0
        self._busy = 0.0
        self._dropped: dict[str, int] = {}
        self._failure: Optional[tuple[float, str]] = None
        self._ages: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    @property
    def drop_count(self) -> int:
        """Pictures dropped so far, for whatever reason."""
        return sum(self._dropped.values())

    def received(self) -> None:
        """Count a picture given to this stage."""
        with self._lock:
            self._received += 1

    def processed(self, age: float = math.nan, work: float = 0.0) -> None:
        """Count a picture finished.

        :param age: seconds since its capture; NaN where that is not known.
        :param work: seconds it took here.
        """
        with self._lock:
            self.rate.tick()
            self._busy += work
            if math.isfinite(age):
                self._ages.append((monotonic(), age))

    def dropped(self, why: str) -> None:
        """Count a picture dropped, and why: a node's reasons are those of :data:`DROPS`."""
        with self._lock:
            self._dropped[why] = self._dropped.get(why, 0) + 1

    def failed(self, reason: str) -> None:
        """Keep a failure as the last one; a picture that it costs is to be dropped as well."""
        with self._lock:
            self._failure = monotonic(), ' '.join(reason.split())

    @property
    def last_error(self) -> str:
        """The last failure and how long ago it was: ``REASON (12 s ago)``; '' for none."""
        with self._lock:
            failure = self._failure
        return f'{failure[1]} ({monotonic() - failure[0]:.0f} s ago)' if failure else ''

    def mark(self) -> StageMark:
        """Return the counters as they are."""
        with self._lock:
            return StageMark(
                monotonic(), self._received, self.rate.count, self._busy, dict(self._dropped))

    def snapshot(self, since: StageMark) -> StageSnapshot:
        """Return what was done since a mark."""
        now = self.mark()
        with self._lock:
            ages = tuple(age for time, age in self._ages if since.time < time <= now.time)
        done = now.processed - since.processed
        return StageSnapshot(
            now.time - since.time, now.received - since.received, done,
            {why: count - since.dropped.get(why, 0) for why, count in now.dropped.items()
             if count > since.dropped.get(why, 0)},
            (now.busy - since.busy) / done if done else math.nan, ages)

    def summary(self) -> str:
        """Return the stage's line of the closing block."""
        dropped = f'{self.drop_count} dropped'
        if reasons := ', '.join(f'{n} {why}' for why, n in sorted(self._dropped.items())):
            dropped += f': {reasons}'
        return f'{self.name} FPS: {self.rate.overall:.2f} ({self.rate.count} frames, {dropped})'


def statistics_block(stages: list[StageStats]) -> str:
    """Return the lines printed when the pipeline ends."""
    return '\n'.join(['=== Pipeline Statistics ===', *(s.summary() for s in stages)])
