"""The gaze engine: takes an image, returns the gaze of every face in it; nodes and CLI use it."""
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from inspect import signature
import logging
import math
from threading import Lock
from time import perf_counter
from typing import Any, Optional

from gaze_ros.core.attention.blinks import BlinkDetector
from gaze_ros.core.attention.looking_at_camera import LookingAtCamera
from gaze_ros.core.detectors import create_detector, Detector
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.estimators import (
    create_estimator,
    Estimator,
    Settings,
    TrackingEstimator,
)
from gaze_ros.core.geometry.camera_model import (
    angle_to_lens,
    Calibration,
    gaze_direction,
    lens_for,
)
from gaze_ros.core.geometry.depth import DepthImages, with_measured_ranges
from gaze_ros.core.geometry.head_pose import (
    estimate_head_poses,
    HeadPose,
    LANDMARKS_STDDEV,
)
from gaze_ros.core.geometry.rotations import (
    head_angles,
    orientation_along_ray,
    rotation_along_ray,
)
from gaze_ros.core.parameters import GAZE, Value
from gaze_ros.core.pipeline.hot_swap import HotSwap
from gaze_ros.core.pipeline.ordering import Turn
from gaze_ros.core.stream_time import StreamClock
from gaze_ros.core.tracking.gaze_calibration import GazeCalibrations
from gaze_ros.core.tracking.one_euro import OneEuroSmoother
from gaze_ros.core.tracking.optical_flow import DetectionScheduler, OpticalFlowTracker
from gaze_ros.core.tracking.tracker import Tracker
from gaze_ros.core.types import Estimate, Face, FrameGaze, Gaze, TrackedFaces
import numpy as np

_log = logging.getLogger(__name__)

#: Parameters whose change reloads the detector, and those whose change reloads the gaze model.
DETECTOR_PARAMETERS = frozenset({'detector', 'detector_weight', 'detector_size', 'threads'})
ESTIMATOR_PARAMETERS = frozenset({'model', *(field.name for field in fields(Settings))})

#: Image sizes that the detector is warmed up with, 4:3 and 16:9: some detectors initialise once
#: for each image shape.
_WARM_UP_SIZES = (640, 480), (1280, 720)


#: Sections of the work on an image that images enter in their order.
SCHEDULE, TRACK, LOCATE, FINISH = 1, 2, 3, 4

#: The turn of an image that is processed alone.
_ALONE = Turn()


@dataclass
class Models:
    """A detector, a gaze model or both; None for the one that does not change."""

    detector: Optional[Detector] = None
    estimator: Optional[Estimator] = None

    def warm_up(self) -> None:
        """Run each once, so that the first image is not the slowest."""
        for width, height in _WARM_UP_SIZES:
            black = np.zeros((height, width, 3), np.uint8)
            if self.detector is not None:
                self.detector.detect(black)
        if self.estimator is not None:
            side = height / 2
            self.estimator.estimate(
                black, [Face(((width - side) / 2, (height - side) / 2, side, side), 1.0)])

    def close(self) -> None:
        """Free the loaded models."""
        for model in (self.detector, self.estimator):
            if model is not None:
                model.close()


def load_models(
        values: Mapping[str, Value],
        changed: Collection[str] = DETECTOR_PARAMETERS | ESTIMATOR_PARAMETERS) -> Models:
    """Load the detector and the gaze model if parameters they depend on have changed.

    :param values: of all parameters of the gaze node.
    :param changed: names of the changed parameters; default: load both.
    :raises ModelError: if the detector or the model cannot be loaded; nothing stays loaded.
    """
    models = Models()
    try:
        if not DETECTOR_PARAMETERS.isdisjoint(changed):
            models.detector = create_detector(
                values['detector'], weight=values['detector_weight'],
                size=values['detector_size'], threads=values['threads'])
        if not ESTIMATOR_PARAMETERS.isdisjoint(changed):
            models.estimator = create_estimator(values['model'], Settings(**{
                field.name: values[field.name] for field in fields(Settings)}))
    except BaseException:
        models.close()
        raise
    return models


