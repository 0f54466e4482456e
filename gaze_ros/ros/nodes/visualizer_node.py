"""The visualizer: pictures with their gaze drawn in, as a topic, a window or a video."""
from threading import Lock
import time
from typing import Optional

from gaze_ros.core.diagnostics.node_status import DisplayStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output.drawing import draw
from gaze_ros.core.output.video_recorder import ResumingVideoRecorder
from gaze_ros.core.output.window import Window
from gaze_ros.core.parameters import Value
from gaze_ros.core.pipeline.synchronizer import ExactTimeSynchronizer
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import input_topics, uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ImageConsumerNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import frame_gaze, seconds
from gaze_ros.ros.comm.image_transport import ImagePublisher, ReceivedImage
from gaze_ros.ros.comm.intra_process import IntraProcessSubscription
from gaze_ros.ros.launch.respawn_policy import launched_at
from gaze_ros.ros.process.shutdown import Shutdown
from gaze_ros.ros.publishers.snapshots import snapshot_folder, SnapshotService
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup


class VisualizerNode(ImageConsumerNode):
    """Draws each result into its own picture, found by its stamp, in a thread of its own."""

    def __init__(self, stop: Shutdown) -> None:
        super().__init__('visualizer', StageStats('Display'), stop)
        #: Shown by the main thread: windows belong to it on macOS.
        self.window: Optional[Window] = None
        self._recorder: Optional[ResumingVideoRecorder] = None
        self._opened: Optional[ResumingVideoRecorder] = None
        #: While a picture is added to the video: it is ended from another thread.
        self._recording = Lock()
        self._synchronizer: ExactTimeSynchronizer[ReceivedImage, GazeArray] = ExactTimeSynchronizer()
        self._snapshots = SnapshotService(self)

    def status(self) -> DisplayStatus:
        """Return what is known beside the stage's figures."""
        late = self._synchronizer.late
        missed, self._late = late - self._late, late
        return DisplayStatus(
            inputs=input_topics(self, *self.managed_subscriptions),
            window=bool(self.window), video=bool(self._recorder),
            recording_failure=self._recorder.failure if self._recorder else '',
            subscribers=self._annotated.get_subscription_count(), late_results=missed,
            queue_depth=self.workers[0].queue_depth, failure=self._failure,
            sim_time=uses_sim_time(self))

    def configure(self) -> None:
        """Begin the video, see whether there is a screen, and create the topics.

        :raises GazeRosError: if the video or snapshots cannot be saved where asked.
        """
        v = self.values
        snapshot_folder(v['snapshot_folder'])
        self._recorder = (
            ResumingVideoRecorder(v['output'], kept=launched_at()) if v['output'] else None)
        if v['view']:
            try:
                self.window = Window('gaze_ros')
            except GazeRosError as e:
                self.get_logger().error(str(e))
        self._annotated = ImagePublisher(self, topics.IMAGE_ANNOTATED, v['jpeg_quality'])
        self._told_late = False
        self.managed_subscriptions = [
            IntraProcessSubscription(self, GazeArray, topics.GAZE, self._on_gaze,
                   MutuallyExclusiveCallbackGroup()), self.subscribe_to_images()]

    def activate(self) -> None:
        """Begin to work."""
        self._late, self._failure = 0, ''
        self.workers = [Worker(
            'visualizer', self._show, self.stats, self._report_error, self.values['queue_depth'])]
        self.workers[0].start()

    def deactivate(self) -> None:
        """Drop the pictures that wait for their results."""
        self._synchronizer = ExactTimeSynchronizer()

    def cleanup(self) -> None:
        """End the video so that it plays, and let the window go: the main thread closes it."""
        self._record_to(None)
        self._drop_opened()
        self.window = None

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Begin the video that new values ask for.

        :raises GazeRosError: if it, or a snapshot, cannot be saved there.
        """
        self._drop_opened()
        snapshot_folder(values.get('snapshot_folder', ''))
        if values.get('output') and not self._records(values['output']):
            self._opened = ResumingVideoRecorder(values['output'])

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Take new values."""
        super().apply_parameters(values)
        if 'output' in values and not self._records(values['output']):
            opened, self._opened = self._opened, None
            self._record_to(opened)
        self._annotated.jpeg_quality = self.values['jpeg_quality']

    def on_image(self, picture: ReceivedImage) -> None:
        """Bring an image together with its result."""
        if self.active:
            stamp = picture.header.stamp
            self._synchronizer.set_image_size(picture.nbytes)
            self._hand_on(self._synchronizer.add_image((stamp.sec, stamp.nanosec), picture))

    def _drop_opened(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _records(self, output: str) -> bool:
        """Return whether this is the video at present: set once more it goes on."""
        return self._recorder is not None and self._recorder.requested_path == output

    def _record_to(self, recorder: Optional[ResumingVideoRecorder]) -> None:
        """Go on with another video, or none; the last one plays from here on."""
        with self._recording:
            old, self._recorder = self._recorder, recorder
            if old is not None:
                old.close()

    def _report_error(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'an image was not shown: {reason}')

    def _on_gaze(self, message: GazeArray) -> None:
        if not self.active:
            return
        stamp = message.header.stamp
        self._hand_on(self._synchronizer.add_result((stamp.sec, stamp.nanosec), message))
        if self._synchronizer.late and not self._told_late:
            self._told_late = True
            self.get_logger().warning(
                f'results come more than {self._synchronizer.capacity} images late: those images are '
                'not kept any more, and are not shown')

    def _hand_on(self, pair: Optional[tuple[ReceivedImage, GazeArray]]) -> None:
        if pair is not None:
            self.stats.received()
            self.workers[0].submit(pair)

    def _show(self, pair: tuple[ReceivedImage, GazeArray]) -> None:
        picture, gaze = pair
        start = time.monotonic()
        # Of a publisher that stamps nothing a video is of the time it was shown.
        stamp = seconds(picture.header.stamp) or start
        listened = self._annotated.get_subscription_count() > 0
        wanted = self._snapshots.pending
        if listened or self._recorder or self.window or wanted:
            bgr = picture.decode_writable()
            draw(bgr, frame_gaze(gaze), self.stats.rate.recent, self.age(picture.header))
            if self.window is not None:
                self.window.show(bgr)
            if listened:
                self._annotated.publish(bgr, picture.header)
            if wanted:
                self._snapshots.offer(bgr, picture.header)
            self._record(bgr, stamp)
        self.stats.processed(self.age(picture.header), time.monotonic() - start)

    def _record(self, picture: np.ndarray, stamp: float) -> None:
        with self._recording:
            if self._recorder is not None:
                self._recorder.add(picture, stamp)
