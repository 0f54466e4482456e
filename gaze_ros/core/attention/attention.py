"""What each person looks at (the camera, a person, an object or elsewhere), and since when."""
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
import math
from typing import NamedTuple, Optional

from gaze_ros.core.attention.debounce import Debouncer
from gaze_ros.core.attention.targets import best_hit, Hit, TargetSet
from gaze_ros.core.attention.targets import Target as Object
from gaze_ros.core.geometry.angular_error import even_odds_angle
from gaze_ros.core.geometry.head_pose import FOCAL_STDDEV
from gaze_ros.core.geometry.incidence import incidence, Sphere
from gaze_ros.core.stream_time import Instant, PAUSE, StreamClock
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: Seconds without a detection after which a person is gone.
_GONE_AFTER = 1.0


class Target(IntEnum):
    """What a person looks at; values as in msg/Attention.msg."""

    UNKNOWN = 0
    CAMERA = 1
    PERSON = 2
    ELSEWHERE = 3
    GONE = 4
    OBJECT = 5


@dataclass(frozen=True, slots=True)
class Attention:
    """The attention of one person.

    :ivar since: stamp of the image in which the person turned to the target, nanoseconds.
    :ivar target_id: track id of the person looked at, or name of the object.
    :ivar mutual: whether that person looks back.
    :ivar hit: where the gaze meets the object in the last image, if the target is OBJECT. A change
        of it is no event.
    """

    track_id: str
    target: Target
    since: int
    target_id: str = ''
    mutual: bool = False
    hit: Optional[Hit] = field(default=None, compare=False)

    @property
    def at_robot(self) -> bool:
        """Whether the person looks at the robot: the camera, or an object that is part of it."""
        return self.target is Target.CAMERA or self.hit is not None and self.hit.target.robot

    @property
    def words(self) -> str:
        """What the person looks at, in words."""
        name = self.target_id or self.target.name.lower()
        return name + ' (mutual)' * self.mutual


class _Focus(NamedTuple):
    target: Target
    target_id: str = ''


_CAMERA, _ELSEWHERE, _UNKNOWN = (
    _Focus(t) for t in (Target.CAMERA, Target.ELSEWHERE, Target.UNKNOWN))


@dataclass(slots=True)
class _Person:
    """State of a track.

    :ivar last_seen: the last image with this person.
    :ivar origin: (3,) midpoint between the eyes at ``last_seen``, meters.
    :ivar range_stddev: standard deviation of the range, without the error that all persons share,
        meters.
    :ivar debouncer: the debounced focus; None until there is one.
    :ivar published: the last event.
    :ivar hit: the object looked at in the last image in which it was the debounced one.
    """

    last_seen: Instant
    origin: np.ndarray = field(default_factory=lambda: np.full(3, math.nan))
    range_stddev: float = 0.0
    debouncer: Debouncer[Optional[_Focus]] = field(default_factory=lambda: Debouncer(None))
    published: Optional[Attention] = None
    hit: Optional[Hit] = None