class Lane:
    """The detector and the estimator of one thread.

    :ivar detector: may be replaced while the thread runs.
    :ivar estimator: as detector.
    """

    def __init__(self, models: Models) -> None:
        self.detector: HotSwap[Detector] = HotSwap(models.detector)
        self.estimator: HotSwap[Estimator] = HotSwap(models.estimator)

    def swap(self, models: Models) -> None:
        """Replace the detector or the model; the thread closes the old one."""
        if models.detector is not None:
            self.detector.replace(models.detector)
        if models.estimator is not None:
            self.estimator.replace(models.estimator)

    def close(self) -> None:
        """Free both; the thread must have stopped."""
        self.detector.close()
        self.estimator.close()


#: Parameters that can change at runtime, and the attributes that hold them: (member, attribute),
#: with '' for an attribute of the engine itself.
_ATTRIBUTES = {
    **{name: (('', name),) for name in (
        'min_score', 'max_faces', 'detect_interval', 'looking_at_camera_angle',
        'looking_at_camera_hysteresis', 'looking_at_camera_dwell', 'interpupillary_distance',
        'horizontal_fov')},
    'smoothing_time': (('smoother', 'time'),), 'smoothing_beta': (('smoother', 'beta'),),
    'track_timeout': (('tracker', 'timeout'), ('smoother', 'timeout')),
    'track_prefix': (('tracker', 'prefix'),)}


class PendingParameters:
    """Parameter changes from any thread, kept until the engine applies them.

    :ivar reset_tracks: whether all tracks are to be dropped.
    """

    def __init__(self) -> None:
        self.reset_tracks = False
        self._values: dict[str, Value] = {}
        self._lock = Lock()

    def add(self, values: Mapping[str, Value]) -> None:
        """Queue new values, from any thread; those of other parameters are ignored."""
        with self._lock:
            self._values.update(values)

    def apply(self, engine: Any) -> None:
        """Set the queued values on an engine; only in the thread that runs its detection."""
        if self.reset_tracks:
            self.reset_tracks = False
            engine.tracker.reset()
            engine.optical_flow, engine.scheduler = OpticalFlowTracker(), DetectionScheduler()
        if not self._values:
            return
        with self._lock:
            values, self._values = self._values, {}
        for name, value in values.items():
            for member, attribute in _ATTRIBUTES.get(name, ()):
                setattr(getattr(engine, member) if member else engine, attribute, value)


#: The detector runs with this share of min_score: a face that turns away or is half hidden then
#: continues its track. Such a face does not start a track.
_LOW_SCORES = 0.5


