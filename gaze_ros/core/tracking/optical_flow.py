"""Faces between two detections: scheduling the detector and tracking faces by optical flow."""
from collections import deque
import math
from statistics import median

import cv2
from gaze_ros.core.stream_time import PAUSE
from gaze_ros.core.types import Face
import numpy as np

#: Long side in pixels of the grey image for the flow; resizing and two flows take 1 ms.
LONG_SIDE = 640

#: Share of the time between two images that the detector may take where ``interval`` is 0.
BUDGET = 1 / 3
#: Longest interval: the detector runs at least on every tenth image.
MAX_INTERVAL = 10

#: Number of detections and of periods in the median: one slow call or one gap does not matter.
_HISTORY = 15

#: Grid points along each side of a box; the better half of them is used.
_POINTS = 5
#: Part of the box that the grid covers: the margin shows the background.
_INNER = 0.9
#: Minimum side of a face in pixels of the grey image; a smaller one is lost.
_MIN_SIDE = 4.0
#: A face is lost if the forward-backward error of the better half of its points exceeds this, in
#: pixels of the grey image,
_MAX_ERROR = 1.0
#: ... or if the median deviation of its points from the motion of the face exceeds this part of
#: its side,
_MAX_DEVIATION = 0.08
#: ... or if it grows or shrinks by more than this factor from one image to the next.
_MAX_GROWTH = 1.25

_FLOW = {'winSize': (11, 11), 'maxLevel': 3,
         'criteria': (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)}


class DetectionScheduler:
    """Decides on which images the detector runs."""

    def __init__(self) -> None:
        self._since = 0  # images since the last detection
        self._interval = self._next_interval = 1
        self._shape: tuple[int, ...] = ()
        self._time = math.inf
        self._durations: deque[float] = deque(maxlen=_HISTORY)
        self._periods: deque[float] = deque(maxlen=_HISTORY)

    def should_detect(self, interval: int, shape: tuple[int, ...], time: float) -> bool:
        """Count an image and return whether the detector must run on it.

        The detector always runs if the image size has changed or another time has begun.

        :param interval: run on every N-th image; 0: as often as :data:`BUDGET` allows.
        :param shape: of the image.
        :param time: of the stream, seconds; it never decreases.
        """
        every = interval or self._affordable_interval()
        period = time - self._time
        continues = shape == self._shape and 0 <= period < 1e-9 * PAUSE
        if continues and period > 0:
            self._periods.append(period)
        self._shape, self._time = shape, time
        self._since += 1
        # After an interval of 1 no face is tracked yet, whatever the interval is now.
        if continues and self._since < min(every, self._interval):
            return False
        # Until the detection has succeeded there is nothing to track.
        self._since, self._interval, self._next_interval = 0, 1, every
        return True

    @property
    def tracks_between(self) -> bool:
        """Whether the faces of the last detection are to be tracked."""
        return self._interval > 1

    def report_duration(self, seconds: float) -> None:
        """Record how long a successful detection took; do not call it for a failed one."""
        self._durations.append(seconds)
        self._interval = self._next_interval

    def _affordable_interval(self) -> int:
        if not (self._durations and self._periods):
            return 1
        interval = math.ceil(median(self._durations) / (BUDGET * median(self._periods)))
        return min(max(interval, 1), MAX_INTERVAL)


