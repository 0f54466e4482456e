"""Gaze from a bag's images, in the bag's time; it ends when the bag does."""
from gaze_ros.ros.launch.processes import description
from gaze_ros.ros.launch.replay import ARGUMENTS, programs


def generate_launch_description():
    return description(ARGUMENTS, programs)
