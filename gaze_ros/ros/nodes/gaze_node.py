"""The gaze node: images in, everybody's gaze out."""
import time
from typing import Optional

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.node_status import InferenceStatus
from gaze_ros.core.diagnostics.rolling import FrameTimings, RollingMean
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import has_nvidia_gpu
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.engine import create_engine, Engine, load_models, Models
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.core.system import native_threads
from gaze_ros.core.types import TrackedFaces
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import input_topics, uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ImageConsumerNode
from gaze_ros.ros.base.services import create_trigger_service
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import calibration_from_camera_info
from gaze_ros.ros.comm.conversions import gaze_array, seconds
from gaze_ros.ros.comm.image_transport import ReceivedImage
from gaze_ros.ros.comm.intra_process import IntraProcessPublisher, IntraProcessSubscription
from gaze_ros.ros.process.shutdown import Shutdown
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

#: Cores from which on faces are looked for while gaze is estimated. On 2 it makes neither faster
#: (docs/performance.md). Both take all threads: with half of them each, one face alone is slower.
_MANY_CORES = 4


class GazeNode(ImageConsumerNode):
    """Publishes gaze for the newest image, from one thread of its own, or from two."""

    def __init__(self, stop: Shutdown) -> None:
        super().__init__('gaze', StageStats('Inference'), stop)
        self._statistics = FrameTimings()
        self._engine: Optional[Engine] = None
        self._loaded = Models()
        #: Ids that engines before this one gave.
        self._ids_given = 0
        self._came = 0
        #: Why the calibration in camera_info cannot be used, or ''.
        self._uncalibrated, self._log_throttle = '', LogThrottle()
        self._failure = ''
        self._gpu = False
        create_trigger_service(self, '~/reset_tracks', self._reset_tracks)

    @property
    def hardware_id(self) -> str:
        """What does the work: model, runtime, device, precision, detector."""
        return self._engine.description if self._engine else ''

    def status(self) -> InferenceStatus:
        """Return what is known beside the stage's figures."""
        v, engine = self.values, self._engine
        return InferenceStatus(
            inputs=input_topics(self, self.managed_subscriptions[1]),
            detection_time=self._detection.mean, estimation_time=self._estimation.mean,
            model=engine.estimator.name, running=engine.estimator.running,
            detector=engine.detector.name, device=v['device'], gpu=self._gpu,
            calibrated=engine.calibrated, calibration_problem=self._why_uncalibrated(),
            queue_depth=self.workers[0].queue_depth, max_age=v['max_age'],
            failure=self._failure, sim_time=uses_sim_time(self))

    def configure(self) -> None:
        """Load the detector and the model, and create the topics.

        :raises ModelError: if the detector or the model cannot be loaded.
        """
        self._uncalibrated = ''
        self._engine = create_engine(self.values)
        self._engine.tracker.ids_given = self._ids_given
        self._engine.warm_up()
        self._gpu = has_nvidia_gpu()  # after loading the model: torch is asked where it is loaded
        self._results = IntraProcessPublisher(self, GazeArray, topics.GAZE)
        self.managed_subscriptions = [
            IntraProcessSubscription(self, CameraInfo, topics.CAMERA_INFO, self._on_info,
                   MutuallyExclusiveCallbackGroup()), self.subscribe_to_images()]
        self.get_logger().info(self.hardware_id)

    def activate(self) -> None:
        """Begin to work."""
        v = self.values
        self._detection, self._estimation, self._failure = RollingMean(), RollingMean(), ''
        self.workers = [Worker('gaze', self._work, self.stats, self._report_error, v['queue_depth'])]
        if v['overlap'] == 'always' or (
                v['overlap'] == 'auto' and native_threads.thread_count() >= _MANY_CORES):
            self.workers.append(Worker(
                'estimation', self._finish, self.stats, self._report_error, v['queue_depth']))
        for worker in self.workers:
            worker.start()

    def cleanup(self) -> None:
        """Free the model."""
        engine, self._engine = self._engine, None
        if engine is not None:
            self._ids_given = engine.tracker.ids_given
            engine.close()
        self._drop_loaded()

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Load the detector and the model that new values ask for.

        :raises ModelError: if they cannot be loaded.
        """
        self._drop_loaded()
        self._loaded = load_models({**self.values, **values}, values)
        self._loaded.warm_up()

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Take new values before the next picture."""
        super().apply_parameters(values)
        loaded, self._loaded = self._loaded, Models()
        self._engine.swap_models(loaded)
        self._engine.set_parameters(values)
        if loaded.detector or loaded.estimator:
            self.get_logger().info(self.hardware_id)

    def _drop_loaded(self) -> None:
        loaded, self._loaded = self._loaded, Models()
        loaded.close()

    def _reset_tracks(self) -> str:
        engine = self._engine
        if engine is None:
            raise GazeRosError('the node is not configured: it has no tracks')
        return f'tracks forgotten from the next picture on: {engine.reset_tracks()}'

    def on_image(self, picture: ReceivedImage) -> None:
        """Leave an image to be worked on."""
        if not self.active:
            return
        self.stats.received()
        if self._came % (self.values['frame_skip'] + 1):
            self.stats.dropped('skipped')
        else:
            self.workers[0].submit(picture)
        self._came += 1

    def _on_info(self, message: CameraInfo) -> None:
        engine = self._engine
        if engine is None:
            return
        engine.calibration, self._uncalibrated = calibration_from_camera_info(message)
        if self._uncalibrated and self._log_throttle.should_log(self._uncalibrated):
            self.get_logger().warning(
                f'the calibration in camera_info cannot be used: {self._uncalibrated}; '
                'horizontal_fov is assumed instead')

    def _why_uncalibrated(self) -> str:
        """Return why directions do not go by the calibration there is, or ''."""
        engine = self._engine
        made = engine.calibration
        if made is None or engine.calibrated is not False:
            return self._uncalibrated
        return f'it is of pictures of another shape, {made.width}x{made.height}'

    def _report_error(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'an image was left out: {reason}')

    def _work(self, picture: ReceivedImage) -> None:
        header = picture.header
        if 0 < self.values['max_age'] < self.age(header):
            self.stats.dropped('old')
            return
        start = time.monotonic()
        # A publisher that stamps nothing still gets tracking and smoothing.
        seen = self._engine.detect(picture.decode(), seconds(header.stamp) or start)
        taken = time.monotonic() - start
        if len(self.workers) == 1:
            self._finish((header, seen, taken))
        else:
            self.workers[1].submit((header, seen, taken))

    def _finish(self, sight: tuple[Header, TrackedFaces, float]) -> None:
        header, seen, taken = sight
        start = time.monotonic()
        frame = self._engine.estimate(seen)
        self._results.publish(gaze_array(frame, header))
        age = self.age(header)
        own = time.monotonic() - start
        # Side by side, the slower half is what a picture takes of the time.
        self.stats.processed(age, taken + own if len(self.workers) == 1 else max(taken, own))
        self._detection.add(frame.detection_time)
        self._estimation.add(frame.estimation_time)
        line = self._statistics.add(age, frame.detection_time, frame.estimation_time)
        if line:
            self.get_logger().info(line)
