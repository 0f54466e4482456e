"""The visualizer node: draws gaze into images, for a topic, a window, a video or a snapshot."""
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
from gaze_ros.core.stream_time import StreamClock
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

_Synchronizer = ExactTimeSynchronizer[ReceivedImage, GazeArray]


class VisualizerNode(ImageConsumerNode):
    """Draws each result into the image of the same stamp, in a thread of its own."""

    def __init__(self, shutdown: Shutdown) -> None:
        super().__init__('visualizer', StageStats('Display'), shutdown)
        #: Shown by the main thread, as macOS requires.
        self.window: Optional[Window] = None
        self._recorder: Optional[ResumingVideoRecorder] = None
        #: Prepared for new parameter values, until they are applied.
        self._prepared: Optional[ResumingVideoRecorder] = None
        #: Held while an image is added to the video: another thread may close the video.
        self._recorder_lock = Lock()
        self._synchronizer = _Synchronizer()
        self._snapshots = SnapshotService(self)

    def status(self) -> DisplayStatus:
        """Return the state of the node beside its statistics."""
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
        """Open the video and the window, and create the topics.

        :raises GazeRosError: if the video or snapshots cannot be saved where asked.
        """
        v = self.values
        snapshot_folder(v['snapshot_folder'])
        self._recorder = (
            ResumingVideoRecorder(v['output'], keep_since=launched_at()) if v['output'] else None)
        if v['view']:
            try:
                self.window = Window('gaze_ros')
            except GazeRosError as e:
                self.get_logger().error(str(e))
        self._annotated = ImagePublisher(self, topics.IMAGE_ANNOTATED, v['jpeg_quality'])
        self._warned_late = False
        self.managed_subscriptions = [IntraProcessSubscription(
            self, GazeArray, topics.GAZE, self._on_gaze, needed=self.takes_images,
            on_error=self.report_callback_error)]
        self.managed_subscriptions.append(self.subscribe_to_images())  # which may raise

    def activate(self) -> None:
        """Start the thread."""
        self._late, self._failure, self._stream_clock = 0, '', StreamClock()
        self.workers = [Worker(
            'visualizer', self._show, self.stats, self._report_error, self.values['queue_depth'])]
        self.workers[0].start()

    def deactivate(self) -> None:
        """Drop the images that wait for their results."""
        self._synchronizer = _Synchronizer()

    def cleanup(self) -> None:
        """Finish the video and release the window, which the main thread closes."""
        self._record_to(None)
        self._close_prepared()
        self.window = None

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Open the video that new values name.

        :raises GazeRosError: if the video or snapshots cannot be saved there.
        """
        self._close_prepared()
        snapshot_folder(values.get('snapshot_folder', ''))
        if values.get('output') and not self._records_to(values['output']):
            self._prepared = ResumingVideoRecorder(values['output'])

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Apply new values."""
        super().apply_parameters(values)
        if 'output' in values and not self._records_to(values['output']):
            recorder, self._prepared = self._prepared, None
            self._record_to(recorder)
        self._annotated.jpeg_quality = self.values['jpeg_quality']

    def takes_images(self) -> bool:
        """Return whether annotated images are shown, saved or subscribed to."""
        return bool(self.window or self._recorder or self._snapshots.pending
                    or self._annotated.get_subscription_count())

    def on_image(self, image: ReceivedImage) -> None:
        """Pair an image with its result."""
        if self.active:
            stamp = image.header.stamp
            self._synchronizer.set_image_size(image.nbytes)
            self._submit(self._synchronizer.add_image((stamp.sec, stamp.nanosec), image))

    def _close_prepared(self) -> None:
        recorder, self._prepared = self._prepared, None
        if recorder is not None:
            recorder.close()

    def _records_to(self, output: str) -> bool:
        """Return whether this is the present video, which then continues."""
        return self._recorder is not None and self._recorder.requested_path == output

    def _record_to(self, recorder: Optional[ResumingVideoRecorder]) -> None:
        """Switch to another video, or to None; the old one is finished and can be played."""
        with self._recorder_lock:
            old, self._recorder = self._recorder, recorder
            if old is not None:
                old.close()

    def _report_error(self, reason: str) -> None:
        self._failure = reason
        self.get_logger().error(f'image not shown: {reason}')

    def _on_gaze(self, message: GazeArray) -> None:
        if not self.active:
            return
        stamp = message.header.stamp
        self._submit(self._synchronizer.add_result((stamp.sec, stamp.nanosec), message))
        if self._synchronizer.late and not self._warned_late:
            self._warned_late = True
            self.get_logger().warning(
                f'results arrive more than {self._synchronizer.capacity} images late: their '
                'images were dropped already and are not shown')

    def _submit(self, pair: Optional[tuple[ReceivedImage, GazeArray]]) -> None:
        if pair is not None:
            self.stats.received()
            self.workers[0].submit(pair)

    def _show(self, pair: tuple[ReceivedImage, GazeArray]) -> None:
        received, gaze = pair
        header = received.header
        start = time.monotonic()
        stamp = round(1e9 * seconds(header.stamp))
        video_time = self._stream_clock.update(stamp or None, 1e9 * start).time
        subscribed = self._annotated.get_subscription_count() > 0
        snapshot = self._snapshots.pending
        if subscribed or self._recorder or self.window or snapshot:
            image = received.decode_writable()
            draw(image, frame_gaze(gaze), self.stats.rate.recent, self.age(header))
            if self.window is not None:
                self.window.show(image)
            if subscribed:
                self._annotated.publish(image, header)
            if snapshot:
                self._snapshots.offer(image, header)
            self._record(image, video_time)
        self.stats.processed(self.age(header), time.monotonic() - start)

    def _record(self, image: np.ndarray, video_time: float) -> None:
        with self._recorder_lock:
            if self._recorder is not None:
                self._recorder.add(image, video_time)
