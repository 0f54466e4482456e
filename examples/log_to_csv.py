"""Logs the gaze of each person in each image to a CSV file, as spreadsheets and pandas read it.

Start the pipeline first:

    ros2 run gaze_ros pipeline --ros-args -p source:=sample
    python3 examples/log_to_csv.py gaze.csv
"""
import csv
import sys

from gaze_ros.msg import GazeArray
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data

COLUMNS = ('stamp_s', 'track_id', 'pitch_rad', 'yaw_rad', 'stddev_rad', 'looking_at_camera',
           'x_m', 'y_m', 'z_m', 'range_stddev_m')


def rows(message: GazeArray):
    """Yield a row for each person; an unknown gaze is nan."""
    stamp = message.header.stamp
    for gaze in message.gazes:
        yield (f'{stamp.sec}.{stamp.nanosec:09d}', gaze.track_id, gaze.pitch, gaze.yaw,
               gaze.gaze_stddev, int(gaze.looking_at_camera), gaze.origin.x, gaze.origin.y,
               gaze.origin.z, gaze.range_stddev)


def main(path: str) -> None:
    """Log until Ctrl-C."""
    rclpy.init()
    node = rclpy.create_node('log_to_csv')
    with open(path, 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)

        def on_gaze(message: GazeArray) -> None:
            writer.writerows(rows(message))
            file.flush()  # after a crash the file is complete up to here

        node.create_subscription(GazeArray, 'gaze', on_gaze, qos_profile_sensor_data)
        try:
            rclpy.spin(node)
        except (KeyboardInterrupt, ExternalShutdownException):
            pass


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else 'gaze.csv')
