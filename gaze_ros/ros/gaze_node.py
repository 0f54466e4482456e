"""The gaze node: images in, everybody's gaze out."""
from collections.abc import Sequence
import math
from queue import SimpleQueue
import time

from gaze_ros.core import threads
from gaze_ros.core.engine import create_engine, Sighting
from gaze_ros.core.facts import InferenceFacts, Recent
from gaze_ros.core.health import gpu_present
from gaze_ros.core.parameters import GAZE, Value
from gaze_ros.core.stage import Stage
from gaze_ros.core.statistics import FrameStatistics
from gaze_ros.core.worker import Worker
from gaze_ros.msg import GazeArray
from gaze_ros.ros import topics
from gaze_ros.ros.calibration import calibration_of
from gaze_ros.ros.diagnostics import Diagnostics, in_sim_time, inputs
from gaze_ros.ros.handover import Outlet, Reader
from gaze_ros.ros.images import Picture, subscribe_images
from gaze_ros.ros.messages import gaze_array, seconds
from gaze_ros.ros.parameters import declare
from gaze_ros.ros.stop import Stop
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

#: Parameters that are attributes of the engine.
_OF_ENGINE = (
    'min_score', 'max_faces', 'detect_interval', 'looking_at_camera_angle', 'horizontal_fov')

#: Cores from which on faces are looked for while gaze is estimated. On 2 it makes neither faster
#: (docs/performance.md). Both take all threads: with half of them each, one face alone is slower.
_MANY_CORES = 4


class GazeNode(Node):
    """Publishes gaze for the newest image, from one thread of its own, or from two.

    :param stop: not used: this node ends when it is told to.
    :raises ModelError: if the detector or the model cannot be loaded.
    """

    _readers: Sequence[Reader] = ()  # till they are made: a node that fails is destroyed, too

    def __init__(self, stop: Stop) -> None:
        super().__init__('gaze')
        self.stage = Stage('Inference')
        self._statistics = FrameStatistics()
        self._changes: SimpleQueue[dict[str, Value]] = SimpleQueue()
        self._values = v = declare(self, GAZE, self._on_change)
        overlap = v['overlap'] == 'always' or (
            v['overlap'] == 'auto' and threads.count() >= _MANY_CORES)
        self._engine = create_engine(v)
        self._engine.warm_up()
        self._came = 0
        self._told_calibration = False
        depth = v['queue_depth']
        self._finder = Worker('gaze', self._work, self.stage, self._tell, depth)
        self._estimator = Worker(
            'estimation', self._finish, self.stage, self._tell, depth) if overlap else None
        self._results = Outlet(self, GazeArray, topics.GAZE)
        self._readers = [
            Reader(self, CameraInfo, topics.CAMERA_INFO, self._on_info,
                   MutuallyExclusiveCallbackGroup()),
            subscribe_images(self, topics.IMAGE, self._on_image,
                             MutuallyExclusiveCallbackGroup(), v['image_transport'])]
        self.get_logger().info(self.description)
        self._detection, self._estimation, self._failure = Recent(), Recent(), ''
        self._gpu = gpu_present()  # after loading the model: torch is asked where it is loaded
        Diagnostics(self, self.stage, self.description, self._facts)

    @property
    def description(self) -> str:
        """What does the work: model, runtime, device, precision, detector."""
        return self._engine.description

    def start(self) -> None:
        """Begin to work."""
        for worker in self._workers:
            worker.start()

    def end(self) -> None:
        """Tell the threads to end."""
        for worker in self._workers:
            worker.end()

    def destroy_node(self) -> None:
        """Take nothing more, and destroy the node."""
        for reader in self._readers:
            reader.end()
        super().destroy_node()

    def close(self, timeout: float) -> None:
        """Wait for the threads and free the model."""
        until = time.monotonic() + timeout
        if all(w.join(max(0.0, until - time.monotonic())) for w in self._workers):
            self._engine.close()

    @property
    def _workers(self) -> list[Worker]:
        return [w for w in (self._finder, self._estimator) if w is not None]

    def _on_image(self, picture: Picture) -> None:
        self.stage.come()
        if self._came % (self._values['frame_skip'] + 1):
            self.stage.drop('skipped')
        else:
            self._finder.give(picture)
        self._came += 1

    def _on_info(self, message: CameraInfo) -> None:
        self._engine.calibration = calibration_of(message)
        if message.k[0] and not self._engine.calibration and not self._told_calibration:
            self._told_calibration = True
            self.get_logger().warning(
                f"the calibration (distortion_model '{message.distortion_model}', "
                f'{len(message.d)} coefficients) is not plumb_bob or rational_polynomial: '
                'directions assume horizontal_fov instead')

    def _facts(self) -> InferenceFacts:
        v, estimator = self._values, self._engine.estimator
        return InferenceFacts(
            inputs(self, self._readers[1]),
            self._detection.mean, self._estimation.mean, model=estimator.name,
            running=estimator.running, detector=self._engine.detector.name, device=v['device'],
            gpu=self._gpu, queue_depth=self._finder.queue_depth, max_age=v['max_age'],
            failure=self._failure, sim_time=in_sim_time(self))

    def _tell(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'an image was left out: {reason}')

    def _on_change(self, values: dict[str, Value]) -> None:
        self._values.update(values)
        self._changes.put(values)

    def _change(self, values: dict[str, Value]) -> None:
        """Change the engine between two frames, in the thread that finds the faces."""
        for name, value in values.items():
            if name in _OF_ENGINE:
                setattr(self._engine, name, value)
            elif name == 'smoothing_time':
                self._engine.smoother.time = value
            elif name == 'smoothing_beta':
                self._engine.smoother.beta = value
            elif name == 'track_timeout':
                self._engine.tracker.timeout = self._engine.smoother.timeout = value

    def _age(self, header: Header) -> float:
        """Return how long ago a picture was taken, in seconds; NaN where it has no stamp."""
        stamp = seconds(header.stamp)
        return 1e-9 * self.get_clock().now().nanoseconds - stamp if stamp else math.nan

    def _work(self, picture: Picture) -> None:
        while not self._changes.empty():
            self._change(self._changes.get())
        header = picture.header
        if 0 < self._values['max_age'] < self._age(header):
            self.stage.drop('old')
            return
        start = time.monotonic()
        # A publisher that stamps nothing still gets tracking and smoothing.
        seen = self._engine.find(picture.bgr(), seconds(header.stamp) or start)
        taken = time.monotonic() - start
        if self._estimator is None:
            self._finish((header, seen, taken))
        else:
            self._estimator.give((header, seen, taken))

    def _finish(self, sight: tuple[Header, Sighting, float]) -> None:
        header, seen, taken = sight
        start = time.monotonic()
        frame = self._engine.gaze(seen)
        self._results.publish(gaze_array(frame, header))
        age = self._age(header)
        own = time.monotonic() - start
        # Side by side, the slower half is what a picture takes of the time.
        self.stage.done(age, max(taken, own) if self._estimator else taken + own)
        self._detection.add(frame.detection_time)
        self._estimation.add(frame.estimation_time)
        line = self._statistics.add(age, frame.detection_time, frame.estimation_time)
        if line:
            self.get_logger().info(line)
