"""Ids that stay with a face from frame to frame."""
from dataclasses import dataclass
import math
from typing import Optional

from gaze_ros.core.types import Face
import numpy as np
from scipy.optimize import linear_sum_assignment

#: A face may be this many of its own sizes from where it is expected and still be the same.
_REACH = 1.0
#: ... and larger or smaller by this many octaves.
_GROWTH = 1.0
#: Seconds over which the speed of a face is averaged.
_AVERAGE = 0.2
#: Seconds in which the speed of a face that is not seen dies away.
_DAMPING = 1.0
#: A pair costs this much more for a second unseen: of two tracks the one seen last comes first.
_PATIENCE = 1.0
#: ... and at most this much more, so that no pair within reach costs as much as one out of it.
_MOST_PATIENCE = 0.5
#: Seconds over which it is averaged whether a track is seen with good scores.
_TRUST_AVERAGE = 0.5
#: Share of that time from which a track may go on with a low score. What is no face and yet has
#: a good score at times stays below: a bun of hair in one clip, else told 59 times more.
_TRUST = 0.5
#: What a pair out of reach costs; those within cost sqrt(2) + 0.5 at most.
_OUT_OF_REACH = 2.0


@dataclass(slots=True)
class _Track:
    """A face as it was last seen.

    :ivar place: (3,) centre in pixels, and size as log2 of pixels.
    :ivar speed: (3,) change of the place a second.
    :ivar seen: stamp of the last sighting, seconds.
    :ivar trust: share of the time of late in which it was seen with good scores, 0..1.
    """

    track_id: str
    place: np.ndarray
    speed: np.ndarray
    seen: float
    trust: float = 0.0

    def moved(self, stamp: float) -> np.ndarray:
        """Return (3,) how far the place is expected to have moved since it was seen."""
        return self.speed * (-_DAMPING * math.expm1((self.seen - stamp) / _DAMPING))

    def update(self, place: np.ndarray, stamp: float, good: bool) -> None:
        """Take a new sighting into account.

        :param good: whether it was seen, with a good score, all the time since the last one.
        """
        if (dt := stamp - self.seen) > 0:
            self.trust += -math.expm1(-dt / _TRUST_AVERAGE) * (good - self.trust)
            alpha = -math.expm1(-dt / _AVERAGE)
            # In this order nothing overflows, however small dt is.
            self.speed = (1 - alpha) * self.speed + alpha / dt * (place - self.place)
        self.place, self.seen = place, stamp


class Tracker:
    """Assigns faces to tracks, all at once, by where each track is expected to be by now.

    As ByteTrack does it (Zhang et al., ECCV 2022): first the faces with a good score, then those
    with a low one, for the tracks of the last picture that are left. Distance in face sizes takes
    the place of overlap: a small face that moves fast overlaps itself no more. An expected place
    is one of constant speed that dies away. As a hidden face may also have stopped, the reach of
    a track grows with how far it is expected to have moved.

    :param timeout: seconds a face may stay unseen and keep its id.
    :param prefix: what ids begin with: a letter, then letters, digits and _. Behind a digit comes
        a _ before the number.
    :ivar given: how many ids were given, also before it; those to come have greater numbers.
    """

    def __init__(self, timeout: float = 1.0, prefix: str = 'f') -> None:
        self.timeout = timeout
        self.prefix = prefix
        self._tracks: list[_Track] = []
        self.ids_given = 0
        self._last = -math.inf
        self._shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return how many tracks there are."""
        return len(self._tracks)

    def reset(self) -> None:
        """Forget all tracks; their ids are not given again."""
        self._tracks = []

    def update(self, faces: list[Face], stamp: float, min_score: float = 0.0,
               shape: tuple[int, ...] = ()) -> list[Optional[str]]:
        """Return the id of each face: the prefix and a number, as REP-155 wants them.

        :param stamp: of the picture, seconds. If it goes back, all tracks are forgotten; ids are
            never given twice. While it stands still, a face keeps its id as long as it is seen.
        :param min_score: a face scored lower gets None, unless it goes on with a track that was
            in the last picture and had good scores of late. It never starts one.
        :param shape: of the picture. If it changes, all tracks are forgotten: places are pixels.
        """
        if stamp < self._last or shape != self._shape:
            self.reset()
        before, self._last, self._shape = self._last, stamp, shape
        self._tracks = [t for t in self._tracks if stamp - t.seen <= self.timeout]
        places = [_place(face) for face in faces]
        good = [face.score >= min_score for face in faces]
        ids: list[Optional[str]] = [None] * len(faces)

        def match(rows: list[int], tracks: list[_Track]) -> None:
            for i, track in _pairs([places[i] for i in rows], tracks, stamp):
                track.update(places[rows[i]], stamp, good[rows[i]] and track.seen == before)
                ids[rows[i]] = track.track_id

        match([i for i, g in enumerate(good) if g], self._tracks)
        match([i for i, g in enumerate(good) if not g], [
            t for t in self._tracks
            if t.seen == before and t.trust >= _TRUST and t.track_id not in ids])
        for i, place in enumerate(places):
            if good[i] and ids[i] is None:
                self.ids_given += 1
                ids[i] = f"{self.prefix}{'_' * self.prefix[-1].isdigit()}{self.ids_given}"
                self._tracks.append(_Track(ids[i], place, np.zeros(3), stamp))
        if stamp == before:
            # Else none would ever be given up.
            self._tracks = [t for t in self._tracks if t.track_id in ids]
        return ids


def _place(face: Face) -> np.ndarray:
    _, _, w, h = face.box
    return np.array([*face.center, math.log2(max(w, h, 1.0))])


def _pairs(places: list[np.ndarray], tracks: list[_Track], stamp: float
           ) -> list[tuple[int, _Track]]:
    """Return the best pairs of a place, by its index, and a track."""
    if not (places and tracks):
        return []
    moved = np.array([t.moved(stamp) for t in tracks])
    last = np.array([t.place for t in tracks])
    found = np.array(places)[:, None]
    error = np.abs(found - (last + moved))
    size = np.exp2(np.maximum(found[..., 2], last[:, 2]))
    distance = np.hypot(error[..., 0], error[..., 1]) / (
        _REACH * size + np.hypot(moved[:, 0], moved[:, 1]))
    growth = error[..., 2] / (_GROWTH + np.abs(moved[:, 2]))
    unseen = stamp - np.array([t.seen for t in tracks])
    cost = np.hypot(distance, growth) + np.minimum(_PATIENCE * unseen, _MOST_PATIENCE)
    within = (distance <= 1) & (growth <= 1)
    if cost.size == 1:
        return [(0, tracks[0])] if within[0, 0] else []
    rows, columns = linear_sum_assignment(np.where(within, cost, _OUT_OF_REACH))
    return [(int(i), tracks[j]) for i, j in zip(rows, columns) if within[i, j]]
