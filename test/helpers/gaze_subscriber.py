"""Prints a line for each GazeArray: arrival time (s), age (s), number of faces."""
import time

from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import dds_profile, topics
import rclpy

dds_profile.configure()
rclpy.init()
node = rclpy.create_node('gaze_subscriber')


def on_gaze(message: GazeArray) -> None:
    stamp = message.header.stamp
    age = time.time() - stamp.sec - 1e-9 * stamp.nanosec
    print(time.monotonic(), age, len(message.gazes), flush=True)


subscription = node.create_subscription(GazeArray, topics.GAZE, on_gaze, topics.default_qos())
rclpy.spin(node)
