"""Whom the robot should look at: one person, chosen by a rule, with hold time and hysteresis."""
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
import math

from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.attention.debounce import Debouncer
from gaze_ros.core.stream_time import Instant
from gaze_ros.core.tracking.one_euro import OneEuroSmoother
from gaze_ros.core.types import FrameGaze, Gaze
import numpy as np

#: What a rule may name, in any order; the default rule.
CRITERIA = ('at_robot', 'mutual', 'nearest', 'largest')
DEFAULT_RULE = ','.join(CRITERIA)

#: Smoothing of the point: time constant at rest, seconds, and Hz of cutoff per m/s. The point of a
#: person who walks past at 1 m/s lags by 0.05 s, that of a person who stands is steady.
_SMOOTHING_TIME, _SMOOTHING_BETA = 0.2, 3.0


class Reason(IntEnum):
    """Why somebody is in focus; values as in msg/Focus.msg."""

    NONE = 0
    AT_ROBOT = 1
    MUTUAL = 2
    NEAREST = 3
    LARGEST = 4


@dataclass(frozen=True, slots=True)
class Focus:
    """Whom the robot should look at.

    :ivar track_id: the person; '' if nobody is there.
    :ivar reason: the first criterion of the rule that the person meets.
    :ivar point: (3,) smoothed midpoint between the eyes in the optical frame, meters; NaN if
        nobody is there.
    :ivar since: stamp of the image since which it is this person, or nobody, nanoseconds.
    """

    track_id: str
    reason: Reason
    point: np.ndarray
    since: int


class FocusSelector:
    """Chooses in each image whom the robot should look at.

    The attributes may be changed at any time.

    :ivar rule: criteria of :data:`CRITERIA`, the most important first, separated by commas. Those
        who look at the robot, or into the eyes of another person, come before those who do not;
        the nearest and the largest face come first. A later criterion counts among those who are
        equal in the earlier ones.
    :ivar hold: seconds that another person must come first, without a break, before the focus
        changes. It changes at once when the person is gone.
    :ivar hysteresis: part by which another person must be nearer, or another face larger, to come
        before the one in focus: 0.2 is 20 %.
    """

    def __init__(self, rule: str = DEFAULT_RULE, hold: float = 1.0, hysteresis: float = 0.2
                 ) -> None:
        self.rule = rule
        self.hold = hold
        self.hysteresis = hysteresis
        self.reset()

    def reset(self) -> None:
        """Forget who was in focus."""
        self._state: Debouncer[str] = Debouncer('', Instant(0, 0))
        self._seen: dict[str, Gaze] = {}
        self._smoother = OneEuroSmoother(_SMOOTHING_TIME, beta=_SMOOTHING_BETA)

    def update(self, frame: FrameGaze, attentions: Iterable[Attention], now: Instant) -> Focus:
        """Return whom to look at.

        A person whom the detector misses keeps the last position until the attention is GONE.

        :param attentions: the last event of each person who is present; nobody else is chosen.
        :param now: of the image.
        """
        present = {attention.track_id: attention for attention in attentions}
        self._seen = {i: gaze for i, gaze in self._seen.items() if i in present}
        self._seen |= {gaze.track_id: gaze for gaze in frame.gazes
                       if gaze.track_id in present and np.isfinite(gaze.origin).all()}
        state, rule = self._state, self.rule.split(',')
        best = min(self._seen, default='', key=lambda i: [
            self._order(criterion, present[i], self._seen[i]) for criterion in rule])
        if state.value not in self._seen:
            if best != state.value:
                state.set(best, now)
        else:
            state.update(best, now, self.hold)
            # Others come first in turn, none of them for long enough.
            if state.left_since is not None and now - state.left_since >= 2 * self.hold:
                state.set(best, now)
        if not state.value:
            return Focus('', Reason.NONE, np.full(3, math.nan), state.since.stamp)
        attention, gaze = present[state.value], self._seen[state.value]
        reason = next((Reason[criterion.upper()] for criterion in rule
                       if self._order(criterion, attention, gaze) < 1), Reason.NONE)
        point = self._smoother.update_point(state.value, gaze.origin, now.time)
        self._smoother.prune(now.time)
        return Focus(state.value, reason, point, state.since.stamp)

    def _order(self, criterion: str, attention: Attention, gaze: Gaze) -> float:
        """Return a number by which people are sorted, the first in focus has the smallest."""
        bonus = 1 + self.hysteresis * (gaze.track_id == self._state.value)
        if criterion == 'at_robot':
            return 1.0 - attention.at_robot
        if criterion == 'mutual':
            return 1.0 - attention.mutual
        if criterion == 'nearest':
            # Below 1 for every range, as it is for every size.
            return -bonus / float(np.linalg.norm(gaze.origin))
        _, _, width, height = gaze.face.box
        return -bonus * width * height
