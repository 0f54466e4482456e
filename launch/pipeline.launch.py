"""Camera, gaze, people and visualizer: in one process or several, for one camera or several."""
from gaze_ros.ros.launching import description
from gaze_ros.ros.pipeline_launch import ARGUMENTS, programs


def generate_launch_description():
    return description(ARGUMENTS, programs)
