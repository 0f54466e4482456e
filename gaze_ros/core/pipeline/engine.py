"""One picture in, everybody's gaze out: the same for the nodes and for files."""
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from inspect import signature
import logging
import math
from threading import Lock
from time import perf_counter
from typing import Any, Optional

from gaze_ros.core.attention.debounce import LookingAtCamera
from gaze_ros.core.detectors import create_detector, Detector
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.estimators import create_estimator, Estimator, Settings
from gaze_ros.core.geometry.camera_model import (
    angle_to_lens,
    Calibration,
    gaze_direction,
    lens_for,
)
from gaze_ros.core.geometry.head_pose import estimate_head_poses, HeadPose
from gaze_ros.core.parameters import GAZE, Value
from gaze_ros.core.pipeline.hot_swap import HotSwap
from gaze_ros.core.tracking.one_euro import OneEuroSmoother
from gaze_ros.core.tracking.optical_flow import DetectionScheduler, OpticalFlowTracker
from gaze_ros.core.tracking.tracker import Tracker
from gaze_ros.core.types import Estimate, Face, FrameGaze, Gaze, TrackedFaces
import numpy as np

_log = logging.getLogger(__name__)

#: The parameters that a detector, and those that a model is loaded by.
DETECTOR_PARAMETERS = frozenset({'detector', 'detector_weight', 'threads'})
ESTIMATOR_PARAMETERS = frozenset({'model', *(field.name for field in fields(Settings))})

#: Pictures a detector is warmed up with, 4:3 and 16:9: it may be made ready for a shape when it
#: first sees it.
_WARM_UP_SIZES = (640, 480), (1280, 720)


@dataclass
class Models:
    """A detector, a model or both; None for the one that is not to change."""

    detector: Optional[Detector] = None
    estimator: Optional[Estimator] = None

    def warm_up(self) -> None:
        """Run each once, so that the first picture is not the slowest."""
        for width, height in _WARM_UP_SIZES:
            black = np.zeros((height, width, 3), np.uint8)
            if self.detector is not None:
                self.detector.detect(black)
        if self.estimator is not None:
            side = height / 2
            self.estimator.estimate(
                black, [Face(((width - side) / 2, (height - side) / 2, side, side), 1.0)])

    def close(self) -> None:
        """Free what was loaded."""
        for part in (self.detector, self.estimator):
            if part is not None:
                part.close()


def load_models(
        values: Mapping[str, Value],
        changed: Collection[str] = DETECTOR_PARAMETERS | ESTIMATOR_PARAMETERS) -> Models:
    """Load the parts that some parameters concern.

    :param values: of all parameters of the gaze node.
    :param changed: names of those parameters.
    :raises ModelError: if the detector or the model cannot be loaded; nothing stays loaded.
    """
    parts = Models()
    try:
        if not DETECTOR_PARAMETERS.isdisjoint(changed):
            parts.detector = create_detector(
                values['detector'], weight=values['detector_weight'], threads=values['threads'])
        if not ESTIMATOR_PARAMETERS.isdisjoint(changed):
            parts.estimator = create_estimator(values['model'], Settings(**{
                field.name: values[field.name] for field in fields(Settings)}))
    except BaseException:
        parts.close()
        raise
    return parts


#: Parameters that can change, and the attributes they are: of the engine, or of a part of it.
_ATTRIBUTES = {
    **{name: (('', name),) for name in (
        'min_score', 'max_faces', 'detect_interval', 'looking_at_camera_angle',
        'looking_at_camera_hysteresis', 'looking_at_camera_dwell', 'interpupillary_distance',
        'horizontal_fov')},
    'smoothing_time': (('smoother', 'time'),), 'smoothing_beta': (('smoother', 'beta'),),
    'track_timeout': (('tracker', 'timeout'), ('smoother', 'timeout')),
    'track_prefix': (('tracker', 'prefix'),)}


class PendingParameters:
    """The newest value of each parameter that changed, until it is taken.

    :ivar forgetting: whether all tracks are to be forgotten.
    """

    def __init__(self) -> None:
        self.reset_tracks = False
        self._values: dict[str, Value] = {}
        self._lock = Lock()

    def add(self, values: Mapping[str, Value]) -> None:
        """Leave values, from any thread; of parameters that are none of an engine's, too."""
        with self._lock:
            self._values.update(values)

    def apply(self, engine: Any) -> None:
        """Give an engine those that are its own, in the thread that works with it."""
        if self.reset_tracks:
            self.reset_tracks = False
            engine.tracker.forget()
            engine.follower, engine.schedule = OpticalFlowTracker(), DetectionScheduler()
        if not self._values:
            return
        with self._lock:
            values, self._values = self._values, {}
        for name, value in values.items():
            for part, attribute in _ATTRIBUTES.get(name, ()):
                setattr(getattr(engine, part) if part else engine, attribute, value)


