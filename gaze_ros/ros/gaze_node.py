"""The gaze node: images in, everybody's gaze out."""
import math
from queue import SimpleQueue
import time

from gaze_ros.core.engine import create_engine
from gaze_ros.core.faces import Face
from gaze_ros.core.parameters import GAZE, Value
from gaze_ros.core.stage import Stage
from gaze_ros.core.statistics import FrameStatistics
from gaze_ros.core.worker import Worker
from gaze_ros.msg import GazeArray
from gaze_ros.ros import topics
from gaze_ros.ros.calibration import calibration_of
from gaze_ros.ros.messages import gaze_array, image_to_bgr, seconds
from gaze_ros.ros.parameters import declare
from gaze_ros.ros.stop import Stop
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

#: Parameters that are attributes of the engine.
_OF_ENGINE = ('min_score', 'max_faces', 'looking_at_camera_angle', 'horizontal_fov')


class GazeNode(Node):
    """Publishes gaze for the newest image, from a thread of its own.

    :param stop: not used: this node ends when it is told to.
    :raises ModelError: if the detector or the model cannot be loaded.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__('gaze')
        self.stage = Stage('Inference')
        self._statistics = FrameStatistics()
        self._changes: SimpleQueue[dict[str, Value]] = SimpleQueue()
        v = declare(self, GAZE, self._changes.put)
        self._engine = create_engine(v)
        # The first call of a model allocates: better now than on the first frame.
        black = np.zeros((480, 640, 3), np.uint8)
        self._engine.detector.detect(black)
        self._engine.estimator.estimate(black, [Face((200, 120, 240, 240), 1.0)])
        self._told_calibration = False
        self._worker = Worker(
            'gaze', self._process, self.stage,
            lambda reason: self.get_logger().error(f'an image was left out: {reason}'))
        self._results = topics.publish(self, GazeArray, topics.GAZE)
        group = MutuallyExclusiveCallbackGroup()
        topics.subscribe(self, CameraInfo, topics.CAMERA_INFO, self._on_info, group)
        topics.subscribe(self, Image, topics.IMAGE, self._on_image, group)
        self.get_logger().info(self._engine.description)

    def start(self) -> None:
        """Begin to work."""
        self._worker.start()

    def end(self) -> None:
        """Tell the thread to end."""
        self._worker.end()

    def close(self, timeout: float) -> None:
        """Wait for the thread and free the model."""
        if self._worker.join(timeout):
            self._engine.close()

    def _on_image(self, message: Image) -> None:
        self._worker.give(message)

    def _on_info(self, message: CameraInfo) -> None:
        self._engine.calibration = calibration_of(message)
        if message.k[0] and not self._engine.calibration and not self._told_calibration:
            self._told_calibration = True
            self.get_logger().warning(
                f"the calibration (distortion_model '{message.distortion_model}', "
                f'{len(message.d)} coefficients) is not plumb_bob or rational_polynomial: '
                'directions assume horizontal_fov instead')

    def _change(self, values: dict[str, Value]) -> None:
        """Change the engine between two frames, in its own thread."""
        for name, value in values.items():
            if name in _OF_ENGINE:
                setattr(self._engine, name, value)
            elif name == 'smoothing_time':
                self._engine.smoother.time = value
            elif name == 'smoothing_beta':
                self._engine.smoother.beta = value
            elif name == 'track_timeout':
                self._engine.tracker.timeout = self._engine.smoother.timeout = value

    def _process(self, message: Image) -> None:
        while not self._changes.empty():
            self._change(self._changes.get())
        stamp = seconds(message.header.stamp)
        now = self.get_clock().now
        # A publisher that stamps nothing still gets tracking and smoothing.
        frame = self._engine.process(image_to_bgr(message), stamp or time.monotonic())
        self._results.publish(gaze_array(frame, message.header))
        self.stage.done()
        latency = 1e-9 * now().nanoseconds - stamp if stamp else math.nan
        line = self._statistics.add(latency, frame.detection_time, frame.estimation_time)
        if line:
            self.get_logger().info(line)
