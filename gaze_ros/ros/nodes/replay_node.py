"""The replay node: a bag's images and calibration as a camera's, and the bag's time on /clock."""
import math
from pathlib import Path
from threading import Event, Thread
import time
from typing import Optional

from gaze_ros.bags.playing import Played, Player
from gaze_ros.bags.reading import BagReader
from gaze_ros.bags.stamps import stamp_of
from gaze_ros.bags.streams import find_streams
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

#: Seconds that subscribers have to find this node, too, and the process lives on after the last
#: image so that it gets through the other nodes.
_SETTLE, _LINGER = 1.0, 1.0

#: Seconds without a message in the bag that diagnostics tell of, and from look to look whether a
#: bag that is at its end is to go on.
_GAP, _LOOK = 2.0, 0.1


class ReplayNode(ManagedNode):
    """Publishes in a thread of its own, as far as it can with the stamps and bytes of the bag.

    Deactivated it pauses, and time with it.

    :param stop: asked to end the process when the bag ends and exit_on_end is set.
    """

    def __init__(self, stop: Shutdown) -> None:
        super().__init__('replay', BAG_NODES['replay'], StageStats('Replay'), stop)
        self._ending = Event()
        self._thread: Optional[Thread] = None
        self._reader: Optional[BagReader] = None

    @property
    def hardware_id(self) -> str:
        """The bag."""
        return self.values['bag']

    def status(self) -> ReplayStatus:
        """Return what is known beside the stage's figures."""
        left = self._player.left
        return ReplayStatus(bag=self.values['bag'], failure=self._failure, idle=self._idle or (
            f'the next message comes in {left:.0f} s' if left > _GAP else ''))

    def configure(self) -> None:
        """Open the bag and create the topics.

        :raises SourceError: if there is no bag, or no images in it.
        """
        if not self.values['bag']:
            raise SourceError('the parameter bag is not set: give it a rosbag2 folder, or an '
                              '.mcap or .db3 file')
        try:
            path = Path(self.values['bag']).expanduser()
        except RuntimeError as e:  # nobody has the name after ~
            raise SourceError(f"bag '{self.values['bag']}' does not exist: {e}") from e
        self._reader = BagReader(path)
        self._streams = s = find_streams(self._reader.topics, self.values['image_topic'])
        image = self.resolve_topic_name(topics.IMAGE)
        self._images = topics.create_publisher(self, Image, image)
        self._outlets: dict[str, Publisher] = {s.raw: self._images}
        self._compressed: Optional[Publisher] = None
        if s.compressed:
            self._compressed = topics.create_publisher(self, CompressedImage, f'{image}/compressed')
            self._outlets[s.compressed] = self._compressed
        if s.info:
            self._outlets[s.info] = topics.create_publisher(self, CameraInfo, topics.CAMERA_INFO)
        self._outlets.pop('', None)
        # As the nodes subscribe to it: reliable ones would not get more of it, only older.
        self._times = self.create_publisher(Clock, '/clock', QoSProfile(
            depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
        self._player = Player(self._reader, self._outlets, s.images, self.values['loop'],
                              self.values['rate'], self._tell_time)
        self._failure, self._idle, self._begun = '', 'not begun', False
        self._before = self.stats.rate.count

    def activate(self) -> None:
        """Begin to publish, or go on."""
        self._ending.clear()
        self._thread = Thread(target=self._run, name='replay', daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Tell the thread to end."""
        self._ending.set()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, in seconds; return whether it has ended, or never began."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def cleanup(self) -> None:
        """Close the bag."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Take another rate, at once, and whether to begin again."""
        self._player.rate, self._player.loop = self.values['rate'], self.values['loop']

    def _run(self) -> None:
        try:
            self._play()
        except Exception as e:
            # The context ends under the thread when the process does.
            if not self._ending.is_set() and self.context.ok():
                words = str(e) if isinstance(e, SourceError) else f'{type(e).__name__}: {e}'
                self.get_logger().fatal(words)
                self.shutdown.request(1)

    def _play(self) -> None:
        """Publish until told to end, or the bag is at its end."""
        if not self._begun:
            if not wait_for_subscribers(self._missing, self._ending) or (
                    self.values['wait_for_subscribers'] and self._ending.wait(_SETTLE)):
                return
            self._begun = True
            self.get_logger().info(
                f"replaying '{self._streams.images}' of '{self.values['bag']}' on "
                f'{self._images.topic_name}')
        while not self._ending.is_set():
            self._idle = ''
            for played in self._player.play(self._ending):
                self._publish(played)
            if self._player.ended:
                self._rest_at_end()

    def _tell_time(self, now: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now, 1_000_000_000)
        self._times.publish(message)

    def _publish(self, played: Played) -> None:
        topic = played.record.topic
        picture = topic == self._streams.images
        if picture:
            self.stats.received()
        start = time.monotonic()
        try:
            cdr = played.cdr
            self._outlets[topic].publish(cdr)
            if picture and not self._streams.raw and self._images.get_subscription_count():
                message = deserialize_message(cdr, CompressedImage)
                self._images.publish(bgr_to_image(compressed_to_bgr(message), message.header))
        except Exception as e:  # of whatever is in the bag
            if picture:
                self.stats.dropped('failed')
            if str(e) != self._failure:
                self._failure = str(e)
                self.stats.failed(str(e))
                self.get_logger().error(f"a message of '{topic}' was left out: {e}")
            return
        if picture:
            stamp = stamp_of(played.record.cdr)
            self.stats.processed(1e-9 * (played.record.time - played.moved - stamp) if stamp else
                            math.nan, time.monotonic() - start)

    def _missing(self) -> str:
        wanted = self.values['wait_for_subscribers']
        there = sum(p.get_subscription_count() for p in (self._images, self._compressed) if p)
        missing = f'{there} of {wanted} subscribers to {self._images.topic_name}' if (
            there < wanted) else ''
        self._idle = missing or 'not begun'
        return missing

    def _rest_at_end(self) -> None:
        """Wait until the bag is to begin again, or the node or the process is to end."""
        lost, count = self._player.lost, self.stats.rate.count - self._before
        self.get_logger().info(
            f"bag '{self.values['bag']}' is at its end after {count} images" + (
                f', {lost:.1f} s late' if lost >= 0.1 else ''))
        self._idle = 'the bag is at its end'
        while not self._player.loop:
            if self.values['exit_on_end']:
                self._player.linger(self._ending, _LINGER)
                if not self._ending.is_set():
                    self.shutdown.request()
                self._ending.wait()
            if self._ending.wait(_LOOK):
                return
