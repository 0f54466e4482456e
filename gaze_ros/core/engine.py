"""One picture in, everybody's gaze out: the same for the nodes and for files."""
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
import math
from time import perf_counter
from typing import Optional

from gaze_ros.core.detectors import create_detector, Detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Estimator, Settings
from gaze_ros.core.faces import Estimate, Face, FrameGaze, Gaze
from gaze_ros.core.following import Follower, Schedule
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


@dataclass(slots=True)
class Sighting:
    """The people in a picture, before it is known where they look.

    :ivar bgr: (H, W, 3) uint8, the picture itself, not a copy.
    :ivar stamp: capture time, seconds.
    :ivar tracked: each face with its id, largest first.
    :ivar detection_time: seconds spent on finding them.
    """

    bgr: np.ndarray
    stamp: float
    tracked: list[tuple[str, Face]]
    detection_time: float


class Engine:
    """Detects or follows, tracks, estimates and smooths the faces of one stream.

    It has two halves that share nothing: :meth:`find` and :meth:`gaze`. Each is to be called by
    one thread at a time, with the pictures in their order; the halves may be in two threads, so
    that faces of the next picture are looked for while those of this one are estimated.

    The attributes may be changed at any time, from any thread; each picture takes them as they are
    when its half begins.

    Of the half that finds:

    :ivar detector: what finds faces; ``tracker``, ``follower`` and ``schedule`` likewise.
    :ivar min_score: faces scored lower are left out, 0..1, save for those half as good that go on
        with a track. The detector's own is set by it.
    :ivar max_faces: the largest faces are kept; 0 for all.
    :ivar detect_interval: the detector runs on every so many pictures, and the faces are followed
        in between; 0 for as often as it may take a third of the time between two pictures.

    Of the half that gazes:

    :ivar estimator: what tells the gaze; ``smoother`` likewise.
    :ivar looking_at_camera_angle: radians from the lens below which a gaze counts as at it.
    :ivar horizontal_fov: radians, for :attr:`Gaze.direction` where no calibration is known.
    :ivar calibration: of the camera, or None where unknown.
    """

    def __init__(
            self, detector: Detector, estimator: Estimator, *, min_score: float = 0.65,
            max_faces: int = 0, detect_interval: int = 1, smoothing_time: float = 0.2,
            smoothing_beta: float = 1.5, track_timeout: float = 1.0,
            looking_at_camera_angle: float = 0.25, horizontal_fov: float = 1.05) -> None:
        self.detector = detector
        self.estimator = estimator
        self.tracker = Tracker(track_timeout)
        self.follower = Follower()
        self.schedule = Schedule()
        self.smoother = Smoother(smoothing_time, track_timeout, smoothing_beta)
        self.min_score = min_score
        self.max_faces = max_faces
        self.detect_interval = detect_interval
        self.looking_at_camera_angle = looking_at_camera_angle
        self.horizontal_fov = horizontal_fov
        self.calibration: Optional[Calibration] = None

    @property
    def description(self) -> str:
        """What does the work, for the log: model, runtime, device, precision, detector."""
        return (f'model {self.estimator.name} ({self.estimator.running}), '
                f'faces by {self.detector.name}')

    def warm_up(self) -> None:
        """Run the detector and the model once, so that the first picture is not the slowest.

        With pictures of 4:3 and of 16:9: a detector may be made ready for a shape when it first
        sees it. Tracks, schedule and smoothing do not learn of it.
        """
        for width, height in ((640, 480), (1280, 720)):
            black = np.zeros((height, width, 3), np.uint8)
            self.detector.detect(black)
        side = height / 2
        self.estimator.estimate(
            black, [Face(((width - side) / 2, (height - side) / 2, side, side), 1.0)])

    def process(self, bgr: np.ndarray, stamp: float) -> FrameGaze:
        """Return the gazes of a picture, largest face first: both halves in one.

        :param bgr: (H, W, 3) uint8.
        :param stamp: capture time in seconds, of any epoch.
        """
        return self.gaze(self.find(bgr, stamp))

    def find(self, bgr: np.ndarray, stamp: float) -> Sighting:
        """Return who is in a picture, largest face first.

        :param bgr: (H, W, 3) uint8; must not change until :meth:`gaze` is done with it.
        :param stamp: capture time in seconds, of any epoch.
        """
        start = perf_counter()
        detecting = self.schedule.due(self.detect_interval, bgr.shape, stamp)
        if detecting:
            self.detector.min_score = _LOW_SCORES * self.min_score
            faces = self.detector.detect(bgr)
            self.schedule.took(perf_counter() - start)
        else:
            faces = self.follower.follow(bgr)
        tracked = self._tracked(faces, bgr, stamp)
        if detecting and self.schedule.following:
            self.follower.start(bgr, [face for _, face in tracked])
        return Sighting(
            bgr, stamp, tracked[:self.max_faces or None], perf_counter() - start)

    def gaze(self, sighting: Sighting) -> FrameGaze:
        """Return where those who were found look, in their order.

        :param sighting: what :meth:`find` returned; it is not changed.
        """
        start = perf_counter()
        height, width = sighting.bgr.shape[:2]
        estimates = self.estimator.estimate(
            sighting.bgr, [face for _, face in sighting.tracked])
        estimated = perf_counter()
        self.smoother.forget_old(sighting.stamp)
        calibration = self.calibration
        matrix = calibration and calibration.matrix_for(width, height)
        distortion = None if matrix is None else calibration.distortion
        if matrix is None:
            matrix = assumed_camera_matrix(width, height, self.horizontal_fov)
        gazes = [
            self._gaze(track_id, face, estimate, sighting.stamp,
                       pixel_ray(*face.center, matrix, distortion))
            for (track_id, face), estimate in zip(sighting.tracked, estimates)]
        return FrameGaze(width, height, self.estimator.name, gazes, sighting.detection_time,
                         estimated - start)

    def close(self) -> None:
        """Free the detector and the model; no picture may follow."""
        self.detector.close()
        self.estimator.close()

    def _tracked(self, faces: list[Face], bgr: np.ndarray, stamp: float
                 ) -> list[tuple[str, Face]]:
        """Return the faces that have an id, largest first."""
        height, width = bgr.shape[:2]
        seen = []
        for face in faces:
            _, _, w, h = face.clipped(width, height)
            if w and h:
                seen.append((w * h, face))
        seen.sort(key=lambda pair: -pair[0])
        faces = [face for _, face in seen]
        ids = self.tracker.update(faces, stamp, self.min_score)
        return [(track_id, face) for track_id, face in zip(ids, faces) if track_id]

    def _gaze(self, track_id: str, face: Face, estimate: Estimate, stamp: float,
              ray: np.ndarray) -> Gaze:
        if face.landmarks is None:
            face = replace(face, landmarks=estimate.landmarks)
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
            'min_score', 'max_faces', 'detect_interval', 'smoothing_time', 'smoothing_beta',
            'track_timeout', 'looking_at_camera_angle', 'horizontal_fov')})
