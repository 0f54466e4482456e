"""The recorder node: records what the nodes publish, and images if asked, to a rosbag2 bag."""
from datetime import datetime
import math
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
import time
from typing import Optional

from gaze_ros.bags.foxglove import ANNOTATIONS
from gaze_ros.bags.stamps import stamp_of
from gaze_ros.bags.writing import BagWriter, free_path
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.node_status import RecorderStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import InputTopic
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import disk_guard
from gaze_ros.core.parameters import BAG_NODES
from gaze_ros.core.system.utf8 import printable
from gaze_ros.msg import Attention, Focus, GazeArray
from gaze_ros.ros.base.diagnostics import uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import frame_gaze
from gaze_ros.ros.launch.respawn_policy import launched_at
from gaze_ros.ros.process.error_text import format_error
from gaze_ros.ros.process.shutdown import Shutdown
from gaze_ros.ros.publishers.annotations import annotations_cdr
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage

#: Maximum messages that wait for the disk: 4 s of gaze and images at 30 Hz.
_QUEUE_SIZE = 256

#: QoS depth of the subscriptions: all messages are recorded, not only the newest.
_DEPTH = 20

_GAZE, _ATTENTION, _FOCUS, _IMAGE, _CAMERA_INFO = (
    'gaze_ros/msg/GazeArray', 'gaze_ros/msg/Attention', 'gaze_ros/msg/Focus',
    'sensor_msgs/msg/CompressedImage', 'sensor_msgs/msg/CameraInfo')
_TYPES = {_GAZE: GazeArray, _ATTENTION: Attention, _FOCUS: Focus, _IMAGE: CompressedImage,
          _CAMERA_INFO: CameraInfo}


