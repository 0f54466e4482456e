"""The recorder: gaze, attention and annotated images into a bag that every reader takes."""
from datetime import datetime
import math
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
import time
from typing import Optional

from gaze_ros.bags.stamps import stamp_of
from gaze_ros.bags.writing import BagWriter, free_path
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.node_status import RecorderStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import InputTopic
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import disk_guard
from gaze_ros.core.parameters import BAG_NODES
from gaze_ros.msg import Attention, GazeArray
from gaze_ros.ros.base.diagnostics import uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.launch.respawn_policy import launched_at
from gaze_ros.ros.process.error_text import format_error
from gaze_ros.ros.process.shutdown import Shutdown
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage

#: Messages that may wait for the disk: 4 s of gaze and images at 30 a second.
_WAITING = 256

#: Of subscriptions: a recorder wants them all, not the newest.
_DEPTH = 20

_TYPES = {'gaze_ros/msg/GazeArray': GazeArray, 'gaze_ros/msg/Attention': Attention,
          'sensor_msgs/msg/CompressedImage': CompressedImage}


class RecorderNode(ManagedNode):
    """Writes messages as they came, byte by byte, in a thread of its own.

    Deactivated it pauses; cleaned up it ends the bag.

    Where its disk is full, or the bag was removed, it goes on in NAME_2, NAME_3, ... as soon as it
    can.
    """

    def __init__(self, stop: Shutdown) -> None:
        super().__init__('recorder', BAG_NODES['recorder'], StageStats('Recorder'), stop)
        self._thread: Optional[Thread] = None
        self._writer: Optional[BagWriter] = None
        self._queue: Queue[Optional[tuple[str, int, bytes]]] = Queue()
        self._failure, self._again = '', 0.0
        self._teller = LogThrottle()

    @property
    def hardware_id(self) -> str:
        """What is written to."""
        return str(self._writer.path) if self._writer else ''

    def status(self) -> RecorderStatus:
        """Return what is known beside the stage's figures."""
        gaze = self._gaze
        return RecorderStatus(
            inputs=(InputTopic(gaze, self.count_publishers(gaze)),), output=self.hardware_id,
            failure=self._failure, sim_time=uses_sim_time(self))

    def configure(self) -> None:
        """Create the bag, and subscribe.

        :raises GazeRosError: if it cannot be written, or was there before launch began.
        """
        name = self.values['output'] or f'gaze_{datetime.now():%Y_%m_%d-%H_%M_%S}'
        self._gaze = self.resolve_topic_name(topics.GAZE)
        kinds = {self._gaze: 'gaze_ros/msg/GazeArray',
                 self.resolve_topic_name(topics.ATTENTION): 'gaze_ros/msg/Attention'}
        if self.values['images']:
            kinds[self.resolve_topic_name(topics.IMAGE_ANNOTATED) + '/compressed'] = (
                'sensor_msgs/msg/CompressedImage')
        group = MutuallyExclusiveCallbackGroup()
        for topic, kind in kinds.items():
            self.create_subscription(
                _TYPES[kind], topic, lambda cdr, topic=topic: self._on_message(topic, cdr),
                QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT),
                callback_group=group, raw=True,
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
        # At last: what fails or is broken off before it leaves no bag behind.
        self._kinds = kinds
        self._record_to(Path(name), launched_at())
        self._path = self._writer.path.with_name(Path(name).name)
        if self._path != self._writer.path:
            self.get_logger().info(
                f"'{self._path}' was recorded before this process was started again, and is kept")
        self._disk = disk_guard.device_of(self._path.parent)

    def activate(self) -> None:
        """Begin to record, or go on."""
        self._queue = Queue(_WAITING)
        self._thread = Thread(target=self._run, name='recorder', daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Tell the thread to end when it has written what waits."""
        self._put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the thread, in seconds; return whether it has ended, or never began."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def cleanup(self) -> None:
        """End the bag, so that it can be read."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except GazeRosError as e:
            self.get_logger().error(str(e))
        else:
            self.get_logger().info(
                f"saved '{writer.path}' with {self.stats.rate.count - self._before} messages")

    def _record_to(self, path: Path, kept: float = math.inf) -> None:
        self._writer = BagWriter(path, self._kinds, kept)
        self._failure, self._before = '', self.stats.rate.count
        self.get_logger().info(f"recording {', '.join(self._kinds)} to '{self._writer.path}'")

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
                    self._go_on()
                # No /clock may have come yet.
                stamp = stamp_of(cdr)
                self._writer.add(topic, now or stamp, cdr)
            except Exception as e:
                self.stats.dropped('failed')
                if not isinstance(e, GazeRosError):
                    self._leave_out(f'{topic}: {format_error(e)}')
                elif self._writer is not None:
                    self._fail(format_error(e))
            else:
                age = 1e-9 * (self.get_clock().now().nanoseconds - stamp) if stamp else math.nan
                self.stats.processed(age, time.monotonic() - start)

    def _leave_out(self, why: str) -> None:
        """Tell of a message that cannot be recorded; the next one may be."""
        self.stats.failed(why)
        if self._teller.should_log(why):
            self.get_logger().error(f'a message was left out: {why}')

    def _fail(self, why: str) -> None:
        """Give up this bag, not the process: it goes on in another one when it can."""
        self._failure, self._again = why, time.monotonic() + disk_guard.RETRY_PERIOD
        self.stats.failed(why)
        self.get_logger().error(f'{why}; recording goes on in another bag when it can')
        self.cleanup()

    def _go_on(self) -> None:
        """Begin another bag, if there is room; raises GazeRosError if there is none."""
        if time.monotonic() >= self._again:
            self._again = time.monotonic() + disk_guard.RETRY_PERIOD
            if disk_guard.can_resume(self._path.parent, self._disk):
                self._record_to(free_path(self._path))
                return
        raise GazeRosError(self._failure)