#: Faces are looked for down to this share of min_score: a face that turns away or is half hidden
#: still goes on with its track. What starts none is left out.
_LOW_SCORES = 0.5


class Engine:
    """Detects or follows, tracks, estimates and smooths the faces of one stream.

    It has two halves that share nothing: :meth:`find` and :meth:`gaze`. Each is to be called by
    one thread at a time, with the pictures in their order; the halves may be in two threads, so
    that faces of the next picture are looked for while those of this one are estimated.

    The attributes may be changed at any time, from any thread; each picture takes them as they are
    when its half begins.

    Of the half that finds:

    :ivar tracker: gives faces their ids; ``follower`` and ``schedule`` likewise.
    :ivar min_score: faces scored lower are left out, 0..1, save for those half as good that go on
        with a track. The detector's own is set by it.
    :ivar max_faces: the largest faces are kept; 0 for all.
    :ivar detect_interval: the detector runs on every so many pictures, and the faces are followed
        in between; 0 for as often as it may take a third of the time between two pictures.

    Of the half that gazes:

    :ivar smoother: of the angles and of the heads.
    :ivar looking_at_camera_angle: radians from the lens below which a gaze counts as at it;
        ``looking_at_camera_hysteresis`` (radians) and ``looking_at_camera_dwell`` (seconds): see
        :class:`gaze_ros.core.attention.debounce.LookingAtCamera`.
    :ivar interpupillary_distance: how far apart everybody's eyes are, meters; ranges go by it.
    :ivar horizontal_fov: radians, assumed where no calibration is known or fits the picture.
    :ivar calibration: of the camera, or None where unknown.
    """

    def __init__(
            self, detector: Detector, estimator: Estimator, *, min_score: float = 0.65,
            max_faces: int = 0, detect_interval: int = 1, smoothing_time: float = 0.2,
            smoothing_beta: float = 1.5, track_timeout: float = 1.0,
            track_prefix: str = 'f',
            looking_at_camera_angle: float = 0.25,
            looking_at_camera_hysteresis: float = 0.05, looking_at_camera_dwell: float = 0.2,
            interpupillary_distance: float = 0.063, horizontal_fov: float = 1.05) -> None:
        self._detector = HotSwap(detector)
        self._estimator = HotSwap(estimator)
        self._pending = PendingParameters()
        self.tracker = Tracker(track_timeout, track_prefix)
        self.optical_flow = OpticalFlowTracker()
        self.scheduler = DetectionScheduler()
        self.smoother = OneEuroSmoother(smoothing_time, track_timeout, smoothing_beta)
        self.min_score = min_score
        self.max_faces = max_faces
        self.detect_interval = detect_interval
        self.looking_at_camera_angle = looking_at_camera_angle
        self.looking_at_camera_hysteresis = looking_at_camera_hysteresis
        self.looking_at_camera_dwell = looking_at_camera_dwell
        self._at_camera = LookingAtCamera()
        self.interpupillary_distance = interpupillary_distance
        self.horizontal_fov = horizontal_fov
        self.calibration: Optional[Calibration] = None
        #: Whether the last picture's rays went by the calibration; None before the first.
        self.calibrated: Optional[bool] = None
        self._log_throttle = LogThrottle()

    @property
    def description(self) -> str:
        """What does the work, for the log: model, runtime, device, precision, detector."""
        estimator = self._estimator.newest
        return (f'model {estimator.name} ({estimator.running}), '
                f'faces by {self._detector.newest.name}')

    @property
    def detector(self) -> Detector:
        """What finds faces."""
        return self._detector.current

    @property
    def estimator(self) -> Estimator:
        """What tells the gaze."""
        return self._estimator.current

    def swap_models(self, parts: Models) -> None:
        """Go on with another detector or model from the next picture on; the old one is closed.

        From any thread, as often as need be.

        :param parts: they belong to the engine from here on.
        """
        if parts.detector is not None:
            self._detector.replace(parts.detector)
        if parts.estimator is not None:
            self._estimator.replace(parts.estimator)

    def set_parameters(self, values: Mapping[str, Value]) -> None:
        """Take new values of parameters before the next picture, from any thread."""
        self._pending.add(values)

    def reset_tracks(self) -> int:
        """Forget all tracks before the next picture: everybody in it gets an id never given.

        From any thread.

        :returns: how many tracks there are at present.
        """
        self._pending.reset_tracks = True
        return len(self.tracker)

    def warm_up(self) -> None:
        """Run the detector and the model once, so that the first picture is not the slowest.

        Tracks, schedule and smoothing do not learn of it.
        """
        Models(self.detector, self.estimator).warm_up()

    def process(self, bgr: np.ndarray, stamp: float) -> FrameGaze:
        """Return the gazes of a picture, largest face first: both halves in one.

        :param bgr: (H, W, 3) uint8.
        :param stamp: capture time in seconds, of any epoch.
        """
        return self.estimate(self.detect(bgr, stamp))

    def detect(self, bgr: np.ndarray, stamp: float) -> TrackedFaces:
        """Return who is in a picture, largest face first.

        :param bgr: (H, W, 3) uint8; must not change until :meth:`gaze` is done with it.
        :param stamp: capture time in seconds, of any epoch.
        """
        start = perf_counter()
        detector = self._detector.acquire()
        self._pending.apply(self)
        detecting = self.scheduler.should_detect(self.detect_interval, bgr.shape, stamp)
        if detecting:
            detector.min_score = _LOW_SCORES * self.min_score
            faces = detector.detect(bgr)
            self.scheduler.report_duration(perf_counter() - start)
        else:
            faces = self.optical_flow.track(bgr)
        tracked = self._tracked(faces, bgr, stamp)
        if detecting and self.scheduler.tracks_between:
            self.optical_flow.start(bgr, [face for _, face in tracked])
        return TrackedFaces(
            bgr, stamp, tracked[:self.max_faces or None], perf_counter() - start)

    def estimate(self, sighting: TrackedFaces) -> FrameGaze:
        """Return where those who were found look, in their order.

        :param sighting: what :meth:`find` returned; it is not changed.
        """
        start = perf_counter()
        height, width = sighting.image.shape[:2]
        estimator = self._estimator.acquire()
        estimates = estimator.estimate(sighting.image, [face for _, face in sighting.tracked])
        estimated = perf_counter()
        self.smoother.prune(sighting.stamp)
        faces = [
            face if face.landmarks is not None else replace(face, landmarks=estimate.landmarks)
            for (_, face), estimate in zip(sighting.tracked, estimates)]
        lens, calibrated = lens_for(self.calibration, width, height, self.horizontal_fov)
        self.calibrated = calibrated
        by = "the camera's calibration" if calibrated else (
            f'horizontal_fov, {self.horizontal_fov:g} rad: no calibration is known that fits '
            f'pictures of {width}x{height}')
        if self._log_throttle.should_log(by):
            _log.info('directions and distances go by %s', by)
        heads = estimate_head_poses(faces, lens, calibrated, self.interpupillary_distance)
        gazes = [
            self._gaze(track_id, *parts, sighting.stamp)
            for (track_id, _), *parts in zip(sighting.tracked, faces, estimates, heads)]
        at_camera = self._at_camera.update(
            {g.track_id: angle_to_lens(g.pitch, g.yaw) for g in gazes}, sighting.stamp,
            self.looking_at_camera_angle, self.looking_at_camera_hysteresis,
            self.looking_at_camera_dwell)
        for gaze in gazes:
            gaze.looking_at_camera = gaze.track_id in at_camera
        return FrameGaze(width, height, estimator.name, gazes, sighting.detection_time,
                         estimated - start, calibrated)

    def close(self) -> None:
        """Free the detector and the model; no picture may follow."""
        self._detector.close()
        self._estimator.close()

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
        ids = self.tracker.update(faces, stamp, self.min_score, (height, width))
        return [(track_id, face) for track_id, face in zip(ids, faces) if track_id]

    def _gaze(self, track_id: str, face: Face, estimate: Estimate, head: HeadPose, stamp: float
              ) -> Gaze:
        pitch, yaw = self.smoother.update(track_id, estimate.pitch, estimate.yaw, stamp)
        distance, orientation = self.smoother.update_head(
            track_id, head.range, head.orientation, stamp)
        gaze = Gaze(
            track_id, face, pitch, yaw, estimate.pitch, estimate.yaw, estimate.confidence,
            origin=distance * head.ray, range_stddev=distance / head.range * head.range_stddev,
            orientation=orientation)
        if math.isfinite(pitch):
            gaze.direction = gaze_direction(pitch, yaw, head.ray)
        return gaze


def create_engine(values: Mapping[str, Value]) -> Engine:
    """Return an engine with its detector and its model loaded.

    :param values: of the parameters of :data:`gaze_ros.core.parameters.GAZE`; what is not there
        is at its default.
    :raises ModelError: if the detector or the model cannot be loaded.
    """
    v = {spec.name: spec.default for spec in GAZE} | dict(values)
    parts = load_models(v)
    return Engine(parts.detector, parts.estimator, **{
        name: v[name] for name, one in signature(Engine).parameters.items()
        if one.kind is one.KEYWORD_ONLY})
