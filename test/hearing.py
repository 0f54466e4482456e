"""Prints a line for each GazeArray it hears: when, how old it is, how many faces."""
import time

from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import dds_profile, topics
import rclpy

dds_profile.configure()
rclpy.init()
node = rclpy.create_node('hearing')


def hear(message: GazeArray) -> None:
    stamp = message.header.stamp
    age = time.time() - stamp.sec - 1e-9 * stamp.nanosec
    print(time.monotonic(), age, len(message.gazes), flush=True)


subscription = node.create_subscription(GazeArray, topics.GAZE, hear, topics.default_qos())
rclpy.spin(node)
