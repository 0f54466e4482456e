"""The visualizer: pictures with their gaze drawn in, as a topic, a window or a video."""
from typing import Optional

from gaze_ros.core.drawing import draw
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.matching import StampMatcher
from gaze_ros.core.parameters import VISUALIZER
from gaze_ros.core.recording import VideoRecorder
from gaze_ros.core.stage import Stage
from gaze_ros.core.window import Window
from gaze_ros.core.worker import Worker
from gaze_ros.msg import GazeArray
from gaze_ros.ros import topics
from gaze_ros.ros.messages import bgr_to_image, frame_gaze, image_to_bgr, seconds
from gaze_ros.ros.parameters import declare
from gaze_ros.ros.stop import Stop
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image

#: Bytes of images kept until their result comes: 9 s of 640x480, 1.3 s of 1920x1080 at 30 Hz.
_MEMORY = 256_000_000


class VisualizerNode(Node):
    """Draws each result into its own picture, found by its stamp, in a thread of its own.

    :param stop: not used: the main thread minds the window, and q in it.
    :raises GazeRosError: if the video cannot be saved where asked.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__('visualizer')
        self.stage = Stage('Display')
        values = declare(self, VISUALIZER)
        self._recorder: Optional[VideoRecorder] = (
            VideoRecorder(values['output']) if values['output'] else None)
        #: Shown by the main thread: windows belong to it on macOS.
        self.window: Optional[Window] = None
        if values['view']:
            try:
                self.window = Window('gaze_ros')
            except GazeRosError as e:
                self.get_logger().error(str(e))
        self._matcher: StampMatcher[Image, GazeArray] = StampMatcher()
        self._told_late = False
        self._worker = Worker(
            'visualizer', self._show, self.stage,
            lambda reason: self.get_logger().error(f'an image was not shown: {reason}'))
        self._annotated = topics.publish(self, Image, topics.IMAGE_ANNOTATED)
        group = MutuallyExclusiveCallbackGroup()
        topics.subscribe(self, GazeArray, topics.GAZE, self._on_gaze, group)
        topics.subscribe(self, Image, topics.IMAGE, self._on_image, group)

    def start(self) -> None:
        """Begin to work."""
        self._worker.start()

    def end(self) -> None:
        """Tell the thread to end."""
        self._worker.end()

    def close(self, timeout: float) -> None:
        """Wait for the thread, and end the video so that it plays."""
        if self._worker.join(timeout) and self._recorder and self._recorder.close():
            self.get_logger().info(f"saved '{self._recorder.path}'")

    def _on_image(self, message: Image) -> None:
        stamp = message.header.stamp
        self._matcher.capacity = max(16, min(300, _MEMORY // max(1, len(message.data))))
        self._hand_on(self._matcher.add_picture((stamp.sec, stamp.nanosec), message))

    def _on_gaze(self, message: GazeArray) -> None:
        stamp = message.header.stamp
        self._hand_on(self._matcher.add_result((stamp.sec, stamp.nanosec), message))
        if self._matcher.late and not self._told_late:
            self._told_late = True
            self.get_logger().warning(
                f'results come more than {self._matcher.capacity} images late: those images are '
                'not kept any more, and are not shown')

    def _hand_on(self, pair: Optional[tuple[Image, GazeArray]]) -> None:
        if pair is not None:
            self._worker.give(pair)

    def _show(self, pair: tuple[Image, GazeArray]) -> None:
        image, gaze = pair
        self.stage.done()
        listened = self._annotated.get_subscription_count() > 0
        if not (listened or self._recorder or self.window):
            return
        stamp = seconds(image.header.stamp)
        latency = 1e-9 * self.get_clock().now().nanoseconds - stamp
        picture = image_to_bgr(image)  # this node's own copy of the message: drawn into
        draw(picture, frame_gaze(gaze), self.stage.rate.recent, latency)
        if listened:
            self._annotated.publish(bgr_to_image(picture, image.header))
        if self._recorder is not None:
            self._record(picture, stamp)
        if self.window is not None:
            self.window.offer(picture)

    def _record(self, picture: np.ndarray, stamp: float) -> None:
        try:
            self._recorder.add(picture, stamp)
        except GazeRosError:
            self._recorder = None
            raise
