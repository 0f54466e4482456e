"""Greets people who look at the robot, and notices when they turn away or leave.

Start the pipeline first:

    ros2 run gaze_ros pipeline --ros-args -p source:=sample
    python3 examples/react_to_attention.py
"""
from gaze_ros.msg import Attention
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

#: Keeps the last events for subscribers that start late: who is there is known at once.
EVENTS = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Greeter(Node):
    """Says hello to each person once, when the person first looks at the camera."""

    def __init__(self) -> None:
        super().__init__('greeter')
        self.greeted: set[str] = set()
        self.create_subscription(Attention, 'gaze/attention', self.on_attention, EVENTS)

    def on_attention(self, event: Attention) -> None:
        """React to a change; replace say() by speech or a gesture."""
        person = event.track_id
        if event.target == Attention.CAMERA and person not in self.greeted:
            self.greeted.add(person)
            self.say(f'Hello {person}!')
        elif event.target == Attention.CAMERA:
            self.say(f'{person} looks at me again')
        elif event.target == Attention.PERSON:
            self.say(f'{person} looks at {event.target_id}' + ', mutually' * event.mutual)
        elif event.target == Attention.GONE:
            self.greeted.discard(person)
            self.say(f'{person} has left')
        else:
            self.say(f'{person} does not look at anybody')

    def say(self, text: str) -> None:
        """Print a text."""
        print(text, flush=True)


if __name__ == '__main__':
    rclpy.init()
    try:
        rclpy.spin(Greeter())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
