"""What each person attends to: the camera, another person or none of these; since when."""
from dataclasses import dataclass, field
from enum import IntEnum
import math
from typing import NamedTuple, Optional

from gaze_ros.core.attention.debounce import Debouncer
from gaze_ros.core.geometry.head_pose import FOCAL_STDDEV
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: Nanoseconds that a person may be out of the pictures until he or she is gone.
_GONE_AFTER = 1_000_000_000


class Target(IntEnum):
    """What a person looks at, as in msg/Attention.msg."""

    UNKNOWN = 0
    CAMERA = 1
    PERSON = 2
    ELSEWHERE = 3
    GONE = 4


@dataclass(frozen=True, slots=True)
class Attention:
    """Where one person's attention is.

    :ivar target_id: who is looked at, where the target is PERSON.
    :ivar mutual: whether that one looks back.
    :ivar since: stamp of the picture in which it turned there, nanoseconds.
    """

    track_id: str
    target: Target
    since: int
    target_id: str = ''
    mutual: bool = False


class _Focus(NamedTuple):
    target: Target
    target_id: str = ''


_CAMERA, _ELSEWHERE, _UNKNOWN = (
    _Focus(t) for t in (Target.CAMERA, Target.ELSEWHERE, Target.UNKNOWN))


@dataclass(slots=True)
class _Person:
    """What is known of a track.

    :ivar seen: stamp of the last picture with it; ``origin`` is of then.
    :ivar range_stddev: how far off the origin may be along its ray by what is this one's own, m.
    :ivar turning: what counts of its attention; None until something does.
    :ivar told: what the last event of it was.
    """

    seen: int = 0
    origin: np.ndarray = field(default_factory=lambda: np.full(3, math.nan))
    range_stddev: float = 0.0
    debouncer: Debouncer[Optional[_Focus]] = field(default_factory=lambda: Debouncer(None))
    published: Optional[Attention] = None


