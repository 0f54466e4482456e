"""The gaze node: images in, everybody's gaze out."""
import time
from typing import Optional

from gaze_ros.core.diagnostics.log_throttle import Teller
from gaze_ros.core.diagnostics.node_status import InferenceFacts
from gaze_ros.core.diagnostics.rolling import FrameStatistics, Recent
from gaze_ros.core.diagnostics.stage_stats import Stage
from gaze_ros.core.diagnostics.status import gpu_present
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.engine import create_engine, Engine, load_parts, Parts
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.core.system import native_threads
from gaze_ros.core.types import Sighting
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import in_sim_time, inputs
from gaze_ros.ros.base.lifecycle_node import ConsumerNode
from gaze_ros.ros.base.services import serve
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import read_calibration
from gaze_ros.ros.comm.conversions import gaze_array, seconds
from gaze_ros.ros.comm.image_transport import Picture
from gaze_ros.ros.comm.intra_process import Outlet, Reader
from gaze_ros.ros.process.shutdown import Stop
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

#: Cores from which on faces are looked for while gaze is estimated. On 2 it makes neither faster
#: (docs/performance.md). Both take all threads: with half of them each, one face alone is slower.
_MANY_CORES = 4


class GazeNode(ConsumerNode):
    """Publishes gaze for the newest image, from one thread of its own, or from two."""

    def __init__(self, stop: Stop) -> None:
        super().__init__('gaze', Stage('Inference'), stop)
        self._statistics = FrameStatistics()
        self._engine: Optional[Engine] = None
        self._loaded = Parts()
        #: Ids that engines before this one gave.
        self._given = 0
        self._came = 0
        #: Why the calibration in camera_info cannot be used, or ''.
        self._uncalibrated, self._teller = '', Teller()
        self._failure = ''
        self._gpu = False
        serve(self, '~/reset_tracks', self._reset_tracks)

    @property
    def hardware(self) -> str:
        """What does the work: model, runtime, device, precision, detector."""
        return self._engine.description if self._engine else ''

    def facts(self) -> InferenceFacts:
        """Return what is known beside the stage's figures."""
        v, engine = self.values, self._engine
        return InferenceFacts(
            inputs(self, self.readers[1]), self._detection.mean, self._estimation.mean,
            model=engine.estimator.name, running=engine.estimator.running,
            detector=engine.detector.name, device=v['device'], gpu=self._gpu,
            calibrated=engine.calibrated, uncalibrated=self._why_uncalibrated(),
            queue_depth=self.workers[0].queue_depth, max_age=v['max_age'],
            failure=self._failure, sim_time=in_sim_time(self))

    def make(self) -> None:
        """Load the detector and the model, and create the topics.

        :raises ModelError: if the detector or the model cannot be loaded.
        """
        self._uncalibrated = ''
        self._engine = create_engine(self.values)
        self._engine.tracker.given = self._given
        self._engine.warm_up()
        self._gpu = gpu_present()  # after loading the model: torch is asked where it is loaded
        self._results = Outlet(self, GazeArray, topics.GAZE)
        self.readers = [
            Reader(self, CameraInfo, topics.CAMERA_INFO, self._on_info,
                   MutuallyExclusiveCallbackGroup()), self.listen()]
        self.get_logger().info(self.hardware)

    def begin(self) -> None:
        """Begin to work."""
        v = self.values
        self._detection, self._estimation, self._failure = Recent(), Recent(), ''
        self.workers = [Worker('gaze', self._work, self.stage, self._tell, v['queue_depth'])]
        if v['overlap'] == 'always' or (
                v['overlap'] == 'auto' and native_threads.count() >= _MANY_CORES):
            self.workers.append(Worker(
                'estimation', self._finish, self.stage, self._tell, v['queue_depth']))
        for worker in self.workers:
            worker.start()

    def free(self) -> None:
        """Free the model."""
        engine, self._engine = self._engine, None
        if engine is not None:
            self._given = engine.tracker.given
            engine.close()
        self._drop_loaded()

    def prepare(self, values: dict[str, Value]) -> None:
        """Load the detector and the model that new values ask for.

        :raises ModelError: if they cannot be loaded.
        """
        self._drop_loaded()
        self._loaded = load_parts({**self.values, **values}, values)
        self._loaded.warm_up()

    def change(self, values: dict[str, Value]) -> None:
        """Take new values before the next picture."""
        super().change(values)
        loaded, self._loaded = self._loaded, Parts()
        self._engine.replace(loaded)
        self._engine.change(values)
        if loaded.detector or loaded.estimator:
            self.get_logger().info(self.hardware)

    def _drop_loaded(self) -> None:
        loaded, self._loaded = self._loaded, Parts()
        loaded.close()

    def _reset_tracks(self) -> str:
        engine = self._engine
        if engine is None:
            raise GazeRosError('the node is not configured: it has no tracks')
        return f'tracks forgotten from the next picture on: {engine.forget()}'

    def on_image(self, picture: Picture) -> None:
        """Leave an image to be worked on."""
        if not self.active:
            return
        self.stage.received()
        if self._came % (self.values['frame_skip'] + 1):
            self.stage.drop('skipped')
        else:
            self.workers[0].give(picture)
        self._came += 1

    def _on_info(self, message: CameraInfo) -> None:
        engine = self._engine
        if engine is None:
            return
        engine.calibration, self._uncalibrated = read_calibration(message)
        if self._uncalibrated and self._teller.due(self._uncalibrated):
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

    def _tell(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'an image was left out: {reason}')

    def _work(self, picture: Picture) -> None:
        header = picture.header
        if 0 < self.values['max_age'] < self.age(header):
            self.stage.drop('old')
            return
        start = time.monotonic()
        # A publisher that stamps nothing still gets tracking and smoothing.
        seen = self._engine.find(picture.bgr(), seconds(header.stamp) or start)
        taken = time.monotonic() - start
        if len(self.workers) == 1:
            self._finish((header, seen, taken))
        else:
            self.workers[1].give((header, seen, taken))

    def _finish(self, sight: tuple[Header, Sighting, float]) -> None:
        header, seen, taken = sight
        start = time.monotonic()
        frame = self._engine.gaze(seen)
        self._results.publish(gaze_array(frame, header))
        age = self.age(header)
        own = time.monotonic() - start
        # Side by side, the slower half is what a picture takes of the time.
        self.stage.done(age, taken + own if len(self.workers) == 1 else max(taken, own))
        self._detection.add(frame.detection_time)
        self._estimation.add(frame.estimation_time)
        line = self._statistics.add(age, frame.detection_time, frame.estimation_time)
        if line:
            self.get_logger().info(line)