class Engine:
    """Detects, tracks and estimates the faces of one image stream, and smooths their gaze.

    Several threads may process consecutive images side by side, each with a :class:`Lane` and a
    turn of its own (:meth:`process`). Detectors and models then run at the same time; tracks,
    smoothing and results follow the order of the images, so they are the same as in one thread.

    The attributes may be changed at any time, from any thread.

    Detection stage:

    :ivar clock: the time of the stream.
    :ivar tracker: assigns track ids to faces.
    :ivar optical_flow: tracks faces between two detections.
    :ivar scheduler: selects the images that the detector runs on.
    :ivar min_score: faces with a lower score are dropped, 0..1, except those of half that score
        that continue a track. It sets the detector's own threshold.
    :ivar max_faces: only the largest faces are kept; 0 for all.
    :ivar detect_interval: the detector runs every N images, and optical flow tracks the faces in
        between; 0: adaptive, so that detection takes a third of the time between two images.

    Estimation stage:

    :ivar smoother: filters the angles and the head poses.
    :ivar gaze_calibrations: corrects the gaze of persons that were calibrated, before smoothing.
    :ivar looking_at_camera_angle: angle to the lens in radians below which a gaze counts as
        looking at the camera; ``looking_at_camera_hysteresis`` (radians) and
        ``looking_at_camera_dwell`` (seconds): see
        :class:`gaze_ros.core.attention.looking_at_camera.LookingAtCamera`.
    :ivar interpupillary_distance: assumed for everybody, meters; ranges are proportional to it.
    :ivar horizontal_fov: radians, assumed if no calibration is known or fits the image.
    :ivar calibration: of the camera, or None if unknown.
    :ivar depth: registered depth images. With a calibrated camera, one near the stamp of an image
        gives the ranges of its faces.
    """

    def __init__(
            self, detector: Detector, estimator: Estimator, *, min_score: float = 0.65,
            max_faces: int = 0, detect_interval: int = 1, smoothing_time: float = 0.2,
            smoothing_beta: float = 1.5, track_timeout: float = 1.0,
            track_prefix: str = 'f',
            looking_at_camera_angle: float = 0.25,
            looking_at_camera_hysteresis: float = 0.05, looking_at_camera_dwell: float = 0.2,
            interpupillary_distance: float = 0.063, horizontal_fov: float = 1.05) -> None:
        self._main = Lane(Models(detector, estimator))
        #: Lanes of one thread each, for images that are processed side by side.
        self._lanes: list[Lane] = []
        self._pending = PendingParameters()
        self.clock = StreamClock()
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
        self._looking_at_camera = LookingAtCamera()
        self._blinks = BlinkDetector()
        self.gaze_calibrations = GazeCalibrations()
        self.interpupillary_distance = interpupillary_distance
        self.horizontal_fov = horizontal_fov
        self.calibration: Optional[Calibration] = None
        self.depth = DepthImages()
        #: Whether the last image's rays were computed from the calibration; None before the first.
        self.calibrated: Optional[bool] = None
        self._log_throttle = LogThrottle()

    @property
    def description(self) -> str:
        """Model, runtime, device, precision and detector, for the log."""
        estimator = self._main.estimator.newest
        return (f'model {estimator.name} ({estimator.running}), '
                f'faces by {self._main.detector.newest.name}')

    @property
    def running(self) -> str:
        """Runtime, device and precision of the newest model."""
        return self._main.estimator.newest.running

    @property
    def detector(self) -> Detector:
        """The face detector in use."""
        return self._main.detector.current

    @property
    def estimator(self) -> Estimator:
        """The gaze estimator in use."""
        return self._main.estimator.current

    def swap_models(self, models: Models) -> None:
        """Replace the detector or the model from the next image on, and close the old one.

        May be called from any thread, any number of times.

        :param models: the engine takes ownership of them.
        """
        self._main.swap(models)

    @property
    def lanes(self) -> int:
        """Number of lanes that :meth:`load_lanes` has loaded."""
        return len(self._lanes)

    def load_lanes(self, count: int, values: Mapping[str, Value]) -> None:
        """Load detectors and models for images that are processed side by side.

        :param count: number of lanes; those of before are replaced between two of their images.
        :param values: of the parameters; each lane uses one thread.
        :raises ModelError: if they cannot be loaded.
        """
        for number in range(count):
            models = load_models({**values, 'threads': 1})
            models.warm_up()
            if isinstance(models.estimator, TrackingEstimator):
                models.estimator.tracks = self._main.estimator.newest.tracks
            if number < len(self._lanes):
                self._lanes[number].swap(models)
            else:
                self._lanes.append(Lane(models))

    def set_parameters(self, values: Mapping[str, Value]) -> None:
        """Set parameters before the next image; from any thread."""
        self._pending.add(values)

    def reset_tracks(self) -> int:
        """Drop all tracks before the next image: every face in it gets a new, unused id.

        May be called from any thread.

        :returns: the number of tracks at present.
        """
        self._pending.reset_tracks = True
        return len(self.tracker)

    def warm_up(self) -> None:
        """Run the detector and the model once, so that the first image is not the slowest.

        Tracks, detection schedule and smoothing are not affected.
        """
        Models(self.detector, self.estimator).warm_up()

    def process(self, image: np.ndarray, stamp: Optional[float], arrival: float = math.nan,
                turn: Turn = _ALONE, lane: Optional[int] = None) -> FrameGaze:
        """Return the gazes in an image, largest face first.

        :param image: (H, W, 3) uint8 BGR; must not change meanwhile.
        :param stamp: capture time in seconds, of any epoch; None if unknown.
        :param arrival: when the image arrived, seconds of any clock, for images without a usable
            stamp; NaN if unknown.
        :param turn: of the image, if several threads process images. On return it is in the
            section :data:`FINISH`; the caller finishes it, after passing on the result.
        :param lane: number of the lane that only this thread uses; None for the detector and the
            model with all threads, which one thread uses at a time.
        """
        resources = self._main if lane is None else self._lanes[lane]
        detection = self._detect(image, stamp, arrival, turn, resources)
        return self._estimate(detection, turn, resources)

    def _detect(self, image: np.ndarray, stamp: Optional[float], arrival: float, turn: Turn,
                lane: Lane) -> TrackedFaces:
        """Return the tracked faces in an image, largest face first."""
        start = perf_counter()
        turn.enter(SCHEDULE)
        detector = lane.detector.acquire()
        self._pending.apply(self)
        now = self.clock.update(
            None if stamp is None else round(1e9 * stamp), 1e9 * arrival)
        interval = self.detect_interval
        detecting = self.scheduler.should_detect(interval, image.shape, now.time)
        if interval == 1:
            turn.leave(SCHEDULE)  # else optical flow needs the image before
        if detecting:
            detector.min_score = _LOW_SCORES * self.min_score
            faces = detector.detect(image)
            self.scheduler.report_duration(perf_counter() - start - turn.waited)
        else:
            faces = self.optical_flow.track(image)
        turn.enter(TRACK)
        tracked = self._track(faces, image, now.time)
        if detecting and self.scheduler.tracks_between:
            self.optical_flow.start(image, [face for _, face in tracked])
        turn.leave(TRACK)
        return TrackedFaces(
            image, now, tracked[:self.max_faces or None],
            perf_counter() - start - turn.waited)

    def _estimate(self, detection: TrackedFaces, turn: Turn, lane: Lane) -> FrameGaze:
        """Return the gazes of tracked faces, in their order."""
        start, waited = perf_counter(), turn.waited
        height, width = detection.image.shape[:2]
        estimator = lane.estimator.acquire()
        lens, calibrated = lens_for(self.calibration, width, height, self.horizontal_fov)
        faces = [face for _, face in detection.tracked]
        if isinstance(estimator, TrackingEstimator):
            turn.enter(LOCATE)
            located = estimator.locate(
                detection.image, faces, [track_id for track_id, _ in detection.tracked])
            turn.leave(LOCATE)
            estimates = estimator.estimate_located(
                detection.image, faces, located, lens if calibrated else None)
        else:
            estimates = estimator.estimate(detection.image, faces)
        turn.enter(FINISH)
        estimated = perf_counter() - (turn.waited - waited)
        now = detection.instant
        self.smoother.prune(now.time)
        faces = [
            replace(face, landmarks=estimate.landmarks) if estimate.landmarks is not None and (
                face.landmarks is None or estimate.head_rotation is not None) else face
            for face, estimate in zip(faces, estimates)]
        self.calibrated = calibrated
        self._log_calibration(width, height)
        heads = estimate_head_poses(faces, lens, calibrated, self.interpupillary_distance)
        stamp = 1e-9 * now.stamp
        if calibrated and (depth := self.depth.nearest(stamp)) is not None:
            heads = with_measured_ranges(faces, heads, depth, lens, (width, height), stamp)
        self.gaze_calibrations.model = estimator.name
        gazes = [
            self._smoothed_gaze(track_id, *values, now.time)
            for (track_id, _), *values in zip(detection.tracked, faces, estimates, heads)]
        at_camera = self._looking_at_camera.update(
            {g.track_id: angle_to_lens(g.pitch, g.yaw) for g in gazes}, now.time,
            self.looking_at_camera_angle, self.looking_at_camera_hysteresis,
            self.looking_at_camera_dwell, {g.track_id: g.stddev for g in gazes})
        blinks = self._blinks.update(
            {g.track_id: g.eye_openness for g in gazes}, now, self.tracker.timeout)
        for gaze in gazes:
            gaze.looking_at_camera = gaze.track_id in at_camera
            gaze.blink_start, gaze.blink_duration = blinks[gaze.track_id]
        return FrameGaze(width, height, estimator.name, gazes, detection.detection_time,
                         estimated - start, calibrated)

    def close(self) -> None:
        """Free the detector and the model; the engine must not be used afterwards."""
        for lane in (self._main, *self._lanes):
            lane.close()

    def _log_calibration(self, width: int, height: int) -> None:
        """Log once what directions and distances in images of this size are computed from."""
        calibration, text = self.calibration, 'directions and distances are computed from %s'
        assumed = f'horizontal_fov, {self.horizontal_fov:g} rad'
        if calibration is None:
            basis = f'{assumed}: the camera is not calibrated'
        else:
            w, h = calibration.image_size
            source = 'P of camera_info, without distortion, as K is 0' if (
                calibration.from_projection) else "the camera's calibration"
            basis = source if self.calibrated else (
                f'{assumed}: the calibration is for images of {w}x{h}, but they have '
                f'{width}x{height}, another aspect ratio; calibrate the camera at this size')
            if self.calibrated and w and h and (w, h) != (width, height):
                basis += f', scaled from {w}x{h} to {width}x{height}'
        if self._log_throttle.should_log(basis):
            usual = calibration is None or self.calibrated and not calibration.from_projection
            _log.log(logging.INFO if usual else logging.WARNING, text, basis)

    def _track(self, faces: list[Face], image: np.ndarray, time: float
               ) -> list[tuple[str, Face]]:
        """Return the faces that have an id, largest first."""
        height, width = image.shape[:2]
        visible = []
        for face in faces:
            _, _, w, h = face.clipped(width, height)
            if w and h:
                visible.append((w * h, face))
        visible.sort(key=lambda pair: -pair[0])
        faces = [face for _, face in visible]
        ids = self.tracker.update(faces, time, self.min_score, (height, width))
        return [(track_id, face) for track_id, face in zip(ids, faces) if track_id]

    def _smoothed_gaze(self, track_id: str, face: Face, estimate: Estimate, head: HeadPose,
                       time: float) -> Gaze:
        self.gaze_calibrations.observe(track_id, estimate, head.range * head.ray)
        estimate = self.gaze_calibrations.correct(track_id, estimate)
        pitch, yaw = self.smoother.update(track_id, estimate.pitch, estimate.yaw, time)
        orientation = head.orientation
        head_stddev = LANDMARKS_STDDEV if head.fitted else math.nan
        if estimate.head_rotation is not None:
            orientation = orientation_along_ray(estimate.head_rotation, head.ray)
            head_stddev = estimate.head_stddev
        distance, orientation = self.smoother.update_head(
            track_id, head.range, orientation, time)
        gaze = Gaze(
            track_id, face, pitch, yaw, estimate.pitch, estimate.yaw, estimate.confidence,
            origin=distance * head.ray, range_stddev=distance / head.range * head.range_stddev,
            orientation=orientation, stddev=estimate.stddev, head_stddev=head_stddev,
            eye_openness=estimate.eye_openness)
        if math.isfinite(pitch):
            gaze.direction = gaze_direction(pitch, yaw, head.ray)
        if math.isfinite(head_stddev):
            gaze.head_pitch, gaze.head_yaw, gaze.head_roll = head_angles(
                rotation_along_ray(orientation, head.ray))
        return gaze


def create_engine(values: Mapping[str, Value]) -> Engine:
    """Return an engine with its detector and its model loaded.

    :param values: of the parameters of :data:`gaze_ros.core.parameters.GAZE`; missing ones have
        their defaults.
    :raises ModelError: if the detector or the model cannot be loaded.
    """
    v = {spec.name: spec.default for spec in GAZE} | dict(values)
    models = load_models(v)
    return Engine(models.detector, models.estimator, **{
        name: v[name] for name, parameter in signature(Engine).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY})
