"""One picture in, everybody's gaze out: the same for the nodes and for files."""
import math
from time import perf_counter
from typing import Optional

from gaze_ros.core.detectors import Detector
from gaze_ros.core.estimators import Estimator
from gaze_ros.core.faces import Estimate, Face, FrameGaze, Gaze
from gaze_ros.core.geometry import (
    angle_to_lens,
    assumed_camera_matrix,
    Calibration,
    gaze_direction,
    pixel_ray,
)
from gaze_ros.core.smoothing import Smoother
from gaze_ros.core.tracking import Tracker
import numpy as np


class Engine:
    """Detects, estimates, tracks and smooths. Not thread-safe: one thread, one stream.

    The attributes may be changed between frames.

    :ivar max_faces: the largest faces are kept; 0 for all.
    :ivar looking_at_camera_angle: radians from the lens below which a gaze counts as at it.
    :ivar horizontal_fov: radians, for :attr:`Gaze.direction` where no calibration is known.
    :ivar calibration: of the camera, or None where unknown.
    """

    def __init__(
            self, detector: Detector, estimator: Estimator, *, max_faces: int = 0,
            smoothing_time: float = 0.1, track_timeout: float = 0.5,
            looking_at_camera_angle: float = 0.25, horizontal_fov: float = 1.05) -> None:
        self.detector = detector
        self.estimator = estimator
        self.tracker = Tracker(track_timeout)
        self.smoother = Smoother(smoothing_time, track_timeout)
        self.max_faces = max_faces
        self.looking_at_camera_angle = looking_at_camera_angle
        self.horizontal_fov = horizontal_fov
        self.calibration: Optional[Calibration] = None

    def process(self, bgr: np.ndarray, stamp: float) -> FrameGaze:
        """Return the gazes of a picture, largest face first.

        :param bgr: (H, W, 3) uint8.
        :param stamp: capture time in seconds, of any epoch.
        """
        height, width = bgr.shape[:2]
        start = perf_counter()
        faces = self._visible(self.detector.detect(bgr), width, height)
        detected = perf_counter()
        estimates = self.estimator.estimate(bgr, faces)
        estimated = perf_counter()
        ids = self.tracker.update(faces, stamp)
        self.smoother.forget_old(stamp)
        calibration = self.calibration
        matrix = calibration and calibration.matrix_for(width, height)
        distortion = None if matrix is None else calibration.distortion
        if matrix is None:
            matrix = assumed_camera_matrix(width, height, self.horizontal_fov)
        gazes = [
            self._gaze(track_id, face, estimate, stamp,
                       pixel_ray(*face.center, matrix, distortion))
            for track_id, face, estimate in zip(ids, faces, estimates)]
        return FrameGaze(
            width, height, self.estimator.name, gazes, detected - start, estimated - detected)

    def close(self) -> None:
        """Free the model; no picture may follow."""
        self.estimator.close()

    def _visible(self, faces: list[Face], width: int, height: int) -> list[Face]:
        seen = []
        for face in faces:
            _, _, w, h = face.clipped(width, height)
            if w and h:
                seen.append((w * h, face))
        seen.sort(key=lambda pair: -pair[0])
        return [face for _, face in seen[:self.max_faces or None]]

    def _gaze(self, track_id: str, face: Face, estimate: Estimate, stamp: float,
              ray: np.ndarray) -> Gaze:
        if face.landmarks is None:
            face.landmarks = estimate.landmarks
        pitch, yaw = self.smoother.update(track_id, estimate.pitch, estimate.yaw, stamp)
        gaze = Gaze(track_id, face, pitch, yaw, estimate.pitch, estimate.yaw, estimate.confidence)
        if math.isfinite(pitch):
            gaze.direction = gaze_direction(pitch, yaw, ray)
            gaze.looking_at_camera = angle_to_lens(pitch, yaw) <= self.looking_at_camera_angle
        return gaze
