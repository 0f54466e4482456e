"""Gaze from a bag's images, in the bag's time; it ends when the bag does."""
from gaze_ros.ros.launching import description
from gaze_ros.ros.replay_launch import ARGUMENTS, programs


def generate_launch_description():
    return description(ARGUMENTS, programs)
