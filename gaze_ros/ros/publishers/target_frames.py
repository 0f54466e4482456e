"""What people may look at, in the frame of each image: targets of a file and detected objects."""
from typing import Any, Optional

from gaze_ros.core.attention.targets import IDENTITY, Pose, Target
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.geometry.rotations import normalised, rotation_from_quaternion
from gaze_ros.ros.publishers.detected_objects import DetectedObjects
import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header

try:
    from tf2_ros import Buffer, TransformException, TransformListener
except ImportError:  # no package registry has it
    Buffer = None


class TargetFrames:
    """Places targets in the optical frame at the time of each image.

    tf2_ros looks up other frames. Without it, only targets in the frame of the images are used.
    It listens to TF from the first target in another frame on.

    :ivar targets: of the file, each in its own frame; may be changed at any time.
    """

    def __init__(self, node: Node, targets: list[Target],
                 detected: Optional[DetectedObjects] = None) -> None:
        self.targets = targets
        self._node, self._detected = node, detected
        self._buffer: Optional[Any] = None
        self._listener: Optional[Any] = None
        self._log_throttle = LogThrottle()

    def placed(self, header: Header) -> list[Target]:
        """Return the targets whose frame is known, in the optical frame.

        :param header: of the image.
        """
        poses: dict[str, Optional[Pose]] = {'': IDENTITY, header.frame_id: IDENTITY}
        detected = self._detected.targets if self._detected is not None else []
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
