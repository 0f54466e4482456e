"""Prints where each person looks.

Start the pipeline first:

    ros2 run gaze_ros pipeline --ros-args -p source:=sample
    python3 examples/print_gaze.py
"""
import math

from gaze_ros.msg import GazeArray
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data


def on_gaze(message: GazeArray) -> None:
    """Print a line for each person in an image."""
    for gaze in message.gazes:
        distance = math.hypot(gaze.origin.x, gaze.origin.y, gaze.origin.z)
        if math.isnan(gaze.yaw):  # eyes shut, hidden or turned away
            where = 'gaze unknown'
        elif gaze.looking_at_camera:
            where = 'looks at the camera'
        else:
            where = (f'looks {math.degrees(gaze.yaw):+.0f} degrees to the right of the image, '
                     f'{math.degrees(gaze.pitch):+.0f} up')
        print(f'{gaze.track_id} at {distance:.2f} m: {where}, '
              f'+-{math.degrees(gaze.gaze_stddev):.0f} degrees', flush=True)


def main() -> None:
    """Print until Ctrl-C."""
    rclpy.init()
    node = rclpy.create_node('print_gaze')
    # The gaze is published best effort: sensor data.
    node.create_subscription(GazeArray, 'gaze', on_gaze, qos_profile_sensor_data)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


if __name__ == '__main__':
    main()
