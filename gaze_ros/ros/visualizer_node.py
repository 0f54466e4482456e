"""The visualizer: pictures with their gaze drawn in, as a topic, a window or a video."""
from collections.abc import Sequence
import math
import time
from typing import Optional

from gaze_ros.core.drawing import draw
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.facts import DisplayFacts
from gaze_ros.core.matching import StampMatcher
from gaze_ros.core.parameters import VISUALIZER
from gaze_ros.core.recording import VideoRecorder
from gaze_ros.core.stage import Stage
from gaze_ros.core.window import Window
from gaze_ros.core.worker import Worker
from gaze_ros.msg import GazeArray
from gaze_ros.ros import topics
from gaze_ros.ros.diagnostics import Diagnostics, in_sim_time, inputs
from gaze_ros.ros.handover import Reader
from gaze_ros.ros.images import ImagePublisher, Picture, subscribe_images
from gaze_ros.ros.messages import frame_gaze, seconds
from gaze_ros.ros.parameters import declare
from gaze_ros.ros.stop import Stop
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

#: Bytes of images kept until their result comes: 9 s of 640x480, 1.3 s of 1920x1080 at 30 Hz.
_MEMORY = 256_000_000


class VisualizerNode(Node):
    """Draws each result into its own picture, found by its stamp, in a thread of its own.

    :param stop: not used: the main thread minds the window, and q in it.
    :raises GazeRosError: if the video cannot be saved where asked.
    """

    _readers: Sequence[Reader] = ()  # till they are made: a node that fails is destroyed, too

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
        self._matcher: StampMatcher[Picture, GazeArray] = StampMatcher()
        self._told_late = False
        self._worker = Worker(
            'visualizer', self._show, self.stage, self._tell, values['queue_depth'])
        self._annotated = ImagePublisher(
            self, topics.IMAGE_ANNOTATED, values['jpeg_quality'])
        self._readers = [
            Reader(self, GazeArray, topics.GAZE, self._on_gaze,
                   MutuallyExclusiveCallbackGroup()),
            subscribe_images(self, topics.IMAGE, self._on_image,
                             MutuallyExclusiveCallbackGroup(), values['image_transport'])]
        self._late, self._failure = 0, ''
        Diagnostics(self, self.stage, '', self._facts)

    def start(self) -> None:
        """Begin to work."""
        self._worker.start()

    def end(self) -> None:
        """Tell the thread to end."""
        self._worker.end()

    def destroy_node(self) -> None:
        """Take nothing more, and destroy the node."""
        for reader in self._readers:
            reader.end()
        super().destroy_node()

    def close(self, timeout: float) -> None:
        """Wait for the thread, and end the video so that it plays."""
        if self._worker.join(timeout) and self._recorder and self._recorder.close():
            self.get_logger().info(f"saved '{self._recorder.path}'")

    def _facts(self) -> DisplayFacts:
        late = self._matcher.late
        missed, self._late = late - self._late, late
        return DisplayFacts(
            inputs(self, *self._readers), bool(self.window),
            bool(self._recorder), self._annotated.get_subscription_count(), missed,
            self._worker.queue_depth, self._failure, in_sim_time(self))

    def _tell(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'an image was not shown: {reason}')

    def _on_image(self, picture: Picture) -> None:
        stamp = picture.header.stamp
        self._matcher.capacity = max(16, min(300, _MEMORY // max(1, picture.nbytes)))
        self._hand_on(self._matcher.add_picture((stamp.sec, stamp.nanosec), picture))

    def _on_gaze(self, message: GazeArray) -> None:
        stamp = message.header.stamp
        self._hand_on(self._matcher.add_result((stamp.sec, stamp.nanosec), message))
        if self._matcher.late and not self._told_late:
            self._told_late = True
            self.get_logger().warning(
                f'results come more than {self._matcher.capacity} images late: those images are '
                'not kept any more, and are not shown')

    def _hand_on(self, pair: Optional[tuple[Picture, GazeArray]]) -> None:
        if pair is not None:
            self.stage.come()
            self._worker.give(pair)

    def _show(self, pair: tuple[Picture, GazeArray]) -> None:
        picture, gaze = pair
        start = time.monotonic()
        stamp = seconds(picture.header.stamp)
        listened = self._annotated.get_subscription_count() > 0
        if listened or self._recorder or self.window:
            bgr = picture.own_bgr()
            draw(bgr, frame_gaze(gaze), self.stage.rate.recent, self._age(stamp))
            if self.window is not None:
                self.window.offer(bgr)
            if listened:
                self._annotated.publish(bgr, picture.header)
            if self._recorder is not None:
                self._record(bgr, stamp)
        self.stage.done(self._age(stamp), time.monotonic() - start)

    def _age(self, stamp: float) -> float:
        """Return how long ago a stamp was, in seconds; NaN for none."""
        if not stamp:
            return math.nan
        return 1e-9 * self.get_clock().now().nanoseconds - stamp

    def _record(self, picture: np.ndarray, stamp: float) -> None:
        try:
            self._recorder.add(picture, stamp)
        except GazeRosError:
            self._recorder = None
            raise
