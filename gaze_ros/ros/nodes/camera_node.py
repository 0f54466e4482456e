"""The camera: pictures from a source, stamped when they are taken."""
import math
import time
from typing import Optional

from gaze_ros.core.diagnostics.node_status import CameraStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.parameters import NODES, Value
from gaze_ros.core.sources import open_source, Source
from gaze_ros.core.sources.player import Player
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import CameraInfoManager
from gaze_ros.ros.comm.image_transport import ImagePublisher
from gaze_ros.ros.comm.intra_process import IntraProcessPublisher
from gaze_ros.ros.process.shutdown import Shutdown
import numpy as np
from rclpy.duration import Duration
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


class CameraNode(ManagedNode):
    """Publishes camera/image_raw and camera/camera_info from a thread of its own.

    :param stop: asked to end the process when a file ends and exit_on_end is set.
    """

    def __init__(self, stop: Shutdown) -> None:
        super().__init__('camera', NODES['camera'], StageStats('Camera'), stop)
        self._player: Optional[Player] = None
        #: Opened and loaded for new values, until they are taken.
        self._opened: Optional[Source] = None
        self._loaded: Optional[CameraInfoManager] = None

    @property
    def hardware_id(self) -> str:
        """The source."""
        return self._player.source.name if self._player else ''

    def status(self) -> CameraStatus:
        """Return what is known beside the stage's figures."""
        player, v = self._player, self.values
        rate = player.source.rate
        return CameraStatus(
            source=self.hardware_id, expected_rate=rate and v['rate'] or rate or v['fps'],
            recent_rate=self.stats.rate.recent, live=not rate, failure=player.failure,
            idle=player.idle, last_failure=self.stats.last_error)

    def configure(self) -> None:
        """Open the source and the calibration, and create the topics.

        :raises SourceError: if the source or the calibration cannot be opened.
        """
        v = self.values
        self._infos = CameraInfoManager(v['camera_info_url'])
        self._player = Player(
            self._open(v), self.stats, self._publish, self._missing, self._at_end, self._failed)
        self._player.rate = v['rate']
        self._images = ImagePublisher(self, topics.IMAGE, v['jpeg_quality'])
        self._camera_info = IntraProcessPublisher(self, CameraInfo, topics.CAMERA_INFO)

    def activate(self) -> None:
        """Begin to publish."""
        self.get_logger().info(f"publishing '{self.hardware_id}' on {self._images.topic_name}")
        self._player.start()

    def request_stop(self) -> None:
        """Tell the thread to end."""
        if self._player is not None:
            self._player.request_stop()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, in seconds; False where a read hangs."""
        return self._player is None or self._player.join(timeout)

    def cleanup(self) -> None:
        """Let go of the source."""
        player, self._player = self._player, None
        if player is not None:
            player.close()
        self._drop_opened()

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Open the source and the calibration that new values ask for.

        :raises SourceError: if one cannot be opened.
        """
        self._drop_opened()
        self._loaded = CameraInfoManager(values['camera_info_url']) if (
            'camera_info_url' in values) else None
        if 'source' in values:
            self._opened = self._open({**self.values, **values})

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Take new values."""
        player = self._player
        if self._loaded is not None:
            self._infos, self._loaded = self._loaded, None
        opened, self._opened = self._opened, None
        if opened is not None:
            player.replace(opened)
            self.get_logger().info(f"publishing '{self.hardware_id}' on {self._images.topic_name}")
        player.source.loop = self.values['loop']
        player.rate = self.values['rate']
        player.wake()
        self._images.jpeg_quality = self.values['jpeg_quality']

    def _open(self, values: dict[str, Value]) -> Source:
        return open_source(
            values['source'], width=values['width'], height=values['height'], fps=values['fps'],
            loop=values['loop'])

    def _drop_opened(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _missing(self) -> str:
        wanted, there = self.values['wait_for_subscribers'], self._images.get_subscription_count()
        return f'{there} of {wanted} subscribers to {self._images.topic_name}' if (
            there < wanted) else ''

    def _at_end(self) -> None:
        if self.values['exit_on_end']:
            self.shutdown.request()

    def _failed(self, error: Exception) -> None:
        if self.context.ok():  # it ends under the thread when the process does
            self.get_logger().fatal(f'{type(error).__name__}: {error}')
            self.shutdown.request(1)

    def _publish(self, picture: np.ndarray, source: Source, reading: float) -> None:
        taken = self.get_clock().now()
        age = time.monotonic() - source.capture_time
        if math.isfinite(age) and taken.nanoseconds > 1e9 * age:  # else no /clock has come yet
            taken -= Duration(seconds=age)
        header = Header(stamp=taken.to_msg(), frame_id=self.values['frame_id'])
        height, width = picture.shape[:2]
        info = self._infos.for_size(width, height, self.get_logger().warning)
        info.header = header
        self._camera_info.publish(info)
        self._images.publish(picture, header)
        age = 1e-9 * (self.get_clock().now() - taken).nanoseconds
        self.stats.processed(age, reading)
