"""One picture in, everybody's gaze out: the same for the nodes and for files."""
from collections.abc import Mapping
from dataclasses import fields
import math
from time import perf_counter
from typing import Optional

from gaze_ros.core.detectors import create_detector, Detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Estimator, Settings
from gaze_ros.core.faces import Estimate, Face, FrameGaze, Gaze
from gaze_ros.core.geometry import (
    angle_to_lens,
    assumed_camera_matrix,
    Calibration,
    gaze_direction,
    pixel_ray,
)
from gaze_ros.core.parameters import GAZE, Value
from gaze_ros.core.smoothing import Smoother
from gaze_ros.core.tracking import Tracker
import numpy as np

#: Faces are looked for down to this share of min_score: a face that turns away or is half hidden
#: still goes on with its track. What starts none is left out.
_LOW_SCORES = 0.5


class Engine:
    """Detects, estimates, tracks and smooths. Not thread-safe: one thread, one stream.

    The attributes may be changed between frames.

    :ivar min_score: faces scored lower are left out, 0..1, save for those half as good that go on
        with a track. The detector's own is set by it.
    :ivar max_faces: the largest faces are kept; 0 for all.
    :ivar looking_at_camera_angle: radians from the lens below which a gaze counts as at it.
    :ivar horizontal_fov: radians, for :attr:`Gaze.direction` where no calibration is known.
    :ivar calibration: of the camera, or None where unknown.
    """

    def __init__(
            self, detector: Detector, estimator: Estimator, *, min_score: float = 0.65,
            max_faces: int = 0, smoothing_time: float = 0.2, smoothing_beta: float = 1.5,
            track_timeout: float = 1.0, looking_at_camera_angle: float = 0.25,
            horizontal_fov: float = 1.05) -> None:
        self.detector = detector
        self.estimator = estimator
        self.tracker = Tracker(track_timeout)
        self.smoother = Smoother(smoothing_time, track_timeout, smoothing_beta)
        self.min_score = min_score
        self.max_faces = max_faces
        self.looking_at_camera_angle = looking_at_camera_angle
        self.horizontal_fov = horizontal_fov
        self.calibration: Optional[Calibration] = None

    @property
    def description(self) -> str:
        """What does the work, for the log: model, runtime, device, precision, detector."""
        return (f'model {self.estimator.name} ({self.estimator.running}), '
                f'faces by {self.detector.name}')

    def process(self, bgr: np.ndarray, stamp: float) -> FrameGaze:
        """Return the gazes of a picture, largest face first.

        :param bgr: (H, W, 3) uint8.
        :param stamp: capture time in seconds, of any epoch.
        """
        height, width = bgr.shape[:2]
        start = perf_counter()
        self.detector.min_score = _LOW_SCORES * self.min_score
        tracked = self._tracked(self.detector.detect(bgr), width, height, stamp)
        faces = [face for _, face in tracked]
        detected = perf_counter()
        estimates = self.estimator.estimate(bgr, faces)
        estimated = perf_counter()
        self.smoother.forget_old(stamp)
        calibration = self.calibration
        matrix = calibration and calibration.matrix_for(width, height)
        distortion = None if matrix is None else calibration.distortion
        if matrix is None:
            matrix = assumed_camera_matrix(width, height, self.horizontal_fov)
        gazes = [
            self._gaze(track_id, face, estimate, stamp,
                       pixel_ray(*face.center, matrix, distortion))
            for (track_id, face), estimate in zip(tracked, estimates)]
        return FrameGaze(
            width, height, self.estimator.name, gazes, detected - start, estimated - detected)

    def close(self) -> None:
        """Free the detector and the model; no picture may follow."""
        self.detector.close()
        self.estimator.close()

    def _tracked(self, faces: list[Face], width: int, height: int, stamp: float
                 ) -> list[tuple[str, Face]]:
        """Return the faces that are told, largest first, each with its id."""
        seen = []
        for face in faces:
            _, _, w, h = face.clipped(width, height)
            if w and h:
                seen.append((w * h, face))
        seen.sort(key=lambda pair: -pair[0])
        faces = [face for _, face in seen]
        ids = self.tracker.update(faces, stamp, self.min_score)
        return [(track_id, face) for track_id, face in zip(ids, faces) if track_id][
            :self.max_faces or None]

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


def create_engine(values: Mapping[str, Value]) -> Engine:
    """Return an engine with its detector and its model loaded.

    :param values: of the parameters of :data:`gaze_ros.core.parameters.GAZE`; what is not there
        is at its default.
    :raises ModelError: if the detector or the model cannot be loaded.
    """
    v = {spec.name: spec.default for spec in GAZE} | dict(values)
    detector = create_detector(
        v['detector'], weight=v['detector_weight'], threads=v['threads'])
    try:
        estimator = create_estimator(v['model'], Settings(**{
            field.name: v[field.name] for field in fields(Settings)}))
    except ModelError:
        detector.close()
        raise
    return Engine(
        detector, estimator, **{name: v[name] for name in (
            'min_score', 'max_faces', 'smoothing_time', 'smoothing_beta', 'track_timeout',
            'looking_at_camera_angle', 'horizontal_fov')})