class RecorderNode(ManagedNode):
    """Writes the received messages, serialized and unchanged, in a thread of its own.

    Deactivation pauses it; cleanup finishes the bag.

    If the disk is full or the bag was removed, it continues in NAME_2, NAME_3, ... as soon as
    possible.
    """

    def __init__(self, shutdown: Shutdown) -> None:
        super().__init__('recorder', BAG_NODES['recorder'], StageStats('Recorder'), shutdown)
        self._thread: Optional[Thread] = None
        self._writer: Optional[BagWriter] = None
        self._queue: Queue[Optional[tuple[str, int, bytes]]] = Queue()
        self._failure, self._retry_at = '', 0.0
        self._log_throttle = LogThrottle()

    @property
    def hardware_id(self) -> str:
        """The path of the bag."""
        return printable(str(self._writer.path)) if self._writer else ''

    def status(self) -> RecorderStatus:
        """Return the state of the node beside its statistics."""
        gaze = self._gaze
        return RecorderStatus(
            inputs=(InputTopic(gaze, self.count_publishers(gaze)),), output=self.hardware_id,
            failure=self._failure, sim_time=uses_sim_time(self))

    def configure(self) -> None:
        """Create the bag, and subscribe.

        :raises GazeRosError: if it cannot be written, or existed before launch started.
        """
        name = self.values['output'] or f'gaze_{datetime.now():%Y_%m_%d-%H_%M_%S}'
        self._gaze = self.resolve_topic_name(topics.GAZE)
        types = {topics.GAZE: _GAZE, topics.ATTENTION: _ATTENTION, topics.FOCUS: _FOCUS,
                 topics.OBJECTS: _ATTENTION}
        if self.values['images']:
            types[f'{topics.IMAGE_ANNOTATED}/compressed'] = _IMAGE
        if self.values['overlays']:
            types |= {f'{topics.IMAGE}/compressed': _IMAGE, topics.CAMERA_INFO: _CAMERA_INFO}
        types = {self.resolve_topic_name(name): kind for name, kind in types.items()}
        group = MutuallyExclusiveCallbackGroup()
        for topic, type_name in types.items():
            self.create_subscription(
                _TYPES[type_name], topic, lambda cdr, topic=topic: self._on_message(topic, cdr),
                QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT),
                callback_group=group, raw=True,
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
        # Last, so that an earlier failure or interruption leaves no empty bag.
        self._overlays = ''
        if self.values['overlays']:
            # Made here from the gaze: foxglove_msgs need not be installed.
            self._overlays = self.resolve_topic_name(topics.ANNOTATIONS)
            types = {**types, self._overlays: ANNOTATIONS}
        self._topics = types
        self._record_to(Path(name), launched_at())
        self._path = self._writer.path.with_name(Path(name).name)
        if self._path != self._writer.path:
            self.get_logger().info(
                f"'{printable(str(self._path))}' was recorded before this process was restarted "
                'and is kept')
        self._disk = disk_guard.device_of(self._path.parent)

    def activate(self) -> None:
        """Start or resume recording."""
        self._queue = Queue(_QUEUE_SIZE)
        self._thread = Thread(target=self._run, name='recorder', daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to stop once it has written the queued messages."""
        self._put(None)

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` s for the thread; return whether it is not running."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def cleanup(self) -> None:
        """Finish the bag, so that it can be read."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except GazeRosError as e:
            self.get_logger().error(str(e))
        else:
            self.get_logger().info(
                f"saved '{printable(str(writer.path))}' with "
                f'{self.stats.rate.count - self._before} messages')

    def _record_to(self, path: Path, kept: float = math.inf) -> None:
        self._writer = BagWriter(path, self._topics, kept)
        self._failure, self._before = '', self.stats.rate.count
        self.get_logger().info(f"recording {', '.join(self._topics)} to '{self.hardware_id}'")

    def _on_message(self, topic: str, cdr: bytes) -> None:
        if not self.active:
            return
        self.stats.received()
        self._put((topic, self.get_clock().now().nanoseconds, cdr))

    def _put(self, item: Optional[tuple[str, int, bytes]]) -> None:
        while True:
            try:
                self._queue.put_nowait(item)
                return
            except Full:
                try:
                    self._queue.get_nowait()
                    self.stats.dropped('newer')
                except Empty:
                    pass

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            start = time.monotonic()
            topic, now, cdr = item
            try:
                if self._writer is None:
                    self._resume()
                # Without a /clock message yet, now is 0.
                stamp = stamp_of(cdr)
                self._writer.add(topic, now or stamp, cdr)
                if self._overlays and topic == self._gaze:
                    gaze = deserialize_message(cdr, GazeArray)
                    self._writer.add(self._overlays, now or stamp, annotations_cdr(
                        frame_gaze(gaze), gaze.header))
            except Exception as e:
                self.stats.dropped('failed')
                if not isinstance(e, GazeRosError):
                    self._skip(f'{topic}: {format_error(e)}')
                elif self._writer is not None:
                    self._fail(format_error(e))
            else:
                age = 1e-9 * (self.get_clock().now().nanoseconds - stamp) if stamp else math.nan
                self.stats.processed(age, time.monotonic() - start)

    def _skip(self, reason: str) -> None:
        """Report a message that cannot be recorded."""
        self.stats.failed(reason)
        if self._log_throttle.should_log(reason):
            self.get_logger().error(f'message skipped: {reason}')

    def _fail(self, reason: str) -> None:
        """Finish this bag; recording continues in another one when possible."""
        self._failure, self._retry_at = reason, time.monotonic() + disk_guard.RETRY_PERIOD
        self.stats.failed(reason)
        self.get_logger().error(f'{reason}; recording continues in another bag when possible')
        self.cleanup()

    def _resume(self) -> None:
        """Start another bag if there is disk space; raise GazeRosError if there is none."""
        if time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + disk_guard.RETRY_PERIOD
            if disk_guard.can_resume(self._path.parent, self._disk):
                self._record_to(free_path(self._path))
                return
        raise GazeRosError(self._failure)
