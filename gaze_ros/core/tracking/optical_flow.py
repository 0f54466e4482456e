"""Faces between two detections: when the detector is due, and where faces went meanwhile."""
from collections import deque
import math
from statistics import median

import cv2
from gaze_ros.core.types import Face
import numpy as np

#: Long side in pixels of the picture faces are followed in. Its resizing and two flows take 1 ms.
LONG_SIDE = 640

#: The detector may take this share of the time between two pictures where ``interval`` is 0.
BUDGET = 1 / 3
#: ... and runs on every tenth at least.
MAX_INTERVAL = 10

#: Detections and periods whose median is taken: one slow call, or one gap, does not count.
_KNOWN = 15

#: Points along each side of a box; the better half of them counts.
_POINTS = 5
#: Part of the box they are spread over: its rim shows what is behind the face.
_INNER = 0.9
#: Side in pixels of the small picture, below which a face has nothing to be followed by.
_SMALLEST = 4.0
#: A face is lost where the better half of its points come back further than this from where they
#: set out, in pixels of the small picture,
_COMES_BACK = 1.0
#: ... or the median of them goes elsewhere than the face by more than this part of its side,
_APART = 0.08
#: ... or it grows or shrinks by more than this factor from one picture to the next.
_GROWTH = 1.25

_FLOW = {'winSize': (11, 11), 'maxLevel': 3,
         'criteria': (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)}


class DetectionScheduler:
    """Says on which pictures the detector is to run."""

    def __init__(self) -> None:
        self._since = 0
        self._interval = self._wanted = 1
        self._shape: tuple[int, ...] = ()
        self._stamp = math.inf
        self._times: deque[float] = deque(maxlen=_KNOWN)
        self._periods: deque[float] = deque(maxlen=_KNOWN)

    def should_detect(self, interval: int, shape: tuple[int, ...], stamp: float) -> bool:
        """Count a picture and return whether the detector is to run on it.

        It is where the pictures change their size or their stamps go back.

        :param interval: it runs on every so many pictures; 0 for as often as :data:`BUDGET` lets.
        :param shape: of the picture.
        :param stamp: of the picture, seconds.
        """
        every = interval or self._affordable()
        follows = shape == self._shape and stamp >= self._stamp
        if follows and stamp > self._stamp:
            self._periods.append(stamp - self._stamp)
        self._shape, self._stamp = shape, stamp
        self._since += 1
        # Where the interval was 1 nothing is followed yet, whatever it has become.
        if follows and self._since < min(every, self._interval):
            return False
        # Till the detection has succeeded there is nothing to follow.
        self._since, self._interval, self._wanted = 0, 1, every
        return True

    @property
    def tracks_between(self) -> bool:
        """Whether faces of the last picture that was due are to be followed."""
        return self._interval > 1

    def report_duration(self, seconds: float) -> None:
        """Learn what the detection that was due took; one that failed is not told."""
        self._times.append(seconds)
        self._interval = self._wanted

    def _affordable(self) -> int:
        if not (self._times and self._periods):
            return 1
        return min(max(math.ceil(median(self._times) / (BUDGET * median(self._periods))), 1), MAX_INTERVAL)


