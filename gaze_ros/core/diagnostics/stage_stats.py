"""Statistics of a pipeline stage: images received, processed and dropped, latency, work time."""
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
import math
from threading import Lock
from time import monotonic
from typing import Optional

from gaze_ros.core.diagnostics.rolling import RateCounter
from gaze_ros.core.diagnostics.stamp_gaps import count_missing
import numpy as np

#: Reasons for dropping an image, and their meaning.
DROP_REASONS = {
    'newer': 'a newer image arrived first',
    'old': 'it was older than max_age',
    'skipped': 'frame_skip skipped it',
    'failed': 'it could not be processed',
}

#: Number of latest images whose age is kept: a minute at 60 Hz.
_MAX_AGES = 3600
#: Number of latest images whose stamp is kept: 5 s at 60 Hz.
_MAX_STAMPS = 300


@dataclass(frozen=True)
class StageMark:
    """The counters of a stage at one time, the start of a :class:`StageSnapshot`."""

    time: float
    received: int = 0
    processed: int = 0
    busy: float = 0.0
    announced: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StageSnapshot:
    """Statistics of a stage between two times.

    :ivar seconds: length of the interval.
    :ivar received: number of images received.
    :ivar processed: number of images processed.
    :ivar dropped: number of images dropped, by reason (a key of :data:`DROP_REASONS`); reasons
        that did not occur are absent.
    :ivar work: mean seconds of work per processed image; NaN if there is none.
    :ivar ages: seconds from capture to the end of processing, of each processed image whose age is
        known.
    :ivar announced: number of camera_info messages received; the publisher sends one per image.
    :ivar missing: number of images that did not arrive, by the stamps of the others; see
        :func:`.stamp_gaps.count_missing`.
    """

    seconds: float
    received: int
    processed: int
    dropped: Mapping[str, int]
    work: float
    ages: tuple[float, ...]
    announced: int = 0
    missing: int = 0

    @property
    def rate(self) -> float:
        """Images processed per second."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0

    @property
    def received_rate(self) -> float:
        """Images received per second."""
        return self.received / self.seconds if self.seconds > 0 else 0.0

    def age_percentile(self, percent: float) -> float:
        """Return a percentile (0..100) of the ages in seconds; NaN if none is known."""
        return float(np.percentile(self.ages, percent)) if self.ages else math.nan


class StageStats:
    """Counters of a stage, in constant memory. Thread-safe.

    :param name: name of the stage in /diagnostics and in the final statistics.
    :ivar rate: rate of the processed images.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rate = RateCounter()
        self._lock = Lock()
        self._received = 0
        self._announced = 0
        self._stamps: deque[tuple[float, float]] = deque(maxlen=_MAX_STAMPS)
        self._busy = 0.0
        self._dropped: dict[str, int] = {}
        self._failure: Optional[tuple[float, str]] = None
        self._ages: deque[tuple[float, float]] = deque(maxlen=_MAX_AGES)

    @property
    def drop_count(self) -> int:
        """Number of images dropped so far, for any reason."""
        return sum(self._dropped.values())

    def received(self, stamp: float = math.nan, count: int = 1) -> None:
        """Count a received image.

        :param stamp: seconds; NaN if it has none, or if missing images are no concern.
        :param count: number of images, with those that the camera did not send on purpose.
        """
        with self._lock:
            self._received += count
            if math.isfinite(stamp):
                # Images that were not sent on purpose leave no gap.
                steps = count if self._stamps else 1
                last = self._stamps[-1][1] if self._stamps else stamp
                self._stamps.extend(
                    (monotonic(), stamp - (stamp - last) * step / steps)
                    for step in reversed(range(steps)))

    def announced(self) -> None:
        """Count a received camera_info message."""
        with self._lock:
            self._announced += 1

    def processed(self, age: float = math.nan, work: float = 0.0) -> None:
        """Count a processed image.

        :param age: seconds since its capture; NaN if unknown.
        :param work: seconds of work that it took in this stage.
        """
        with self._lock:
            self.rate.tick()
            self._busy += work
            if math.isfinite(age):
                self._ages.append((monotonic(), age))

    def dropped(self, reason: str) -> None:
        """Count a dropped image.

        :param reason: a key of :data:`DROP_REASONS` in the nodes.
        """
        with self._lock:
            self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def failed(self, reason: str) -> None:
        """Store the last failure; the caller also counts the image as dropped."""
        with self._lock:
            self._failure = monotonic(), ' '.join(reason.split())

    @property
    def last_error(self) -> str:
        """The last failure and its age: ``REASON (12 s ago)``; '' without one."""
        with self._lock:
            failure = self._failure
        return f'{failure[1]} ({monotonic() - failure[0]:.0f} s ago)' if failure else ''

    def mark(self) -> StageMark:
        """Return the current counters."""
        with self._lock:
            return StageMark(
                monotonic(), self._received, self.rate.count, self._busy, self._announced,
                dict(self._dropped))

    def snapshot(self, since: StageMark) -> StageSnapshot:
        """Return the statistics since a mark."""
        now = self.mark()
        with self._lock:
            ages = tuple(age for time, age in self._ages if since.time < time <= now.time)
            stamps = [stamp for time, stamp in self._stamps if since.time < time <= now.time]
        processed = now.processed - since.processed
        dropped = {reason: count - since.dropped.get(reason, 0)
                   for reason, count in now.dropped.items()}
        return StageSnapshot(
            now.time - since.time, now.received - since.received, processed,
            {reason: count for reason, count in dropped.items() if count > 0},
            (now.busy - since.busy) / processed if processed else math.nan, ages,
            now.announced - since.announced, count_missing(stamps))

    def summary(self) -> str:
        """Return the stage's line of the final statistics."""
        dropped = f'{self.drop_count} dropped'
        if self._dropped:
            dropped += ': ' + ', '.join(
                f'{count} {reason}' for reason, count in sorted(self._dropped.items()))
        return f'{self.name} FPS: {self.rate.overall:.2f} ({self.rate.count} frames, {dropped})'


def statistics_block(stages: list[StageStats]) -> str:
    """Return the statistics printed when the pipeline stops."""
    return '\n'.join(['=== Pipeline Statistics ===', *(s.summary() for s in stages)])
