"""The gaze node: detects faces in images and publishes the gaze of each."""
import math
from threading import Thread
import time
from typing import Optional

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.node_status import InferenceStatus
from gaze_ros.core.diagnostics.rolling import FrameTimings, RollingMean
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import has_nvidia_gpu
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.engine import (
    create_engine,
    DETECTOR_PARAMETERS,
    Engine,
    ESTIMATOR_PARAMETERS,
    load_models,
    Models,
)
from gaze_ros.core.pipeline.load import LoadControl, most_parallel
from gaze_ros.core.pipeline.ordering import Turn
from gaze_ros.core.pipeline.worker import ParallelWorker
from gaze_ros.core.system.native_threads import share_opencv_threads
from gaze_ros.core.system.shared_images import NEVER
from gaze_ros.core.tracking.gaze_calibration import (
    GazeCalibrations,
    GazeCorrection,
    load_correction,
)
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import input_topics, uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ImageConsumerNode
from gaze_ros.ros.base.services import create_trigger_service
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import calibration_from_camera_info
from gaze_ros.ros.comm.conversions import gaze_array, seconds
from gaze_ros.ros.comm.depth_images import DepthSubscription
from gaze_ros.ros.comm.image_transport import ReceivedImage
from gaze_ros.ros.comm.intra_process import IntraProcessPublisher, IntraProcessSubscription
from gaze_ros.ros.process.error_text import format_error
from gaze_ros.ros.process.shutdown import Shutdown
from gaze_ros.ros.publishers.gaze_calibration import GazeCalibrationService
from sensor_msgs.msg import CameraInfo

#: Seconds between two camera_info messages beside images in shared memory.
_CAMERA_INFO_PERIOD = 0.3


