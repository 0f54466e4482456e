"""Assigning track ids that a face keeps from image to image."""
from dataclasses import dataclass
import math
from typing import Optional

from gaze_ros.core.types import Face
import numpy as np
from scipy.optimize import linear_sum_assignment

#: Gate: maximum distance of a face from its expected position, in face sizes,
_MAX_DISTANCE = 1.0
#: ... and maximum change of its size, in octaves.
_MAX_GROWTH = 1.0
#: Time constant of the average of a face's speed, seconds.
_SPEED_TIME = 0.2
#: Time constant with which the speed of an undetected face decays, seconds.
_DAMPING_TIME = 1.0
#: Extra cost of a pair per second without a detection: the most recently detected track wins.
_AGE_COST = 1.0
#: Maximum extra cost, so that every pair inside the gate costs less than one outside it.
_MAX_AGE_COST = 0.5
#: Time constant of the average of a track's trust, seconds.
_TRUST_TIME = 0.5
#: Minimum trust with which a track may continue with a low score. A false detection that only
#: sometimes has a good score stays below: in one clip, a bun of hair gave 59 more gazes without.
_MIN_TRUST = 0.5
#: Cost of a pair outside the gate; a pair inside it costs sqrt(2) + 0.5 at most.
_OUTSIDE_COST = 2.0


@dataclass(slots=True)
class _Track:
    """State of a track at its last detection.

    :ivar position: (3,) center in pixels, and log2 of the size in pixels.
    :ivar speed: (3,) change of the position per second.
    :ivar last_seen: time of the last detection, seconds.
    :ivar trust: share of the recent time with good scores, 0..1.
    """

    track_id: str
    position: np.ndarray
    speed: np.ndarray
    last_seen: float
    trust: float = 0.0

    def expected_motion(self, time: float) -> np.ndarray:
        """Return (3,) the expected change of the position since the last detection."""
        decay = math.expm1((self.last_seen - time) / _DAMPING_TIME)
        return self.speed * (-_DAMPING_TIME * decay)

    def update(self, position: np.ndarray, time: float, good: bool) -> None:
        """Update the track with a new detection; one that is not later changes nothing.

        :param good: whether it has a good score and the track was in the previous image.
        """
        if (dt := time - self.last_seen) > 0:
            self.trust += -math.expm1(-dt / _TRUST_TIME) * (good - self.trust)
            alpha = -math.expm1(-dt / _SPEED_TIME)
            # In this order nothing overflows for a tiny dt.
            self.speed = (1 - alpha) * self.speed + alpha / dt * (position - self.position)
            self.position, self.last_seen = position, time


class Tracker:
    """Assigns faces to tracks by the expected position of each track, all at once.

    As in ByteTrack (Zhang et al., ECCV 2022), faces with a good score are assigned first; those
    with a low score may then continue the remaining tracks of the previous image. The cost is the
    distance in face sizes instead of the overlap, because a small face that moves fast does not
    overlap itself. The expected position assumes a constant speed that decays. As a hidden face
    may also have stopped, the gate of a track widens with its expected motion.

    :param timeout: seconds without a detection after which a track is dropped.
    :param prefix: of the ids: a letter, then letters, digits and _. If it ends in a digit, a _
        separates it from the number.
    :ivar ids_given: the number of the last id; new ids have greater numbers.
    """

    def __init__(self, timeout: float = 1.0, prefix: str = 'f') -> None:
        self.timeout = timeout
        self.prefix = prefix
        self._tracks: list[_Track] = []
        self.ids_given = 0
        self._time = -math.inf
        self._shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self._tracks)

    def reset(self) -> None:
        """Drop all tracks; their ids are not used again."""
        self._tracks = []

    def update(self, faces: list[Face], time: float, min_score: float = 0.0,
               shape: tuple[int, ...] = ()) -> list[Optional[str]]:
        """Return the id of each face: the prefix and a number, as REP-155 requires.

        :param time: of the stream, seconds; it never decreases: see
            :class:`gaze_ros.core.stream_time.StreamClock`.
        :param min_score: a face with a lower score gets None, unless it continues a track that
            was in the previous image and has had good scores recently. It never starts a track.
        :param shape: of the image. If it changes, all tracks are dropped: positions are in pixels.
        """
        if shape != self._shape:
            self.reset()
        previous, self._time, self._shape = self._time, time, shape
        self._tracks = [t for t in self._tracks if time - t.last_seen <= self.timeout]
        positions = [_position(face) for face in faces]
        good = [face.score >= min_score for face in faces]
        ids: list[Optional[str]] = [None] * len(faces)

        def match(rows: list[int], tracks: list[_Track]) -> None:
            for i, track in _assign([positions[i] for i in rows], tracks, time):
                track.update(
                    positions[rows[i]], time, good[rows[i]] and track.last_seen == previous)
                ids[rows[i]] = track.track_id

        match([i for i, g in enumerate(good) if g], self._tracks)
        match([i for i, g in enumerate(good) if not g], [
            t for t in self._tracks
            if t.last_seen == previous and t.trust >= _MIN_TRUST and t.track_id not in ids])
        for i, position in enumerate(positions):
            if good[i] and ids[i] is None:
                self.ids_given += 1
                ids[i] = f"{self.prefix}{'_' * self.prefix[-1].isdigit()}{self.ids_given}"
                self._tracks.append(_Track(ids[i], position, np.zeros(3), time))
        return ids


def _position(face: Face) -> np.ndarray:
    _, _, w, h = face.box
    return np.array([*face.center, math.log2(max(w, h, 1.0))])


def _assign(positions: list[np.ndarray], tracks: list[_Track], time: float
            ) -> list[tuple[int, _Track]]:
    """Return the optimal pairs of a position, by its index, and a track."""
    if not (positions and tracks):
        return []
    motion = np.array([t.expected_motion(time) for t in tracks])
    last = np.array([t.position for t in tracks])
    detected = np.array(positions)[:, None]
    error = np.abs(detected - (last + motion))
    size = np.exp2(np.maximum(detected[..., 2], last[:, 2]))
    distance = np.hypot(error[..., 0], error[..., 1]) / (
        _MAX_DISTANCE * size + np.hypot(motion[:, 0], motion[:, 1]))
    growth = error[..., 2] / (_MAX_GROWTH + np.abs(motion[:, 2]))
    age = time - np.array([t.last_seen for t in tracks])
    cost = np.hypot(distance, growth) + np.minimum(_AGE_COST * age, _MAX_AGE_COST)
    inside = (distance <= 1) & (growth <= 1)
    if cost.size == 1:
        return [(0, tracks[0])] if inside[0, 0] else []
    rows, columns = linear_sum_assignment(np.where(inside, cost, _OUTSIDE_COST))
    return [(int(i), tracks[j]) for i, j in zip(rows, columns) if inside[i, j]]
