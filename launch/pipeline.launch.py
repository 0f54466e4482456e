"""Start camera, gaze, people and visualizer nodes for one or several cameras."""
from gaze_ros.ros.launch.pipeline import ARGUMENTS, programs
from gaze_ros.ros.launch.processes import description


def generate_launch_description():
    return description(ARGUMENTS, programs)