class GazeNode(ImageConsumerNode):
    """Publishes the gaze in the newest image, from one or more threads of its own."""

    def __init__(self, shutdown: Shutdown) -> None:
        super().__init__('gaze', StageStats('Inference'), shutdown)
        self._timings = FrameTimings()
        self._engine: Optional[Engine] = None
        #: Prepared for new parameter values, until they are applied.
        self._prepared = Models()
        self._prepared_correction: Optional[GazeCorrection] = None
        #: Track ids given by earlier engines; they are not given again.
        self._ids_given = 0
        self._image_count = 0
        #: Images of a camera node in another process so far, by its own count; 0 if unknown.
        self._seen = 0
        #: time.monotonic() of the last camera_info message.
        self._camera_info_time = 0.0
        #: Why the calibration in camera_info cannot be used, or ''.
        self._calibration_problem, self._log_throttle = '', LogThrottle()
        self._failure = ''
        self._gpu = False
        #: Loads the models of images that are processed side by side.
        self._loader: Optional[Thread] = None
        #: Whether they are those of the present parameters.
        self._lanes_loaded = False
        create_trigger_service(self, '~/reset_tracks', self._reset_tracks)
        #: TF frame of the last image, '' before the first.
        self.image_frame = ''
        GazeCalibrationService(self)

    @property
    def hardware_id(self) -> str:
        """Model, runtime, device, precision and detector."""
        return self._engine.description if self._engine else ''

    @property
    def gaze_calibrations(self) -> Optional[GazeCalibrations]:
        """Calibrations of the tracked persons; None unless configured."""
        engine = self._engine
        return engine and engine.gaze_calibrations

    def status(self) -> InferenceStatus:
        """Return the state of the node beside its statistics."""
        v, engine = self.values, self._engine
        late, self._late = engine.clock.late_count - self._late, engine.clock.late_count
        return InferenceStatus(
            inputs=input_topics(self, self.managed_subscriptions[1]),
            detection_time=self._detection.mean, estimation_time=self._estimation.mean,
            model=engine.estimator.name, running=engine.estimator.running,
            detector=engine.detector.name, device=v['device'], gpu=self._gpu,
            calibrated=engine.calibrated, calibration_problem=self._why_not_calibrated(),
            queue_depth=self._worker.queue_depth, max_age=v['max_age'],
            parallel=self._worker.parallel, most_parallel=self._load.most,
            late_stamps=late, failure=self._failure, sim_time=uses_sim_time(self))

    def configure(self) -> None:
        """Load the detector and the model, and create the topics.

        :raises GazeRosError: if the detector, the model or the gaze calibration cannot be loaded.
        """
        self._calibration_problem, self._late = '', 0
        correction = load_correction(self.values['gaze_calibration_file'])
        self._engine = create_engine(self.values)
        self._engine.gaze_calibrations.default = correction
        self._engine.tracker.ids_given = self._ids_given
        self._engine.warm_up()
        self._gpu = has_nvidia_gpu()  # after the model: it asks torch only if torch is loaded
        self._results = IntraProcessPublisher(self, GazeArray, topics.GAZE)
        self.managed_subscriptions = [IntraProcessSubscription(
            self, CameraInfo, topics.CAMERA_INFO, self._on_camera_info,
            needed=self._needs_camera_info, on_error=self.report_callback_error)]
        self.managed_subscriptions.append(self.subscribe_to_images())  # which may raise
        if self.values['depth']:
            DepthSubscription(self, self._engine.depth)
        self.get_logger().info(self.hardware_id)
        self._log_correction(self._engine.estimator.name)

    def activate(self) -> None:
        """Start the threads."""
        v = self.values
        self._detection, self._estimation, self._failure = RollingMean(), RollingMean(), ''
        self._worker = ParallelWorker(
            'gaze', self._process, self.stats, self._report_error, v['queue_depth'])
        self.workers = [self._worker]
        self._worker.on_idle = self.tell_need
        share_opencv_threads(1)
        self._worker.start()
        self._reset_load()
        self._seen = 0
        self._shared_images.tell(0)

    def cleanup(self) -> None:
        """Close the models."""
        # It loads into the engine that is closed here; a process that ends does not wait for it.
        if self._loader is not None and not self.shutdown.event.is_set():
            self._loader.join()
        engine, self._engine = self._engine, None
        if engine is not None:
            self._ids_given = engine.tracker.ids_given
            engine.close()
        self._close_prepared()

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Load the detector and the model that new values name.

        :raises GazeRosError: if they, or a new gaze calibration, cannot be loaded.
        """
        self._close_prepared()
        if 'gaze_calibration_file' in values:
            self._prepared_correction = load_correction(values['gaze_calibration_file'])
        self._prepared = load_models({**self.values, **values}, values)
        self._prepared.warm_up()

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Apply new values before the next image."""
        super().apply_parameters(values)
        reloaded = not (DETECTOR_PARAMETERS | ESTIMATOR_PARAMETERS).isdisjoint(values)
        if reloaded:
            self._lanes_loaded = False
            if self.active:
                self._use_parallel(1)
        models, self._prepared = self._prepared, Models()
        self._engine.swap_models(models)
        self._engine.set_parameters(values)
        if 'gaze_calibration_file' in values:
            self._engine.gaze_calibrations.default = self._prepared_correction
        if self.active and (reloaded or 'parallel' in values):
            self._reset_load()
        if models.detector or models.estimator:
            self.get_logger().info(self.hardware_id)
        if models.estimator or 'gaze_calibration_file' in values:
            self._log_correction((models.estimator or self._engine.estimator).name)

    def _log_correction(self, model: str) -> None:
        path, correction = (
            self.values['gaze_calibration_file'], self._engine.gaze_calibrations.default)
        if correction is None:
            if path:
                self.get_logger().info(
                    f"gaze_calibration_file '{path}' does not exist yet: gaze/calibrate with save "
                    'writes it')
        elif correction.model == model:
            self.get_logger().info(f"the gaze is corrected by '{path}'")
        else:
            self.get_logger().warning(
                f"gaze_calibration_file '{path}' is for model {correction.model} and is not used "
                f'with {model}: calibrate again')

    def _close_prepared(self) -> None:
        models, self._prepared = self._prepared, Models()
        models.close()

    def _reset_tracks(self) -> str:
        engine = self._engine
        if engine is None:
            raise GazeRosError('the node is not configured; it has no tracks')
        return f'tracks reset from the next image on: {engine.reset_tracks()}'

    def on_image(self, image: ReceivedImage) -> None:
        """Queue an image, or skip it by frame_skip."""
        if not self.active:
            return
        # Images that a camera in another process kept to itself count as dropped here.
        missed = max(0, image.seen - self._seen - 1) if 0 < self._seen < image.seen else 0
        self._seen = image.seen
        self.stats.received(seconds(image.header.stamp) or math.nan, 1 + missed)
        self._image_count += missed
        if self._is_skipped():
            self.stats.dropped('skipped')
        else:
            self._worker.submit(image, missed)
        self._image_count += 1

    def next_need(self) -> int:
        """Return the time.monotonic_ns() from which on an image would be processed at once."""
        return round(1e9 * self._worker.needed_at(remote=True)) if self.active else NEVER

    def wants_image(self, horizon: float) -> bool:
        """Return whether an image would be processed before the next one arrives."""
        return self.active and not self._is_skipped() and self._worker.wants(horizon)

    def skip_image(self) -> None:
        """Count an image that the camera node has not converted."""
        if not self.active:
            return
        # It was captured just now; without its stamp it would count as lost.
        self.stats.received(1e-9 * self.get_clock().now().nanoseconds)
        if self._is_skipped():
            self.stats.dropped('skipped')
        else:
            self._worker.skip()
        self._image_count += 1

    def _is_skipped(self) -> bool:
        return self._image_count % (self.values['frame_skip'] + 1) != 0

    def _needs_camera_info(self) -> bool:
        """Return whether a camera_info message of another process is taken.

        Each costs 0.9 core-ms. Raw and compressed images need all of them, to count lost images;
        the camera node itself counts those in shared memory.
        """
        return not self._seen or (
            time.monotonic() - self._camera_info_time > _CAMERA_INFO_PERIOD)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info_time = time.monotonic()
        engine = self._engine
        if engine is None:
            return
        if self.active:
            self.stats.announced()
        engine.calibration, problem = calibration_from_camera_info(message)
        self._calibration_problem = problem
        if problem and self._log_throttle.should_log(problem):
            self.get_logger().warning(
                f'the calibration in camera_info cannot be used: {problem}; '
                'horizontal_fov is assumed instead')

    def _why_not_calibrated(self) -> str:
        """Return why the engine does not use the calibration in camera_info, or ''."""
        engine = self._engine
        calibration = engine.calibration
        if calibration is None or engine.calibrated is not False:
            return self._calibration_problem
        return (f'it is for images of another aspect ratio, {calibration.width}x'
                f'{calibration.height}')

    def _report_error(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'image skipped: {reason}')

    def _process(self, image: ReceivedImage, turn: Turn, thread: int) -> None:
        header = image.header
        if 0 < self.values['max_age'] < self.age(header):
            self.stats.dropped('old')
            return
        start = time.monotonic()
        if image.seen:
            self.tell_need()
        parallel = self._worker.parallel
        frame = self._engine.process(
            image.view(), seconds(header.stamp) or None, image.arrival, turn,
            thread if parallel > 1 and self._lanes_loaded else None)
        image.check()
        self.image_frame = header.frame_id
        self._results.publish(gaze_array(frame, header))
        age = self.age(header)
        self.stats.processed(age, (time.monotonic() - start - turn.waited) / parallel)
        self._detection.add(frame.detection_time)
        self._estimation.add(frame.estimation_time)
        line = self._timings.add(age, frame.detection_time, frame.estimation_time)
        if line:
            self.get_logger().info(line)
        self._follow_load()

    def _reset_load(self) -> None:
        """Start to measure the load anew, with the present parameters."""
        self._load = LoadControl(
            self.values['parallel'], most_parallel(self._engine.running, self.values['threads']))
        self._load.changed(self._worker.parallel, 0.0)
        self._follow_load()

    def _follow_load(self) -> None:
        """Change the number of images that are processed side by side, if the load asks for it."""
        worker, load = self._worker, self._load
        wanted = load.wanted(worker.work_time, worker.period)
        if wanted == worker.parallel or self._loader is not None and self._loader.is_alive():
            return
        if wanted > 1 and not (self._lanes_loaded and self._engine.lanes >= wanted):
            self._loader = Thread(
                target=self._load_lanes, args=(wanted, load), name='gaze_models', daemon=True)
            self._loader.start()
        else:
            self._set_parallel(wanted, load)

    def _load_lanes(self, count: int, load: LoadControl) -> None:
        """Load the models of images that are processed side by side, and start to do so."""
        try:
            self._engine.load_lanes(count, self.values)
        except Exception as e:  # a runtime may raise anything: one image at a time works
            load.auto, load.most = True, 1
            self.get_logger().warning(f'parallel stays 1: {format_error(e)}')
            return
        if load is self._load and self.active:  # else the parameters have changed meanwhile
            self._lanes_loaded = True
            self._set_parallel(count, load)

    def _set_parallel(self, count: int, load: LoadControl) -> None:
        load.changed(count, self._worker.work_time)
        self._use_parallel(count)
        self.get_logger().info(f'images processed side by side: {count}')

    def _use_parallel(self, count: int) -> None:
        self._worker.set_parallel(count)
        share_opencv_threads(count)
