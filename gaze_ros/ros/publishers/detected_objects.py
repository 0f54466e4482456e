"""Objects that a detector has found (vision_msgs), as targets of gaze."""
import os
import time
from typing import Any, Optional

from gaze_ros.core.attention.targets import Target
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.camera_model import Calibration, lens_for
from gaze_ros.core.geometry.depth import DepthImages, sphere_of_box
from gaze_ros.core.geometry.incidence import Sphere
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.camera_info import calibration_from_camera_info
from gaze_ros.ros.comm.conversions import seconds
from gaze_ros.ros.comm.depth_images import DepthSubscription
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CameraInfo

#: Seconds without a message after which detected objects are no targets any more.
_TIMEOUT = 1.0
#: Most objects of a message that are used.
_MAX_OBJECTS = 100
#: Depth images that are kept for the image in which a detector still searches: half a second.
_DEPTH_IMAGES = 15


class DetectedObjects:
    """The objects of the last messages: in space, and in images with their range by depth.

    :param node: a node with ``image_frame``, see :class:`.DepthSubscription`.
    """

    def __init__(self, node: Any, detections: str, detections_2d: str) -> None:
        """Subscribe.

        :param detections: topic of Detection3DArray; '' for none.
        :param detections_2d: topic of Detection2DArray; '' for none.
        :raises GazeRosError: if vision_msgs is needed and cannot be imported.
        """
        self._node = node
        self._last: dict[str, tuple[float, list[Target]]] = {}
        self._log_throttle = LogThrottle()
        self._calibration: Optional[Calibration] = None
        group = MutuallyExclusiveCallbackGroup()
        for name, topic, kind, convert in (
                ('detections', detections, 'Detection3DArray', self._in_space),
                ('detections_2d', detections_2d, 'Detection2DArray', self._in_image)):
            if topic:
                topics.create_subscription(
                    node, _message_type(name, topic, kind), topic,
                    lambda message, name=name, convert=convert: self._keep(name, convert(message)),
                    group)
        if detections_2d:
            self._depth = DepthImages(_DEPTH_IMAGES)
            DepthSubscription(node, self._depth)
            topics.create_subscription(
                node, CameraInfo, topics.CAMERA_INFO, self._on_camera_info, group)

    @property
    def targets(self) -> list[Target]:
        """The objects, each in the frame of its message."""
        now = time.monotonic()
        return [target for received, found in self._last.values() if now - received <= _TIMEOUT
                for target in found]

    def _keep(self, name: str, found: list[Target]) -> None:
        self._last[name] = time.monotonic(), found

    def _in_space(self, message: Any) -> list[Target]:
        return [target for detection in message.detections[:_MAX_OBJECTS]
                if (target := detected_target(detection, message.header.frame_id)) is not None]

    def _in_image(self, message: Any) -> list[Target]:
        size = self._calibration.image_size if self._calibration is not None else (0, 0)
        if not all(size):
            self._warn(f'they need a calibrated camera: {topics.CAMERA_INFO} has no calibration')
            return []
        depth = self._depth.nearest(seconds(message.header.stamp))
        if depth is None:
            self._warn(f'no depth image on {topics.DEPTH} is near the stamp of their image')
            return []
        lens, _ = lens_for(self._calibration, *size, 1.0)
        found = []
        for detection in message.detections[:_MAX_OBJECTS]:
            box, center = detection.bbox, detection.bbox.center.position
            width, height = box.size_x, box.size_y
            area = center.x - width / 2, center.y - height / 2, width, height
            if np.isfinite(area).all() and min(width, height) > 0:
                sphere = sphere_of_box(area, depth, lens, size)
                if sphere is not None:
                    found.append(Target(name_of(detection), sphere, message.header.frame_id))
        return found

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._calibration, _ = calibration_from_camera_info(message)

    def _warn(self, reason: str) -> None:
        if self._log_throttle.should_log(reason):
            self._node.get_logger().warning(f'detections_2d are not used at present: {reason}')


def _message_type(name: str, topic: str, kind: str) -> type:
    """Return a type of vision_msgs.

    :param name: of the parameter that needs it.
    :raises GazeRosError: if vision_msgs cannot be imported.
    """
    try:
        import vision_msgs.msg
    except ImportError as e:
        distro = os.environ.get('ROS_DISTRO', '<distro>')
        raise GazeRosError(
            f"{name} '{topic}' needs the package vision_msgs, which cannot be imported: {e}. "
            f'Install ros-{distro}-vision-msgs, or set {name} to an empty text') from e
    return getattr(vision_msgs.msg, kind)


def detected_target(detection: Any, frame: str) -> Optional[Target]:
    """Return the target of a vision_msgs Detection3D; None if its box is not finite.

    It is a sphere with the mean of the sides as diameter.

    :param frame: of the message; that of the detection takes precedence.
    """
    box = detection.bbox
    position, size = box.center.position, box.size
    center = np.array([position.x, position.y, position.z])
    diameter = (size.x + size.y + size.z) / 3
    if not (np.isfinite(center).all() and 0 <= diameter < np.inf):
        return None
    return Target(
        name_of(detection), Sphere(center, diameter / 2), detection.header.frame_id or frame)


def name_of(detection: Any) -> str:
    """Return the id of a detection if it is tracked, else the class of its best hypothesis."""
    best = max(detection.results, key=lambda result: result.hypothesis.score, default=None)
    return detection.id or (best.hypothesis.class_id if best is not None else '') or 'object'
