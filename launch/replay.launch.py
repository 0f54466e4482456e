"""Estimate gaze in the images of a bag, with the time of the bag; stop at its end."""
from gaze_ros.ros.launch.processes import description
from gaze_ros.ros.launch.replay import ARGUMENTS, programs


def generate_launch_description():
    return description(ARGUMENTS, programs)
