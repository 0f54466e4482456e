"""Ids that stay with a face from frame to frame."""
from dataclasses import dataclass
import math

from gaze_ros.core.faces import Face
import numpy as np
from scipy.optimize import linear_sum_assignment

#: A face may move this many of its own sizes between two sightings and still be the same.
_REACH = 1.0
#: ... and grow or shrink by this factor.
_GROWTH = 2.0


@dataclass(slots=True)
class _Track:
    track_id: str
    x: float
    y: float
    size: float
    seen: float


class Tracker:
    """Assigns each face to the nearest track by distance in face sizes, all at once.

    Centre distance rather than overlap: a small face that moves fast overlaps itself no more.

    :param timeout: seconds a face may stay unseen and keep its id.
    """

    def __init__(self, timeout: float = 0.5) -> None:
        self.timeout = timeout
        self._tracks: list[_Track] = []
        self._count = 0
        self._last = -math.inf

    def update(self, faces: list[Face], stamp: float) -> list[str]:
        """Return the id of each face: a letter and a number, as REP-155 wants them.

        :param stamp: of the picture, seconds. If it goes back, all tracks are forgotten; ids are
            never given twice.
        """
        if stamp < self._last:
            self._tracks = []
        self._last = stamp
        tracks = [t for t in self._tracks if stamp - t.seen <= self.timeout]
        places = []
        for face in faces:
            _, _, w, h = face.box
            places.append((*face.center, max(w, h, 1.0)))
        cost = np.empty((len(places), len(tracks)))
        for i, (x, y, size) in enumerate(places):
            for j, track in enumerate(tracks):
                scale = max(size, track.size)
                cost[i, j] = max(
                    np.hypot(x - track.x, y - track.y) / (_REACH * scale),
                    scale / (_GROWTH * min(size, track.size)))
        matched = {}
        # Pairs out of reach all cost the same, a lot: no near pair yields to them.
        rows, columns = linear_sum_assignment(np.where(cost <= 1, cost, 1e3))
        for i, j in zip(rows, columns):
            if cost[i, j] <= 1:
                matched[int(i)] = tracks[j]
        ids = []
        for i, (x, y, size) in enumerate(places):
            track = matched.get(i)
            if track is None:
                self._count += 1
                track = _Track(f'f{self._count}', x, y, size, stamp)
                tracks.append(track)
            track.x, track.y, track.size, track.seen = x, y, size, stamp
            ids.append(track.track_id)
        self._tracks = tracks
        return ids
