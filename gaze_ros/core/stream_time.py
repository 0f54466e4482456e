"""The time of an image stream: what tracking, smoothing and attention measure durations with."""
from dataclasses import dataclass
import math
from typing import Optional

#: A stamp that is earlier than the newest one by this or more, nanoseconds, is from another time:
#: a bag that starts again. A smaller step back is jitter: a driver that exchanges neighbouring
#: images, or a clock that is set.
RESTART = 1_000_000_000
#: The pause that other durations see where another time begins, nanoseconds: longer than any
#: timeout.
PAUSE = 3_600_000_000_000
#: A stamp that is ahead of its arrival by this or more, nanoseconds, is believed when the next
#: image confirms it: a driver may stamp single images with a wrong year.
FAR_AHEAD = 10_000_000_000

#: Number of images without a new latest stamp from which on the stream's time follows their
#: arrival, or the clock that was set back; fewer are exchanged or repeated stamps.
_LATE_IMAGES = 3
#: Assumed time between two images, nanoseconds, until it is known.
_PERIOD = 33_333_333
#: Longest time between two images that is assumed of the next ones, nanoseconds.
_MAX_PERIOD = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Instant:
    """When an image was captured.

    :ivar elapsed: nanoseconds in the time of the stream, from 0; it never decreases.
    :ivar stamp: of the image, nanoseconds; if it has none, or one that is not believed, the last
        one that was, or the arrival while there is none.
    :ivar believed: whether ``stamp`` is that of the image.
    """

    elapsed: int
    stamp: int
    believed: bool = True

    @property
    def time(self) -> float:
        """``elapsed`` in seconds."""
        return 1e-9 * self.elapsed

    def __sub__(self, earlier: 'Instant') -> float:
        """Return the seconds since an earlier instant."""
        return 1e-9 * (self.elapsed - earlier.elapsed)


class StreamClock:
    """Turns the stamps of an image stream into a time that never decreases.

    Equal stamps, exchanged neighbours and small steps back do not move it. A stream whose stamps
    are missing or stand still has the time of arrival. Another time, such as a bag that starts
    again, is one :data:`PAUSE` later.

    :ivar late_count: number of images so far whose stamp was not later than all before.
    """

    def __init__(self) -> None:
        self.late_count = 0
        self._elapsed = 0
        #: The latest stamp of this time, and that of the last image; None before the first.
        self._newest: Optional[int] = None
        self._last: Optional[int] = None
        self._arrival = math.nan
        self._period = _PERIOD
        #: Images in a row whose stamp was not later than all before.
        self._late = 0
        #: By how much the stream's time has followed the arrival since the newest stamp.
        self._ahead = 0
        #: The last stamp if it was far ahead, else None.
        self._far: Optional[int] = None

    def update(self, stamp: Optional[int], arrival: float = math.nan) -> Instant:
        """Return the instant of the next image.

        :param stamp: nanoseconds; None for an image without one.
        :param arrival: when the image was received, nanoseconds of a monotonic clock; NaN
            if unknown: images without a usable stamp are then a usual period apart.
        """
        gap, self._arrival = arrival - self._arrival, arrival
        waited = round(gap) if gap >= 0 else self._period  # NaN is not
        far, self._far = self._far, None
        if stamp is not None and gap >= 0 and self._is_far_ahead(stamp, waited, far):
            self._far = stamp
        believed = stamp is not None and self._far is None
        step = self._follow_stamp(stamp, waited) if believed else self._follow_arrival(waited)
        if 0 < step <= _MAX_PERIOD:
            self._period = step
        self._elapsed += min(step, PAUSE)
        if believed:
            self._last = stamp
        elif self._last is not None:
            stamp = self._last
        else:
            stamp = round(arrival) if math.isfinite(arrival) else self._elapsed
        return Instant(self._elapsed, stamp, believed)

    def _is_far_ahead(self, stamp: int, waited: int, far: Optional[int]) -> bool:
        """Return whether a stamp is far ahead and not confirmed by the one before it, ``far``."""
        return self._newest is not None and stamp - self._newest - waited >= FAR_AHEAD and (
            far is None or stamp <= far - RESTART)

    def _follow_arrival(self, waited: int) -> int:
        self._ahead += waited
        return waited

    def _follow_stamp(self, stamp: int, waited: int) -> int:
        """Return the step of the stream's time to a believed stamp, and take it as the last."""
        rise = 0 if self._newest is None else stamp - self._newest
        ahead = 0
        if self._newest is None or rise > 0:
            # What has already passed by the arrival is not counted twice, but for long this time
            # does not stand still for it.
            step = max(0, rise - self._ahead)
            ahead = min(max(0, self._ahead - rise), _LATE_IMAGES * self._period)
        elif rise <= -RESTART:
            step = PAUSE
        else:
            self._late += 1
            self.late_count += 1
            if self._late < _LATE_IMAGES:
                return 0
            if stamp <= self._last:
                return self._follow_arrival(waited)
            step = stamp - self._last  # the clock was set back, and goes on from there
        self._newest, self._late, self._ahead = stamp, 0, ahead
        return step
