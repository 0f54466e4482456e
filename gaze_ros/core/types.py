"""What detectors and estimators hand on: faces and where they look."""
from dataclasses import dataclass, field
import math
from typing import Optional

import numpy as np

#: Order of the five landmarks, the one RetinaFace and YuNet use. Right and left are the subject's.
LANDMARK_NAMES = ('right_eye', 'left_eye', 'nose', 'mouth_right', 'mouth_left')


@dataclass(slots=True)
class Face:
    """A face found in a picture.

    :ivar box: x, y, width, height in pixels; may reach past the border of the picture.
    :ivar score: detection score, 0..1.
    :ivar landmarks: (5, 2) pixels in the order of :data:`LANDMARK_NAMES`, or None.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: Optional[np.ndarray] = None

    @property
    def center(self) -> tuple[float, float]:
        """Centre of the box in pixels."""
        x, y, w, h = self.box
        return x + w / 2, y + h / 2

    def clipped(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return x, y, w, h as whole pixels inside a width x height picture.

        A box wholly outside comes back with no area, on the nearest border.
        """
        x, y, w, h = self.box
        # Not round(): it takes 1.5 and 2.5 to the same 2, and a pixel between them vanishes.
        left, right = (min(max(math.floor(v + 0.5), 0), width) for v in (x, x + w))
        top, bottom = (min(max(math.floor(v + 0.5), 0), height) for v in (y, y + h))
        return left, top, max(right - left, 0), max(bottom - top, 0)


@dataclass(slots=True)
class Estimate:
    """Where one face looks, as an estimator tells it.

    :ivar pitch: radians, > 0 up; NaN where it cannot be told.
    :ivar yaw: radians, > 0 toward the right of the picture; NaN where it cannot be told.
        (0, 0) looks into the lens, wherever in the picture the face is.
    :ivar confidence: 0..1; 0 exactly where the angles are NaN.
    :ivar landmarks: (5, 2) pixels where the estimator finds them, or None.
    """

    pitch: float = math.nan
    yaw: float = math.nan
    confidence: float = 0.0
    landmarks: Optional[np.ndarray] = None


@dataclass(slots=True)
class Gaze:
    """One person in one frame: the face, its track and where it looks.

    Angles as in :class:`Estimate`: smoothed in ``pitch`` and ``yaw``, as estimated in
    ``raw_pitch`` and ``raw_yaw``.

    :ivar direction: (3,) unit vector in the camera optical frame (x right, y down, z forward).
    :ivar origin: (3,) the middle between the eyes in the same frame, meters.
    :ivar range_stddev: how far off it may be along the ray from the lens, meters, one sigma.
    :ivar orientation: (4,) quaternion x, y, z, w of the face in the same frame: x out of the
        face, y to the person's left, z up (REP-155).
    """

    track_id: str
    face: Face
    pitch: float = math.nan
    yaw: float = math.nan
    raw_pitch: float = math.nan
    raw_yaw: float = math.nan
    confidence: float = 0.0
    direction: np.ndarray = field(default_factory=lambda: np.full(3, math.nan))
    looking_at_camera: bool = False
    origin: np.ndarray = field(default_factory=lambda: np.full(3, math.nan))
    range_stddev: float = math.nan
    orientation: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0]))


@dataclass(slots=True)
class FrameGaze:
    """All gazes of one picture, with what they cost.

    :ivar width: of the picture, pixels.
    :ivar height: of the picture, pixels.
    :ivar detection_time: seconds spent on finding faces.
    :ivar estimation_time: seconds spent on their gaze.
    :ivar calibrated: whether rays went by a calibration of the camera.
    """

    width: int
    height: int
    model: str
    gazes: list[Gaze]
    detection_time: float = 0.0
    estimation_time: float = 0.0
    calibrated: bool = False


@dataclass(slots=True)
class TrackedFaces:
    """The people in a picture, before it is known where they look.

    :ivar bgr: (H, W, 3) uint8, the picture itself, not a copy.
    :ivar stamp: capture time, seconds.
    :ivar tracked: each face with its id, largest first.
    :ivar detection_time: seconds spent on finding them.
    """

    image: np.ndarray
    stamp: float
    tracked: list[tuple[str, Face]]
    detection_time: float
