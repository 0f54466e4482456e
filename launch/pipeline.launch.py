"""Camera, gaze, people and visualizer: in one process or several, for one camera or several."""
from gaze_ros.ros.launch.pipeline import ARGUMENTS, programs
from gaze_ros.ros.launch.processes import description


def generate_launch_description():
    return description(ARGUMENTS, programs)
