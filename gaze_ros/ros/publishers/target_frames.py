"""What people may look at, in the frame of each image: targets of a file and detected objects."""
import os
import time
from typing import Any, Optional

from gaze_ros.core.attention.targets import IDENTITY, Pose, Target
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.geometry.incidence import Sphere
from gaze_ros.core.geometry.rotations import normalised, rotation_from_quaternion
from gaze_ros.ros.comm import topics
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header

try:
    from tf2_ros import Buffer, TransformException, TransformListener
except ImportError:  # no package registry has it
    Buffer = None

#: Seconds without a message after which detected objects are no targets any more.
_DETECTIONS_TIMEOUT = 1.0
#: Most objects of a message that are used.
_MAX_DETECTIONS = 100


class TargetFrames:
    """Places targets in the optical frame at the time of each image.

    tf2_ros looks up other frames. Without it, only targets in the frame of the images are used.
    It listens to TF from the first target in another frame on.

    :ivar targets: of the file, each in its own frame; may be changed at any time.
    """

    def __init__(self, node: Node, targets: list[Target], detections: str = '') -> None:
        """Subscribe to detected objects.

        :param detections: topic; '' for none.
        :raises GazeRosError: if vision_msgs is needed and cannot be imported.
        """
        self.targets = targets
        self._node = node
        self._buffer: Optional[Any] = None
        self._listener: Optional[Any] = None
        self._log_throttle = LogThrottle()
        self._detected: tuple[float, list[Target]] = (0.0, [])
        if detections:
            try:
                from vision_msgs.msg import Detection3DArray
            except ImportError as e:
                distro = os.environ.get('ROS_DISTRO', '<distro>')
                raise GazeRosError(
                    f"detections '{detections}' needs the package vision_msgs, which cannot be "
                    f'imported: {e}. Install ros-{distro}-vision-msgs, or set detections to an '
                    'empty text') from e
            topics.create_subscription(
                node, Detection3DArray, detections, self._on_detections,
                MutuallyExclusiveCallbackGroup())

    def placed(self, header: Header) -> list[Target]:
        """Return the targets whose frame is known, in the optical frame.

        :param header: of the image.
        """
        received, detected = self._detected
        if detected and time.monotonic() - received > _DETECTIONS_TIMEOUT:
            detected = []
        poses: dict[str, Optional[Pose]] = {'': IDENTITY, header.frame_id: IDENTITY}
        result = []
        for target in (*self.targets, *detected):
            if target.frame not in poses:
                poses[target.frame] = self._look_up(target.frame, header)
            if (pose := poses[target.frame]) is not None:
                result.append(target.placed(pose))
        return result

    def close(self) -> None:
        """Unsubscribe from TF."""
        if self._listener is not None:
            self._listener.unregister()
        self._listener = self._buffer = None

    def _look_up(self, frame: str, header: Header) -> Optional[Pose]:
        if Buffer is None:
            self._warn(frame, 'tf2_ros is not installed: only targets in the frame of the images, '
                       f"'{header.frame_id}', are used")
            return None
        if self._listener is None:
            self._buffer = Buffer()
            self._listener = TransformListener(self._buffer, self._node)
        try:
            transform = self._buffer.lookup_transform(
                header.frame_id, frame, Time.from_msg(header.stamp)).transform
        except (TransformException, ValueError) as e:
            self._warn(frame, f'TF has no transform to it at the time of the image: {e}')
            return None
        r, t = transform.rotation, transform.translation
        rotation = normalised(np.array([r.x, r.y, r.z, r.w]))
        translation = np.array([t.x, t.y, t.z])
        if rotation is None or not np.isfinite(translation).all():
            self._warn(frame, 'its transform is not finite')
            return None
        return Pose(rotation_from_quaternion(rotation), translation)

    def _warn(self, frame: str, reason: str) -> None:
        # The words of TF contain times: one line per frame.
        if self._log_throttle.should_log(frame):
            self._node.get_logger().warning(
                f"targets in frame '{frame}' are not used at present: {reason}")

    def _on_detections(self, message: Any) -> None:
        self._detected = time.monotonic(), [
            target for detection in message.detections[:_MAX_DETECTIONS]
            if (target := detected_target(detection, message.header.frame_id)) is not None]


def detected_target(detection: Any, frame: str) -> Optional[Target]:
    """Return the target of a vision_msgs Detection3D; None if its box is not finite.

    Its name is the id if the detector tracks, else the class of the best hypothesis. It is a
    sphere with the mean of the sides as diameter.

    :param frame: of the message; that of the detection takes precedence.
    """
    box = detection.bbox
    position, size = box.center.position, box.size
    center = np.array([position.x, position.y, position.z])
    diameter = (size.x + size.y + size.z) / 3
    if not (np.isfinite(center).all() and 0 <= diameter < np.inf):
        return None
    best = max(detection.results, key=lambda result: result.hypothesis.score, default=None)
    name = detection.id or (best.hypothesis.class_id if best is not None else '') or 'object'
    return Target(name, Sphere(center, diameter / 2), detection.header.frame_id or frame)
