"""Publishes gaze of synthetic people to a people node."""
import time

from builtin_interfaces.msg import Time
from gaze_ros.core.types import FrameGaze
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import gaze_array
from helpers.processes import wait_until
from std_msgs.msg import Header

#: Parameters of the people node with which every image counts.
RELIABLE = ('queue_depth:=4', 'qos_overrides./gaze.subscription.reliability:=reliable',
            'qos_overrides./gaze.subscription.depth:=20')


class GazeFeed:
    """Publishes gaze, 10 images per second by their stamps."""

    def __init__(self, node):
        self.count = 0
        self._publisher = node.create_publisher(GazeArray, topics.GAZE, topics.reliable_qos(10))

    def wait(self):
        wait_until(self._publisher.get_subscription_count, 20, 'a subscription to gaze')

    def send(self, *gazes):
        self.count += 1
        stamp = Time(sec=1_700_000_000 + self.count // 10, nanosec=self.count % 10 * 100_000_000)
        self._publisher.publish(gaze_array(
            FrameGaze(640, 480, 'x', list(gazes)), Header(frame_id='cam_optical', stamp=stamp)))
        time.sleep(0.02)
        return stamp

    def until(self, condition, *gazes):
        """Send images until a condition holds."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            self.send(*gazes)
