"""Data types that detectors, estimators and the engine exchange: faces and gazes."""
from dataclasses import dataclass, field
import math
from typing import Optional

from gaze_ros.core.stream_time import Instant
import numpy as np

#: Order of the five landmarks, as in RetinaFace and YuNet. Right and left are the subject's.
LANDMARK_NAMES = ('right_eye', 'left_eye', 'nose', 'mouth_right', 'mouth_left')


@dataclass(slots=True)
class Face:
    """A face detected in an image.

    :ivar box: x, y, width, height in pixels; may extend beyond the image.
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
        """Return the box clipped to a width x height image as integer x, y, w, h.

        A box entirely outside the image is returned with zero area, on the nearest border.
        """
        x, y, w, h = self.box
        # Not round(): it rounds 1.5 and 2.5 both to 2, so a pixel between them is lost.
        left, right = (min(max(math.floor(v + 0.5), 0), width) for v in (x, x + w))
        top, bottom = (min(max(math.floor(v + 0.5), 0), height) for v in (y, y + h))
        return left, top, max(right - left, 0), max(bottom - top, 0)


@dataclass(slots=True)
class Estimate:
    """The gaze of one face, as returned by an estimator.

    :ivar pitch: radians, > 0 up; NaN if unknown.
    :ivar yaw: radians, > 0 toward the right of the image; NaN if unknown. (0, 0) looks into the
        lens, wherever the face is in the image.
    :ivar confidence: 0..1; 0 exactly where the angles are NaN.
    :ivar landmarks: (5, 2) pixels if the estimator finds them, else None.
    :ivar stddev: standard deviation of the gaze, radians: 68 % of the angles between the estimate
        and the true gaze are smaller. NaN if the gaze is unknown or the model has none.
    :ivar head_rotation: (3, 3) rotation of the head, columns the person's left, up and out of the
        face, in axes right, up, toward the lens along the ray; None if the model does not
        estimate it. It may be known where the gaze is not.
    :ivar head_stddev: standard deviation of the direction of the face, radians, as ``stddev``.
    :ivar eye_openness: of the person's left and right eye, 0 shut .. 1 open; NaN if unknown.
    """

    pitch: float = math.nan
    yaw: float = math.nan
    confidence: float = 0.0
    landmarks: Optional[np.ndarray] = None
    stddev: float = math.nan
    head_rotation: Optional[np.ndarray] = None
    head_stddev: float = math.nan
    eye_openness: tuple[float, float] = (math.nan, math.nan)


@dataclass(slots=True)
class Gaze:
    """One person in one image: the face, its track and its gaze.

    Angles as in :class:`Estimate`: ``pitch`` and ``yaw`` are smoothed, ``raw_pitch`` and
    ``raw_yaw`` are as estimated.

    :ivar direction: (3,) unit vector in the camera optical frame (x right, y down, z forward).
    :ivar origin: (3,) midpoint between the eyes in the same frame, meters.
    :ivar range_stddev: standard deviation of the distance from the lens to ``origin``, meters.
    :ivar orientation: (4,) quaternion x, y, z, w of the face in the same frame: x out of the
        face, y to the person's left, z up (REP-155).
    :ivar stddev: standard deviation of the gaze, radians; see :class:`Estimate`.
    :ivar head_pitch: of ``orientation`` relative to the ray to the lens, radians, > 0 up; NaN if
        the orientation is unknown.
    :ivar head_yaw: the same, > 0 toward the right of the image.
    :ivar head_roll: the same, > 0 clockwise in the image.
    :ivar head_stddev: standard deviation of the direction of the face, radians.
    :ivar eye_openness: of the person's left and right eye, 0 shut .. 1 open; NaN if unknown.
    :ivar blink_start: stamp at which both eyes were last shut, seconds; 0 if never.
    :ivar blink_duration: how long they were, or have been, shut, seconds.
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
    stddev: float = math.nan
    head_pitch: float = math.nan
    head_yaw: float = math.nan
    head_roll: float = math.nan
    head_stddev: float = math.nan
    eye_openness: tuple[float, float] = (math.nan, math.nan)
    blink_start: float = 0.0
    blink_duration: float = 0.0


@dataclass(slots=True)
class FrameGaze:
    """All gazes of one image, and the processing times.

    :ivar width: image width, pixels.
    :ivar height: image height, pixels.
    :ivar model: name of the gaze model.
    :ivar gazes: one per tracked face, largest face first.
    :ivar detection_time: seconds spent on detecting or tracking the faces.
    :ivar estimation_time: seconds spent on estimating their gaze.
    :ivar calibrated: whether rays were computed from a camera calibration.
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
    """The faces in an image with their track ids, before their gaze is estimated.

    :ivar image: (H, W, 3) uint8 BGR, not a copy.
    :ivar instant: when it was captured.
    :ivar tracked: track id and face, largest face first.
    :ivar detection_time: seconds spent on detecting or tracking them.
    """

    image: np.ndarray
    instant: Instant
    tracked: list[tuple[str, Face]]
    detection_time: float