class AttentionTracker:
    """Turns the gazes of one stream of pictures into events: what each person looks at.

    The first three attributes may be changed at any time.

    :ivar angle: radians from another person's head below which a gaze is at it.
    :ivar hysteresis: how far beyond that it still is, radians, where it is already or turns there.
    :ivar dwell: seconds that attention has to stay where it turns to. To and from the camera it
        turns at once: ``looking_at_camera`` has a dwell of its own.
    :ivar begun: how often everybody began anew, after stamps that jumped back or a long pause.
    """

    def __init__(self, angle: float = 0.25, hysteresis: float = 0.05, dwell: float = 0.3) -> None:
        self.angle = angle
        self.hysteresis = hysteresis
        self.dwell = dwell
        self._people: dict[str, _Person] = {}
        self._last = self._gap = 0
        self.restart_count = 0

    @property
    def present(self) -> list[Attention]:
        """Everybody's last event, of those who are not gone."""
        return [person.published for person in self._people.values() if person.published]

    def update(self, frame: FrameGaze, stamp: int) -> list[Attention]:
        """Return what has changed with a picture, those who are gone first.

        :param stamp: of the picture, nanoseconds. Where it is less than the last one, everybody
            is gone, and who is in the picture begins anew. So it is after a pause that is longer
            than pictures are apart: what gives the ids may have been started again meanwhile, and
            then f1 is another one.
        """
        gap, usual, self._last = stamp - self._last, self._gap, stamp
        self._gap = max(0, gap)
        back, still = gap < 0 or gap > max(_GONE_AFTER, 2 * usual), gap == 0
        self.restart_count += back
        here = {gaze.track_id for gaze in frame.gazes}
        # With stamps that stand still nobody would ever be gone.
        events = self._part(stamp, {
            track_id for track_id, person in self._people.items() if back or (
                track_id not in here and (still or stamp - person.seen > _GONE_AFTER))})
        self._sight(frame, stamp)
        for track_id, person in self._people.items():
            told = self._attention(track_id, person)
            if told != person.published:
                person.published = told
                events.append(told)
        return events

    def clear(self) -> list[Attention]:
        """Return that everybody is gone; whoever is in the next picture begins anew."""
        return self._part(self._last, set(self._people))

    def _part(self, stamp: int, gone: set[str]) -> list[Attention]:
        """Drop people; return the events of those of whom there were any."""
        dropped = {track_id: self._people.pop(track_id) for track_id in sorted(gone)}
        for person in self._people.values():
            what = person.debouncer.value
            if what and what.target_id in dropped:
                person.debouncer.set(_ELSEWHERE, stamp)
        return [Attention(track_id, Target.GONE, min(person.seen, stamp))
                for track_id, person in dropped.items() if person.published]

    def _sight(self, frame: FrameGaze, stamp: int) -> None:
        # A focal length that is not known is off for all of them alike.
        common = 0.0 if frame.calibrated else FOCAL_STDDEV
        for gaze in frame.gazes:
            person = self._people.setdefault(gaze.track_id, _Person())
            person.seen, person.origin = stamp, gaze.origin
            own = gaze.range_stddev ** 2 - common ** 2 * float(gaze.origin @ gaze.origin)
            person.range_stddev = math.sqrt(own) if own > 0 else 0.0
        # Somebody the detector missed is still where he or she was.
        plain, least = angles_between(
            [gaze.direction for gaze in frame.gazes],
            [self._people[gaze.track_id] for gaze in frame.gazes], [*self._people.values()])
        for row, gaze in enumerate(frame.gazes):
            turning = self._people[gaze.track_id].debouncer
            seen = self._what(gaze, turning, plain[row], least[row])
            at_once = _CAMERA in (seen, turning.value)
            dwell = 0.0 if at_once else 1e9 * self.dwell
            turning.update(seen, stamp, dwell)
            # A gaze that wanders from one to the next has left the first one, too.
            if (turning.left_since is not None and turning.value != _ELSEWHERE
                    and stamp - turning.left_since >= 2 * dwell):
                turning.set(_ELSEWHERE, turning.left_since)
        for person in self._people.values():
            if person.seen != stamp:
                person.debouncer.cancel()

    def _what(self, gaze: Gaze, turning: Debouncer, plain: np.ndarray, least: np.ndarray) -> _Focus:
        """Return what a gaze is at, in this picture.

        :param plain: angles to all people, in their order, radians; ``least`` likewise.
        """
        if gaze.looking_at_camera:
            return _CAMERA
        if not np.isfinite(gaze.direction).all():
            return _UNKNOWN
        best, nearest = _ELSEWHERE, math.inf
        for other, angle, lowest in zip(self._people, plain.tolist(), least.tolist()):
            what = _Focus(Target.PERSON, other)
            favour = self.hysteresis if what in (turning.value, turning.candidate) else 0.0
            if other != gaze.track_id and lowest <= self.angle + favour and (
                    angle - favour < nearest):
                best, nearest = what, angle - favour
        return best

    def _attention(self, track_id: str, person: _Person) -> Optional[Attention]:
        what = person.debouncer.value
        if what is None:
            return None
        other = self._people.get(what.target_id)
        mutual = other is not None and other.debouncer.value == (Target.PERSON, track_id)
        return Attention(track_id, what.target, int(person.debouncer.since), what.target_id, mutual)


def angles_between(directions: list[np.ndarray], who: list[_Person], people: list[_Person]
                   ) -> tuple[np.ndarray, np.ndarray]:
    """Return how far gazes are from heads, radians, (gazes, people), in two ways.

    First, from where the heads are measured. Second, the least that it is anywhere between one
    standard deviation nearer and farther: range is told by the size of a face, the errors of two
    people add up (in squares), and where they are close together they turn the line between them
    by more than people look past each other. All of it is given to the second one's ray from the
    lens: the first one's is all but parallel to it where that matters.

    NaN where something is not known, and from a person to himself.

    :param directions: (3,) unit vector of each gaze; ``who`` is whose it is.
    """
    to = np.reshape([p.origin for p in people], (1, -1, 3)) - np.reshape(
        [w.origin for w in who], (-1, 1, 3))
    direction = np.reshape(directions, (-1, 3))
    with np.errstate(divide='ignore', invalid='ignore'):
        ray = np.reshape([p.origin / np.linalg.norm(p.origin) for p in people], (-1, 3))
        span = np.hypot.outer([w.range_stddev for w in who], [p.range_stddev for p in people])
        # Of to + c ray, for any c: its part along the gaze, and its square.
        along, along_ray = np.einsum('ik,ijk->ij', direction, to), direction @ ray.T
        square, to_ray = np.einsum('ijk,ijk->ij', to, to), np.einsum('jk,ijk->ij', ray, to)
        # The one c at which the angle is stationary.
        still = (along * to_ray - along_ray * square) / (along_ray * to_ray - along)
        still = np.clip(np.nan_to_num(still), -span, span)
        plain, *others = (
            np.arccos(np.clip((along + c * along_ray) / np.sqrt(
                square + 2 * c * to_ray + c * c), -1.0, 1.0))
            for c in (0.0, still, -span, span))
    return plain, np.minimum.reduce([plain, *others])