class AttentionTracker:
    """Converts the gazes of one image stream into events: what each person looks at.

    The first four attributes may be changed at any time.

    :ivar angle: angle between a gaze and another person's head below which the gaze is at that
        person, radians. A gaze with a standard deviation is at the person if the true gaze is
        within this angle as likely as not.
    :ivar hysteresis: extra angle before the current or candidate target is released, radians.
    :ivar dwell: seconds that a gaze must stay on a new target. Changes to and from the camera
        are immediate: ``looking_at_camera`` has a dwell of its own.
    :ivar object_angle: angle by which a gaze may pass an object that it is at, radians.
    :ivar at_objects: track ids whose gaze was at the object of their attention in the last image;
        the others with a ``hit`` keep it for the dwell time, or are not in the image.
    :ivar restart_count: how often all persons were reset, after a stamp that jumped back or a
        long pause.
    :ivar now: the last image.
    """

    def __init__(self, angle: float = 0.25, hysteresis: float = 0.05, dwell: float = 0.3,
                 object_angle: float = 0.15) -> None:
        self.angle = angle
        self.hysteresis = hysteresis
        self.dwell = dwell
        self.object_angle = object_angle
        self.at_objects: set[str] = set()
        self._people: dict[str, _Person] = {}
        self._clock = StreamClock()
        self.now = Instant(0, 0)
        self._gap = 0.0
        self.restart_count = 0

    @property
    def present(self) -> list[Attention]:
        """The last event of each person who is not gone."""
        return [person.published for person in self._people.values() if person.published]

    def update(self, frame: FrameGaze, stamp: Optional[int], arrival: float = math.nan,
               objects: Sequence[Object] = ()) -> list[Attention]:
        """Return the changes since the last image, GONE events first.

        :param stamp: of the image, nanoseconds; None if it has none. If it jumps back by a second
            or more, all persons are gone, and those in the image are new; a smaller step back
            changes nothing. After a pause longer than 1 s and than two periods they are new, too:
            the gaze node may have restarted meanwhile, and its f1 is another person.
        :param arrival: when the image arrived, nanoseconds of any clock: for images without a
            usable stamp.
        :param objects: what people may look at, in the optical frame.
        """
        now = self._clock.update(stamp, arrival)
        gap, self.now = now - self.now, now
        restart = gap > max(_GONE_AFTER, 2 * self._gap)
        if gap > 0:
            self._gap = 0.0 if gap >= 1e-9 * PAUSE else gap
        self.restart_count += restart
        visible = {gaze.track_id for gaze in frame.gazes}
        events = self._remove(now, {
            track_id for track_id, person in self._people.items() if restart or (
                track_id not in visible and now - person.last_seen > _GONE_AFTER)})
        self._observe(frame, now, TargetSet(objects))
        for track_id, person in self._people.items():
            attention = self._attention(track_id, person)
            if attention != person.published:
                events.append(attention)
            person.published = attention
        return events

    def clear(self) -> list[Attention]:
        """Remove all persons and return their GONE events."""
        return self._remove(self.now, set(self._people))

    def _remove(self, now: Instant, gone: set[str]) -> list[Attention]:
        """Remove people; return a GONE event for each one that had an event before."""
        removed = {track_id: self._people.pop(track_id) for track_id in sorted(gone)}
        for person in self._people.values():
            focus = person.debouncer.value
            if focus and focus.target is Target.PERSON and focus.target_id in removed:
                person.debouncer.set(_ELSEWHERE, now)
        return [Attention(track_id, Target.GONE, min(person.last_seen.stamp, now.stamp))
                for track_id, person in removed.items() if person.published]

    def _observe(self, frame: FrameGaze, now: Instant, objects: TargetSet) -> None:
        self.at_objects = set()
        # The error of an assumed focal length is the same for all persons.
        common = 0.0 if frame.calibrated else FOCAL_STDDEV
        for gaze in frame.gazes:
            person = self._people.setdefault(gaze.track_id, _Person(now))
            person.last_seen, person.origin = now, gaze.origin
            own = gaze.range_stddev ** 2 - common ** 2 * float(gaze.origin @ gaze.origin)
            person.range_stddev = math.sqrt(own) if own > 0 else 0.0
        # A person that the detector missed is assumed to be at the last position.
        angles, min_angles = angles_between(
            [gaze.direction for gaze in frame.gazes],
            [self._people[gaze.track_id] for gaze in frame.gazes], [*self._people.values()])
        for row, gaze in enumerate(frame.gazes):
            person = self._people[gaze.track_id]
            debouncer = person.debouncer
            focus = self._focus(gaze, debouncer, angles[row], min_angles[row])
            hit = None
            if objects and focus not in (_CAMERA, _UNKNOWN):
                focus, hit = self._object(gaze, debouncer, focus, objects)
            immediate = _CAMERA in (focus, debouncer.value)
            dwell = 0.0 if immediate else self.dwell
            debouncer.update(focus, now, dwell)
            # A gaze that moves from target to target, never long enough on one, has left as well.
            if (debouncer.left_since is not None and debouncer.value != _ELSEWHERE
                    and now - debouncer.left_since >= 2 * dwell):
                debouncer.set(_ELSEWHERE, debouncer.left_since)
            if debouncer.value == focus:
                person.hit = hit
                if hit is not None:
                    self.at_objects.add(gaze.track_id)
            elif debouncer.value is None or debouncer.value.target is not Target.OBJECT:
                person.hit = None
        for person in self._people.values():
            if person.last_seen is not now:
                person.debouncer.cancel()

    def _focus(self, gaze: Gaze, debouncer: Debouncer, angles: np.ndarray, min_angles: np.ndarray
               ) -> _Focus:
        """Return what a gaze is at in this image.

        :param angles: (people,) angles to all people, in their order, radians.
        :param min_angles: (people,) minimum angles within the range error, radians.
        """
        if gaze.looking_at_camera:
            return _CAMERA
        if not np.isfinite(gaze.direction).all():
            return _UNKNOWN
        best, nearest = _ELSEWHERE, math.inf
        usual = even_odds_angle(self.angle, gaze.stddev)
        held = {focus.target_id for focus in (debouncer.value, debouncer.candidate)
                if focus and focus.target is Target.PERSON}
        for other, angle, min_angle in zip(self._people, angles.tolist(), min_angles.tolist()):
            bonus, limit = 0.0, usual
            if other in held:
                bonus = self.hysteresis
                limit = even_odds_angle(self.angle + bonus, gaze.stddev)
            if other != gaze.track_id and min_angle <= limit and angle - bonus < nearest:
                best, nearest = _Focus(Target.PERSON, other), angle - bonus
        return best

    def _object(self, gaze: Gaze, debouncer: Debouncer, focus: _Focus,
                objects: TargetSet) -> tuple[_Focus, Optional[Hit]]:
        """Return what a gaze is at in this image, and where it meets it if that is an object.

        :param focus: what it is at without objects: the better one of the two counts.
        """
        bonus = {known.target_id: self.hysteresis
                 for known in (debouncer.value, debouncer.candidate)
                 if known and known.target is Target.OBJECT}
        near = objects.near(gaze, self.object_angle + self.hysteresis)
        hit = best_hit(gaze, near, self.object_angle, bonus)
        if hit is None:
            return focus, None
        if focus.target is Target.PERSON:
            head = incidence(
                Sphere(self._people[focus.target_id].origin), gaze.origin, gaze.direction,
                gaze.stddev, gaze.range_stddev, self.angle)
            if head is not None and head.likelihood > hit.incidence.likelihood:
                return focus, None
        return _Focus(Target.OBJECT, hit.target.name), hit

    def _attention(self, track_id: str, person: _Person) -> Optional[Attention]:
        focus = person.debouncer.value
        if focus is None:
            return None
        other = self._people.get(focus.target_id) if focus.target is Target.PERSON else None
        mutual = other is not None and other.debouncer.value == (Target.PERSON, track_id)
        return Attention(
            track_id, focus.target, person.debouncer.since.stamp, focus.target_id, mutual,
            person.hit)


