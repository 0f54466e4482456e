"""Tells which object on a table each person looks at, and how sure that is.

Start the pipeline first, with the objects of table.yaml:

    ros2 run gaze_ros pipeline --ros-args -p source:=sample -p targets_file:=examples/table.yaml
    python3 examples/objects_on_table.py
"""
from gaze_ros.msg import Attention
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

#: Keeps the last events for subscribers that start late: who looks at what is known at once.
EVENTS = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
#: Below this probability the robot asks instead of acting.
SURE = 0.8


class Table(Node):
    """Follows what people look at on the table."""

    def __init__(self) -> None:
        super().__init__('table')
        self.create_subscription(Attention, 'gaze/attention', self.on_attention, EVENTS)

    def on_attention(self, event: Attention) -> None:
        """React when a person starts to look at an object, or at something else."""
        if event.target != Attention.OBJECT:
            print(f'{event.track_id} looks at none of the objects', flush=True)
            return
        at = event.point
        print(f'{event.track_id} looks at the {event.target_id} ({event.probability:.0%}) at '
              f'{at.x:.2f}, {at.y:.2f}, {at.z:.2f} m in {event.header.frame_id}: '
              + ('I bring it' if event.probability >= SURE else 'do you want it?'), flush=True)


if __name__ == '__main__':
    rclpy.init()
    try:
        rclpy.spin(Table())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
