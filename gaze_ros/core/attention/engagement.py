"""Who wants to interact with the robot: the engagement of each person, by a stated rule."""
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
import math

from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.geometry.angular_error import even_odds_angle
from gaze_ros.core.stream_time import Instant
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: Angle between the direction of a face and the lens up to which it is toward the robot, radians:
#: who talks with the robot and glances aside still faces it.
FACING = math.radians(35)
#: Factor by which a person in interaction may be farther away than one who begins it.
_LEAVING = 1.25


class Level(IntEnum):
    """Engagement; values as in hri_msgs/msg/EngagementLevel."""

    UNKNOWN = 0
    DISENGAGED = 1
    ENGAGING = 2
    ENGAGED = 3
    DISENGAGING = 4


@dataclass(slots=True)
class _State:
    """The engagement of a person since an instant."""

    level: Level
    since: Instant


class EngagementTracker:
    """The engagement of each person.

    The attributes may be changed at any time.

    :ivar distance: up to which somebody may become engaged, meters. Who is engaged may be 25 %
        farther away.
    :ivar duration: seconds that somebody must look at the robot to be engaged, and neither face
        nor look at it to be disengaged.
    """

    def __init__(self, distance: float = 2.0, duration: float = 1.5) -> None:
        self.distance = distance
        self.duration = duration
        self._states: dict[str, _State] = {}

    def update(self, frame: FrameGaze, attentions: Iterable[Attention], now: Instant
               ) -> dict[str, Level]:
        """Return the level of each person who is present.

        It is unknown without a position. A person whom the detector misses keeps the level.

        :param attentions: the last event of each person who is present.
        """
        seen = {gaze.track_id: gaze for gaze in frame.gazes}
        attentions = list(attentions)
        states = {a.track_id: self._states.get(a.track_id) or _State(Level.UNKNOWN, now)
                  for a in attentions}
        self._states = states
        for attention in attentions:
            gaze, state = seen.get(attention.track_id), states[attention.track_id]
            if gaze is not None:
                level = self._next(state, attention.at_robot, gaze, now)
                if level is not state.level:
                    states[attention.track_id] = _State(level, now)
        return {track_id: state.level for track_id, state in states.items()}

    def _next(self, state: _State, at_robot: bool, gaze: Gaze, now: Instant) -> Level:
        distance = float(np.linalg.norm(gaze.origin))
        if not math.isfinite(distance):
            return Level.UNKNOWN
        over = now - state.since >= self.duration
        if state.level in (Level.ENGAGED, Level.DISENGAGING):
            if distance <= _LEAVING * self.distance and (at_robot or faces_robot(gaze)):
                return Level.ENGAGED
            left = state.level is Level.DISENGAGING and over
            return Level.DISENGAGED if left else Level.DISENGAGING
        if not (at_robot and distance <= self.distance):
            return Level.DISENGAGED
        return Level.ENGAGED if state.level is Level.ENGAGING and over else Level.ENGAGING


def faces_robot(gaze: Gaze) -> bool:
    """Return whether a face points toward the lens, as likely as not; False if unknown."""
    angle = math.acos(math.cos(gaze.head_pitch) * math.cos(gaze.head_yaw))
    return angle <= even_odds_angle(FACING, gaze.head_stddev)
