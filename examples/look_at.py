"""Turn a head to the person in focus: pan and tilt for ros2_control from gaze/focus."""
import math

from gaze_ros.msg import Focus
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray


class LookAt(Node):
    """Publishes pan (positive to the left) and tilt (positive down) in radians."""

    def __init__(self):
        super().__init__('look_at')
        # The frame in which the head turns: x forward, z up. Empty: the camera does not move.
        self.base_frame = self.declare_parameter('base_frame', '').value
        if self.base_frame:
            from tf2_ros import Buffer, TransformListener
            self.buffer = Buffer()
            self.listener = TransformListener(self.buffer, self)
        self.commands = self.create_publisher(
            Float64MultiArray, 'head_controller/commands', 10)
        self.create_subscription(Focus, 'gaze/focus', self.on_focus, 10)

    def on_focus(self, focus):
        """Turn to the point."""
        if focus.reason == Focus.NONE:
            return  # stay where it is
        point = focus.point.point
        x, y, z = point.z, -point.x, -point.y  # from an optical frame to x forward, z up
        if self.base_frame:
            import tf2_geometry_msgs  # noqa: F401  (teaches the buffer to transform points)
            from tf2_ros import TransformException
            try:
                point = self.buffer.transform(focus.point, self.base_frame).point
            except TransformException as e:
                self.get_logger().warning(str(e), throttle_duration_sec=2.0)
                return
            x, y, z = point.x, point.y, point.z
        self.commands.publish(Float64MultiArray(
            data=[math.atan2(y, x), -math.atan2(z, math.hypot(x, y))]))


if __name__ == '__main__':
    try:
        rclpy.init()
        rclpy.spin(LookAt())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