class OpticalFlowTracker:
    """Median Flow (Kalal, Mikolajczyk and Matas, ICPR 2010) of all faces at once.

    Points in a box are followed from picture to picture and back again. Those that come back
    best say how far the box moved and how much it grew, by their medians.
    """

    def __init__(self) -> None:
        self._faces: list[Face] = []
        self._colour = self._grey = self._spare = None

    def start(self, bgr: np.ndarray, faces: list[Face]) -> None:
        """Follow these faces from this picture on, and no others.

        :param bgr: (H, W, 3) uint8.
        """
        self._faces = faces
        if faces:
            self._see(bgr)

    def track(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces where they are now, with the scores they had; the lost are left out.

        :param bgr: (H, W, 3) uint8, the picture after the last one, of the same size.
        """
        if not self._faces:
            return []
        before = self._grey
        now = self._see(bgr)
        height, width = bgr.shape[:2]
        unit = np.array([width / now.shape[1], height / now.shape[0]])
        boxes = np.array([face.box for face in self._faces]).reshape(-1, 2, 2) / unit
        self._faces = [
            _moved(face, unit * center, unit * there, scale)
            for face, center, there, scale in zip(
                self._faces, boxes[:, 0] + boxes[:, 1] / 2, *_flow(before, now, boxes))
            if scale and (0 <= unit * there).all() and (unit * there <= (width, height)).all()]
        return self._faces

    def _see(self, bgr: np.ndarray) -> np.ndarray:
        """Return the small grey picture; that of the picture before stays valid."""
        height, width = bgr.shape[:2]
        scale = min(1.0, LONG_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size != (width, height):
            # Twice as fast as by area, and flow does not mind.
            bgr = self._colour = cv2.resize(bgr, size, self._colour)
        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY, dst=self._spare)
        self._spare, self._grey = self._grey, grey
        return grey


def _moved(face: Face, center: np.ndarray, there: np.ndarray, scale: float) -> Face:
    """Return a face whose centre goes there and which grows by scale."""
    side = scale * np.array(face.box[2:])
    return Face(
        (*(there - side / 2).tolist(), *side.tolist()), face.score,
        None if face.landmarks is None else there + scale * (face.landmarks - center))


def _flow(before: np.ndarray, now: np.ndarray, boxes: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 2) where the centres of boxes went, and (N,) how much they grew; 0 of the lost.

    :param boxes: (N, 2, 2) corner and sides in pixels of the pictures.
    """
    count = len(boxes)
    centers = boxes[:, 0] + boxes[:, 1] / 2
    # Points outside a picture cannot be followed: they are spread over what is inside.
    most = np.array(now.shape[::-1]) - 1
    low = np.clip(centers - _INNER / 2 * boxes[:, 1], 0, most)
    extent = np.clip(centers + _INNER / 2 * boxes[:, 1], 0, most) - low
    part = (np.arange(_POINTS) + 0.5) / _POINTS
    grid = np.stack(np.meshgrid(part, part), axis=-1).reshape(-1, 2)
    points = (low[:, None] + grid * extent[:, None]).astype(np.float32)
    to, found, _ = cv2.calcOpticalFlowPyrLK(
        before, now, points.reshape(-1, 1, 2), None, **_FLOW)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(now, before, to, None, **_FLOW)
    error = np.linalg.norm(back.reshape(points.shape) - points, axis=2)
    error[(found & returned).reshape(error.shape) == 0] = np.inf
    half = error.shape[1] // 2
    best = np.argpartition(error, half - 1, axis=1)[:, :half, None]
    worst = np.take_along_axis(error, best[..., 0], axis=1).max(axis=1)
    points = np.take_along_axis(points, best, axis=1)
    to = np.take_along_axis(to.reshape(count, -1, 2), best, axis=1)
    i, j = np.triu_indices(half, 1)
    with np.errstate(divide='ignore', invalid='ignore'):
        scale = np.median(
            np.linalg.norm(to[:, i] - to[:, j], axis=2)
            / np.linalg.norm(points[:, i] - points[:, j], axis=2), axis=1)
    # Where each point says the centre is now. Growing moves a point, too.
    said = to - scale[:, None, None] * (points - centers[:, None])
    there = np.median(said, axis=1)
    apart = np.median(np.linalg.norm(said - there[:, None], axis=2), axis=1)
    good = (worst <= _COMES_BACK) & (apart <= _APART * boxes[:, 1].max(axis=1))
    good &= (extent.min(axis=1) >= _SMALLEST) & (scale <= _GROWTH) & (scale >= 1 / _GROWTH)
    return there, np.where(good, scale, 0.0)