def angles_between(directions: list[np.ndarray], observers: list[_Person], people: list[_Person]
                   ) -> tuple[np.ndarray, np.ndarray]:
    """Return the angles between gazes and heads, radians, as two (gazes, people) arrays.

    The first uses the measured head positions. The second is the minimum over target ranges
    within one standard deviation. The range is estimated from the size of a face, and the errors
    of two people add up in squares. If the two are close together, these errors turn the line
    between them by more than the tolerance. The whole error is applied along the target's ray
    from the lens, because the observer's ray is almost parallel to it where this matters.

    NaN if something is unknown, and from a person to themselves.

    :param directions: (3,) unit vector of each gaze.
    :param observers: the person of each gaze.
    :param people: the possible targets.
    """
    to = np.reshape([p.origin for p in people], (1, -1, 3)) - np.reshape(
        [o.origin for o in observers], (-1, 1, 3))
    direction = np.reshape(directions, (-1, 3))
    with np.errstate(divide='ignore', invalid='ignore'):
        ray = np.reshape([p.origin / np.linalg.norm(p.origin) for p in people], (-1, 3))
        span = np.hypot.outer(
            [o.range_stddev for o in observers], [p.range_stddev for p in people])
        # For to + c * ray with any c: its component along the gaze, and its square.
        along, along_ray = np.einsum('ik,ijk->ij', direction, to), direction @ ray.T
        square, to_ray = np.einsum('ijk,ijk->ij', to, to), np.einsum('jk,ijk->ij', ray, to)
        # The only c at which the angle is stationary.
        stationary = (along * to_ray - along_ray * square) / (along_ray * to_ray - along)
        stationary = np.clip(np.nan_to_num(stationary), -span, span)
        measured, *others = (
            np.arccos(np.clip((along + c * along_ray) / np.sqrt(
                square + 2 * c * to_ray + c * c), -1.0, 1.0))
            for c in (0.0, stationary, -span, span))
    return measured, np.minimum.reduce([measured, *others])
