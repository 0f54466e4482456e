"""The replay node: publishes images and calibration of a bag, and its time on /clock."""
import math
from pathlib import Path
from threading import Event, Thread
import time
from typing import Optional

from gaze_ros.bags.playing import PlayedRecord, Player
from gaze_ros.bags.reading import BagReader
from gaze_ros.bags.stamps import stamp_of
from gaze_ros.bags.streams import find_streams
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.diagnostics.node_status import ReplayStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.errors import SourceError
from gaze_ros.core.parameters import BAG_NODES, Value
from gaze_ros.core.sources.player import wait_for_subscribers
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_image, compressed_to_bgr
from gaze_ros.ros.process.shutdown import Shutdown
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

#: Seconds for subscribers to complete discovery of this node before it starts.
_DISCOVERY_TIME = 1.0
#: Seconds the process continues after the last image, so that the other nodes can process it.
_LINGER = 1.0

#: Seconds without a message in the bag from which on diagnostics report the gap.
_MIN_GAP = 2.0
#: Seconds between two checks whether a bag at its end is to be played again.
_POLL_PERIOD = 0.1


class ReplayNode(ManagedNode):
    """Publishes in a thread of its own, with the stamps and bytes of the bag where possible.

    Deactivation pauses it, and the time on /clock.

    :param shutdown: requested when the bag ends and exit_on_end is set.
    """

    def __init__(self, shutdown: Shutdown) -> None:
        super().__init__('replay', BAG_NODES['replay'], StageStats('Replay'), shutdown)
        self._stop = Event()
        self._thread: Optional[Thread] = None
        self._reader: Optional[BagReader] = None

    @property
    def hardware_id(self) -> str:
        """The path of the bag."""
        return self.values['bag']

    def status(self) -> ReplayStatus:
        """Return the state of the node beside its statistics."""
        left = self._player.remaining
        return ReplayStatus(bag=self.values['bag'], failure=self._failure, idle=self._idle or (
            f'the next message is due in {left:.0f} s' if left > _MIN_GAP else ''))

    def configure(self) -> None:
        """Open the bag and create the topics.

        :raises SourceError: if there is no bag, or it has no images.
        """
        if not self.values['bag']:
            raise SourceError('the parameter bag is not set; set it to a rosbag2 folder, or an '
                              '.mcap or .db3 file')
        try:
            path = Path(self.values['bag']).expanduser()
        except RuntimeError as e:  # ~USER of an unknown user
            raise SourceError(f"bag '{self.values['bag']}' does not exist: {e}") from e
        self._reader = BagReader(path)
        self._streams = s = find_streams(self._reader.topics, self.values['image_topic'])
        image = self.resolve_topic_name(topics.IMAGE)
        self._images = topics.create_publisher(self, Image, image)
        self._bag_publishers: dict[str, Publisher] = {s.raw: self._images}
        self._compressed: Optional[Publisher] = None
        if s.compressed:
            self._compressed = topics.create_publisher(
                self, CompressedImage, f'{image}/compressed')
            self._bag_publishers[s.compressed] = self._compressed
        if s.info:
            self._bag_publishers[s.info] = topics.create_publisher(
                self, CameraInfo, topics.CAMERA_INFO)
        self._bag_publishers.pop('', None)
        # Best effort, as nodes subscribe to it: resending would only deliver outdated times.
        self._clock_publisher = self.create_publisher(Clock, '/clock', QoSProfile(
            depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
        self._player = Player(
            self._reader, self._bag_publishers, s.images, self.values['loop'],
            self.values['rate'], self._publish_clock)
        self._failure, self._idle, self._started = '', 'not started', False
        self._log_throttle = LogThrottle()
        self._before = self.stats.rate.count

    def activate(self) -> None:
        """Start or resume publishing."""
        self._stop.clear()
        self._thread = Thread(target=self._run, name='replay', daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Ask the thread to stop."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` s for the thread; return whether it is not running."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def cleanup(self) -> None:
        """Close the bag."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Apply a new rate, at once, and loop."""
        self._player.rate, self._player.loop = self.values['rate'], self.values['loop']

    def _run(self) -> None:
        try:
            self._play()
        except Exception as e:
            # During shutdown the context ends while the thread still runs.
            if not self._stop.is_set() and self.context.ok():
                text = str(e) if isinstance(e, SourceError) else f'{type(e).__name__}: {e}'
                self.get_logger().fatal(text)
                self.shutdown.request(1)

    def _play(self) -> None:
        """Publish until asked to stop, or until the bag ends."""
        if not self._started:
            if not wait_for_subscribers(self._missing, self._stop) or (
                    self.values['wait_for_subscribers'] and self._stop.wait(_DISCOVERY_TIME)):
                return
            self._started = True
            self.get_logger().info(
                f"replaying '{self._streams.images}' of '{self.values['bag']}' on "
                f'{self._images.topic_name}')
        while not self._stop.is_set():
            self._idle = ''
            for played in self._player.play(self._stop):
                self._publish(played)
            if self._player.ended:
                self._wait_at_end()

    def _publish_clock(self, now: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now, 1_000_000_000)
        self._clock_publisher.publish(message)

    def _publish(self, played: PlayedRecord) -> None:
        topic = played.record.topic
        is_image = topic == self._streams.images
        if is_image:
            self.stats.received()
        start = time.monotonic()
        try:
            cdr = played.cdr
            self._bag_publishers[topic].publish(cdr)
            if is_image and not self._streams.raw and self._images.get_subscription_count():
                message = deserialize_message(cdr, CompressedImage)
                self._images.publish(bgr_to_image(compressed_to_bgr(message), message.header))
        except Exception as e:  # a bag may contain anything
            if is_image:
                self.stats.dropped('failed')
            self._failure = str(e)
            self.stats.failed(str(e))
            if self._log_throttle.should_log(f'{topic} {e}'):
                self.get_logger().error(f"message of '{topic}' skipped: {e}")
            return
        if is_image:
            stamp = stamp_of(played.record.cdr)
            age = 1e-9 * (played.record.time - played.shift - stamp) if stamp else math.nan
            self.stats.processed(age, time.monotonic() - start)

    def _missing(self) -> str:
        expected = self.values['wait_for_subscribers']
        count = sum(p.get_subscription_count() for p in (self._images, self._compressed) if p)
        missing = f'{count} of {expected} subscribers to {self._images.topic_name}' if (
            count < expected) else ''
        self._idle = missing or 'not started'
        return missing

    def _wait_at_end(self) -> None:
        """Wait until the bag is played again, or the node or the process is to stop."""
        lost, count = self._player.delay, self.stats.rate.count - self._before
        self.get_logger().info(
            f"bag '{self.values['bag']}' is at its end after {count} images" + (
                f', {lost:.1f} s late' if lost >= 0.1 else ''))
        self._idle = 'the bag is at its end'
        while not self._player.loop:
            if self.values['exit_on_end']:
                self._player.run_clock(self._stop, _LINGER)
                if not self._stop.is_set():
                    self.shutdown.request()
                self._stop.wait()
            if self._stop.wait(_POLL_PERIOD):
                return
