"""Tells which object on a table a person looks at, and how sure that is.

Start the pipeline first:

    ros2 run gaze_ros pipeline --ros-args -p source:=sample
    python3 examples/objects_on_table.py
"""
import math

from gaze_ros.msg import GazeArray
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data

#: Objects as spheres in the optical frame of the camera: x right, y down, z forward, meters.
#: Replace them by those of your detector, such as vision_msgs/Detection3DArray.
OBJECTS = {'cup': (-0.25, 0.35, 0.45), 'book': (0.05, 0.35, 0.5), 'ball': (0.3, 0.35, 0.4)}
RADIUS = 0.06


def looked_at(origin: np.ndarray, direction: np.ndarray, stddev: float) -> dict[str, float]:
    """Return by how much each object fits a gaze; the values add up to at most 1.

    :param stddev: 68 % of the angles to the true gaze are smaller, rad.
    """
    axis = stddev / 1.51  # standard deviation in each of the two axes
    fits = {}
    for name, center in OBJECTS.items():
        to = np.array(center) - origin
        distance = np.linalg.norm(to)
        angle = math.acos(float(np.clip(direction @ to / distance, -1, 1)))
        # Angle from the gaze to the surface of the sphere, 0 inside it.
        outside = max(0.0, angle - math.asin(min(RADIUS / distance, 1.0)))
        fits[name] = math.exp(-0.5 * (outside / axis) ** 2)
    # 0.05: the gaze is at none of them, but two standard deviations aside.
    return {name: fit / (sum(fits.values()) + 0.05) for name, fit in fits.items()}


def on_gaze(message: GazeArray) -> None:
    """Print the most probable object of each person."""
    for gaze in message.gazes:
        if math.isnan(gaze.yaw) or math.isnan(gaze.gaze_stddev):
            continue
        o, d = gaze.origin, gaze.direction
        fits = looked_at(np.array([o.x, o.y, o.z]), np.array([d.x, d.y, d.z]), gaze.gaze_stddev)
        best = max(fits, key=fits.get)
        what = f'the {best} ({fits[best]:.0%})' if fits[best] > 0.5 else 'none of the objects'
        print(f'{gaze.track_id} looks at {what}', flush=True)


if __name__ == '__main__':
    rclpy.init()
    node = rclpy.create_node('objects_on_table')
    node.create_subscription(GazeArray, 'gaze', on_gaze, qos_profile_sensor_data)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
