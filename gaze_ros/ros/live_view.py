"""Shows what running nodes publish in a :class:`.WebViewer`."""
from collections.abc import Sequence
import math
import os
import time

from gaze_ros.core.attention.attention import Attention, Target
from gaze_ros.core.attention.targets import Target as Object
from gaze_ros.core.output.web_viewer import WebViewer
from gaze_ros.core.pipeline.synchronizer import ExactTimeSynchronizer
from gaze_ros.msg import Attention as AttentionMessage
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import dds_profile, topics
from gaze_ros.ros.comm.camera_info import calibration_from_camera_info
from gaze_ros.ros.comm.conversions import frame_gaze, seconds
from gaze_ros.ros.comm.image_transport import ReceivedImage
from gaze_ros.ros.process.shutdown import LAUNCH_PID
from gaze_ros.ros.publishers.target_frames import TargetFrames
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage

#: QoS depth of attention events, as that of their publisher: all people from the start.
_EVENTS = 50
#: Seconds after which the gaze is shown without images: their driver does not compress.
_IMAGE_TIMEOUT = 1.0
#: Seconds for which the place is shown at which a gaze met a target.
_HIT_TIMEOUT = 0.3


def show_nodes(
        viewer: WebViewer, namespace: str, targets: list[Object], ros_args: Sequence[str]) -> int:
    """Show the topics of a namespace until Ctrl-C or the end of launch; return the exit code.

    :param ros_args: what follows ``--ros-args`` on the command line.
    """
    dds_profile.configure()
    rclpy.init(args=['--ros-args', *ros_args] if ros_args else [])
    node = Node('gaze_viewer', namespace=namespace, start_parameter_services=False)
    try:
        LiveView(node, viewer, targets)
        parent = os.getppid() if LAUNCH_PID in os.environ else 0
        while rclpy.ok() and parent in (0, os.getppid()):
            rclpy.spin_once(node, timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


class LiveView:
    """Subscribes to gaze, attention and, while the page is open, to compressed images."""

    def __init__(self, node: Node, viewer: WebViewer, targets: list[Object]) -> None:
        self._node, self._viewer = node, viewer
        self._attentions: dict[str, Attention] = {}
        self._targets = TargetFrames(node, targets)
        self._hits: dict[str, tuple[float, np.ndarray]] = {}
        self._synchronizer: ExactTimeSynchronizer[ReceivedImage, GazeArray] = (
            ExactTimeSynchronizer())
        self._images = None
        self._fov, self._paired = 1.05, -math.inf
        node.create_subscription(GazeArray, topics.GAZE, self._on_gaze, topics.default_qos())
        node.create_subscription(
            AttentionMessage, topics.ATTENTION, self._on_attention,
            topics.reliable_qos(_EVENTS, transient_local=True))
        node.create_subscription(
            AttentionMessage, topics.OBJECTS, self._on_object, topics.reliable_qos(10))
        node.create_subscription(
            CameraInfo, topics.CAMERA_INFO, self._on_camera_info, topics.default_qos())
        node.create_timer(0.5, self._follow_page)

    def _follow_page(self) -> None:
        """Take images only while somebody sees them: the camera compresses them for it."""
        if self._viewer.watched and self._images is None:
            self._images = self._node.create_subscription(
                CompressedImage, topics.IMAGE + '/compressed', self._on_image,
                topics.default_qos())
        elif not self._viewer.watched and self._images is not None:
            self._node.destroy_subscription(self._images)
            self._images = None

    def _on_camera_info(self, message: CameraInfo) -> None:
        calibration, _ = calibration_from_camera_info(message)
        matrix = calibration and calibration.matrix_for(*calibration.image_size)
        self._fov = 1.05 if matrix is None else 2 * math.atan(
            calibration.image_size[0] / 2 / matrix[0, 0])

    def _on_attention(self, message: AttentionMessage) -> None:
        if message.target == AttentionMessage.GONE:
            self._attentions.pop(message.track_id, None)
            return
        try:
            target = Target(message.target)
        except ValueError:  # of another version
            target = Target.UNKNOWN
        self._attentions[message.track_id] = Attention(
            message.track_id, target, 0, message.target_id, message.mutual)

    def _on_object(self, message: AttentionMessage) -> None:
        point = message.point
        self._hits[message.track_id] = (
            seconds(message.header.stamp), np.array([point.x, point.y, point.z]))

    def _on_image(self, message: CompressedImage) -> None:
        stamp = message.header.stamp
        if pair := self._synchronizer.add_image(
                (stamp.sec, stamp.nanosec), ReceivedImage(message.header, message)):
            self._show(*pair)

    def _on_gaze(self, message: GazeArray) -> None:
        stamp = message.header.stamp
        pair = self._synchronizer.add_result((stamp.sec, stamp.nanosec), message)
        if pair is not None:
            self._show(*pair)
        elif self._images is None or time.monotonic() - self._paired > _IMAGE_TIMEOUT:
            self._show(None, message)

    def _show(self, image: ReceivedImage | None, message: GazeArray) -> None:
        stamp = seconds(message.header.stamp)
        latency = 1e-9 * self._node.get_clock().now().nanoseconds - stamp
        if image is not None:
            self._paired = time.monotonic()
        try:
            pixels = image and image.decode()
        except ValueError as e:
            self._node.get_logger().warning(f'image skipped: {e}', throttle_duration_sec=10.0)
            pixels = None
        self._hits = {track_id: (last, point) for track_id, (last, point) in self._hits.items()
                      if abs(stamp - last) < _HIT_TIMEOUT}
        self._viewer.show(pixels, frame_gaze(message), [*self._attentions.values()], stamp,
                          latency if latency < 60 else math.nan, self._fov,
                          self._targets.placed(message.header),
                          {track_id: point for track_id, (_, point) in self._hits.items()})
