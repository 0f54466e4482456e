"""Subscriptions to registered depth images and their CameraInfo."""
from typing import Optional

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.geometry.camera_model import Calibration
from gaze_ros.core.geometry.depth import DepthImages
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import calibration_from_camera_info
from gaze_ros.ros.comm.conversions import depth_image
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CameraInfo, Image


class DepthSubscription:
    """Adds received depth images to ``images``.

    Images that cannot be used are ignored, and the reason is logged once.

    :param node: a node with ``image_frame``, the frame_id of the color images or ''.
    """

    def __init__(self, node, images: DepthImages) -> None:
        self._node, self._images = node, images
        self._calibration: Optional[Calibration] = None
        self._log_throttle = LogThrottle()
        group = MutuallyExclusiveCallbackGroup()
        topics.create_subscription(
            node, CameraInfo, topics.DEPTH_CAMERA_INFO, self._on_camera_info, group)
        topics.create_subscription(node, Image, topics.DEPTH, self._on_image, group)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._calibration, problem = calibration_from_camera_info(message)
        if problem:
            self._warn(f'its camera_info cannot be used: {problem}; it is taken as showing what '
                       'the color image shows')

    def _on_image(self, message: Image) -> None:
        frame, expected = message.header.frame_id, self._node.image_frame
        if expected and frame != expected:
            self._warn(f"it is in frame '{frame}', but the color images are in '{expected}': "
                       'publish depth that is registered to the color camera')
            return
        try:
            self._images.add(depth_image(message, self._calibration))
        except ValueError as e:
            self._warn(f'{e}')

    def _warn(self, reason: str) -> None:
        if self._log_throttle.should_log(reason):
            self._node.get_logger().warning(f'depth image: {reason}')