class OpticalFlowTracker:
    """Median Flow (Kalal, Mikolajczyk and Matas, ICPR 2010) of all faces at once.

    Points in each box are tracked from one image to the next and back again. Those with the
    smallest forward-backward error determine by their medians how the box moved and grew.
    """

    def __init__(self) -> None:
        self._faces: list[Face] = []
        self._resized = self._grey = self._spare = None

    def start(self, image: np.ndarray, faces: list[Face]) -> None:
        """Track these faces from this image on, and no others.

        :param image: (H, W, 3) uint8 BGR.
        """
        self._faces = faces
        if faces:
            self._to_grey(image)

    def track(self, image: np.ndarray) -> list[Face]:
        """Return the faces at their new positions with their old scores, without the lost ones.

        :param image: (H, W, 3) uint8 BGR, the one after the last, of the same size.
        """
        if not self._faces:
            return []
        previous = self._grey
        current = self._to_grey(image)
        height, width = image.shape[:2]
        unit = np.array([width / current.shape[1], height / current.shape[0]])
        boxes = np.array([face.box for face in self._faces]).reshape(-1, 2, 2) / unit
        self._faces = [
            _move(face, unit * center, unit * target, scale)
            for face, center, target, scale in zip(
                self._faces, boxes[:, 0] + boxes[:, 1] / 2, *_flow(previous, current, boxes))
            if scale and (0 <= unit * target).all() and (unit * target <= (width, height)).all()]
        return self._faces

    def _to_grey(self, image: np.ndarray) -> np.ndarray:
        """Return the small grey image; the previous one stays valid."""
        height, width = image.shape[:2]
        scale = min(1.0, LONG_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size != (width, height):
            # Twice as fast as INTER_AREA, and no worse for optical flow.
            image = self._resized = cv2.resize(image, size, self._resized)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY, dst=self._spare)
        self._spare, self._grey = self._grey, grey
        return grey


def _move(face: Face, center: np.ndarray, target: np.ndarray, scale: float) -> Face:
    """Return the face with its center (2,) moved to target (2,) and its size scaled."""
    side = scale * np.array(face.box[2:])
    return Face(
        (*(target - side / 2).tolist(), *side.tolist()), face.score,
        None if face.landmarks is None else target + scale * (face.landmarks - center))


def _flow(previous: np.ndarray, current: np.ndarray, boxes: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 2) the new centers of boxes, and (N,) their scale; 0 for lost ones.

    :param boxes: (N, 2, 2) corner and sides in pixels of the grey images.
    """
    count = len(boxes)
    centers = boxes[:, 0] + boxes[:, 1] / 2
    # Points outside the image cannot be tracked: the grid covers only the part inside it.
    limit = np.array(current.shape[::-1]) - 1
    low = np.clip(centers - _INNER / 2 * boxes[:, 1], 0, limit)
    extent = np.clip(centers + _INNER / 2 * boxes[:, 1], 0, limit) - low
    steps = (np.arange(_POINTS) + 0.5) / _POINTS
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    points = (low[:, None] + grid * extent[:, None]).astype(np.float32)
    moved, forward_found, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, points.reshape(-1, 1, 2), None, **_FLOW)
    back, backward_found, _ = cv2.calcOpticalFlowPyrLK(current, previous, moved, None, **_FLOW)
    error = np.linalg.norm(back.reshape(points.shape) - points, axis=2)
    error[(forward_found & backward_found).reshape(error.shape) == 0] = np.inf
    half = error.shape[1] // 2
    best = np.argpartition(error, half - 1, axis=1)[:, :half, None]
    worst = np.take_along_axis(error, best[..., 0], axis=1).max(axis=1)
    points = np.take_along_axis(points, best, axis=1)
    moved = np.take_along_axis(moved.reshape(count, -1, 2), best, axis=1)
    i, j = np.triu_indices(half, 1)
    with np.errstate(divide='ignore', invalid='ignore'):
        scale = np.median(
            np.linalg.norm(moved[:, i] - moved[:, j], axis=2)
            / np.linalg.norm(points[:, i] - points[:, j], axis=2), axis=1)
    # Each point's vote for the new center. Scaling moves the points as well.
    votes = moved - scale[:, None, None] * (points - centers[:, None])
    targets = np.median(votes, axis=1)
    deviation = np.median(np.linalg.norm(votes - targets[:, None], axis=2), axis=1)
    good = (worst <= _MAX_ERROR) & (deviation <= _MAX_DEVIATION * boxes[:, 1].max(axis=1))
    good &= (extent.min(axis=1) >= _MIN_SIDE)
    good &= (scale <= _MAX_GROWTH) & (scale >= 1 / _MAX_GROWTH)
    return targets, np.where(good, scale, 0.0)
