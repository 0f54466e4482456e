"""The camera node: publishes images of a source, stamped with their time of capture."""
import math
import time
from typing import Optional

from gaze_ros.core.diagnostics.node_status import CameraStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.parameters import NODES, Value
from gaze_ros.core.pipeline.hot_swap import HotSwap
from gaze_ros.core.sources import open_source, Source
from gaze_ros.core.sources.player import Player
from gaze_ros.core.sources.rotation import Rotator
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import (
    CameraInfoManager,
    rotated_camera_info,
    save_camera_info,
)
from gaze_ros.ros.comm.image_transport import ImagePublisher
from gaze_ros.ros.comm.intra_process import IntraProcessPublisher
from gaze_ros.ros.process.error_text import format_error
from gaze_ros.ros.process.shutdown import Shutdown
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from sensor_msgs.msg import CameraInfo
from sensor_msgs.srv import SetCameraInfo
from std_msgs.msg import Header


class CameraNode(ManagedNode):
    """Publishes camera/image_raw and camera/camera_info from a thread of its own.

    :param shutdown: requested when a file ends and exit_on_end is set.
    """

    def __init__(self, shutdown: Shutdown) -> None:
        super().__init__('camera', NODES['camera'], StageStats('Camera'), shutdown)
        self._player: Optional[Player] = None
        self._rotators: Optional[HotSwap[Rotator]] = None
        self._images: Optional[ImagePublisher] = None
        #: Prepared for new parameter values, until they are applied.
        self._prepared_source: Optional[Source] = None
        self._prepared_camera_info: Optional[CameraInfoManager] = None
        self._prepared_rotator: Optional[Rotator] = None
        self.create_service(
            SetCameraInfo, topics.SET_CAMERA_INFO, self._on_set_camera_info,
            callback_group=MutuallyExclusiveCallbackGroup())

    @property
    def hardware_id(self) -> str:
        """The source."""
        return self._player.source.name if self._player else ''

    def status(self) -> CameraStatus:
        """Return the state of the node beside its statistics."""
        player, v = self._player, self.values
        rate = player.source.rate
        return CameraStatus(
            source=self.hardware_id, expected_rate=player.expected_rate if rate else v['fps'],
            recent_rate=self.stats.rate.recent, live=not rate, failure=player.failure,
            idle=player.idle, last_failure=self.stats.last_error)

    def configure(self) -> None:
        """Open the source and the calibration, and create the topics.

        :raises SourceError: if the source or the calibration cannot be opened.
        """
        v = self.values
        self._camera_info = CameraInfoManager(v['camera_info_url'])
        self._rotators = HotSwap(Rotator(v['rotate']))
        self._player = Player(
            self._open(v), self.stats, self._wanted, self._publish, self._missing, self._at_end,
            self._failed)
        self._player.rate = v['rate']
        self._images = ImagePublisher(self, topics.IMAGE, v['jpeg_quality'], shared=True)
        self._camera_info_publisher = IntraProcessPublisher(self, CameraInfo, topics.CAMERA_INFO)

    def activate(self) -> None:
        """Start to publish."""
        self.get_logger().info(f"publishing '{self.hardware_id}' on {self._images.topic_name}")
        self._player.start()

    def request_stop(self) -> None:
        """Ask the thread to stop."""
        if self._player is not None:
            self._player.request_stop()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` s for the thread; return False if a read hangs."""
        return self._player is None or self._player.join(timeout)

    def cleanup(self) -> None:
        """Close the source."""
        player, self._player = self._player, None
        if player is not None:
            player.close()
        images, self._images = self._images, None
        if images is not None:
            images.close()
        rotators, self._rotators = self._rotators, None
        if rotators is not None:
            rotators.close()
        self._close_prepared()

    def prepare_parameters(self, values: dict[str, Value]) -> None:
        """Open the source, the calibration and the rotation that new values name.

        :raises SourceError: if one cannot be opened.
        """
        self._close_prepared()
        self._prepared_camera_info = CameraInfoManager(values['camera_info_url']) if (
            'camera_info_url' in values) else None
        new = {**self.values, **values}
        if 'source' in values:
            self._prepared_source = self._open(new)
        if 'rotate' in values or 'source' in values and new['rotate'] == 'auto':
            self._prepared_rotator = Rotator(new['rotate'])

    def apply_parameters(self, values: dict[str, Value]) -> None:
        """Apply new values."""
        player = self._player
        if self._prepared_camera_info is not None:
            self._camera_info, self._prepared_camera_info = self._prepared_camera_info, None
        rotator, self._prepared_rotator = self._prepared_rotator, None
        if rotator is not None:
            self._rotators.replace(rotator)
        source, self._prepared_source = self._prepared_source, None
        if source is not None:
            player.replace(source)
            self.get_logger().info(f"publishing '{self.hardware_id}' on {self._images.topic_name}")
        player.source.loop = self.values['loop']
        player.rate = self.values['rate']
        player.wake()
        self._images.jpeg_quality = self.values['jpeg_quality']

    def _open(self, values: dict[str, Value]) -> Source:
        return open_source(
            values['source'], width=values['width'], height=values['height'], fps=values['fps'],
            loop=values['loop'])

    def _close_prepared(self) -> None:
        source, self._prepared_source = self._prepared_source, None
        rotator, self._prepared_rotator = self._prepared_rotator, None
        for prepared in (source, rotator):
            if prepared is not None:
                prepared.close()

    def _on_set_camera_info(
            self, request: SetCameraInfo.Request, response: SetCameraInfo.Response
            ) -> SetCameraInfo.Response:
        """Save a calibration and use it from the next image on."""
        try:
            response.status_message = self._set_camera_info(request.camera_info)
            response.success = True
            self.get_logger().info(response.status_message)
        except Exception as e:
            response.status_message = format_error(e)
            self.get_logger().error(f'set_camera_info: {response.status_message}')
        return response

    def _set_camera_info(self, info: CameraInfo) -> str:
        rotators, url = self._rotators, self.values['camera_info_url']
        if rotators is None:
            raise GazeRosError('the node is not configured: configure it, then send it again')
        # The file is that of the camera without rotation.
        rotation = rotators.newest.degrees
        info = rotated_camera_info(info, -rotation % 360)
        path = save_camera_info(url, info, self.get_fully_qualified_name().strip('/').replace(
            '/', '_'))
        self._camera_info = CameraInfoManager(str(path))
        return f"calibration of {info.width}x{info.height} pixels in use and saved in '{path}'" + (
            f', rotated back by {rotation} degrees' if rotation else '') + (
            '' if url else f'; load it at the next start with camera_info_url:={path}')

    def _missing(self) -> str:
        expected = self.values['wait_for_subscribers']
        count = self._images.get_subscription_count()
        return f'{count} of {expected} subscribers to {self._images.topic_name}' if (
            count < expected) else ''

    def _at_end(self) -> None:
        if self.values['exit_on_end']:
            self.shutdown.request()

    def _failed(self, error: Exception) -> None:
        if self.context.ok():  # else the process is shutting down
            self.get_logger().fatal(f'{type(error).__name__}: {error}')
            self.shutdown.request(1)

    def _wanted(self, period: float, conversion: float) -> bool:
        """Return whether anyone needs the present image; if not, tell the subscriptions."""
        # Those that read images from shared memory subscribe to camera_info, too.
        wanted = self._images.wanted(period, conversion) or not self._images.readers and (
            self._camera_info_publisher.has_remote_subscribers())
        if not wanted:
            self._images.skip()
        return wanted

    def _publish(self, image: np.ndarray, source: Source, read_time: float) -> None:
        captured = self.get_clock().now()
        age = time.monotonic() - source.capture_time
        if math.isfinite(age) and captured.nanoseconds > 1e9 * age:  # else no /clock received yet
            captured -= Duration(seconds=age)
        header = Header(stamp=captured.to_msg(), frame_id=self.values['frame_id'])
        height, width = image.shape[:2]
        image, rotation = self._rotators.acquire().rotate(image)
        info = self._camera_info.for_size(width, height, self.get_logger().warning, rotation)
        info.header = header
        self._camera_info_publisher.publish(info)
        self._images.publish(image, header)
        age = 1e-9 * (self.get_clock().now() - captured).nanoseconds
        self.stats.processed(age, read_time)
