"""Entry points of the executables. Imports little, so that signals are minded from the start."""
import os
import sys
import threading

from gaze_ros.core import threads
from gaze_ros.ros.stop import Stop


def camera_node() -> int:
    """Run the camera node; return the exit code."""
    return _run('camera')


def gaze_node() -> int:
    """Run the gaze node; return the exit code."""
    return _run('gaze')


def visualizer_node() -> int:
    """Run the visualizer node; return the exit code."""
    return _run('visualizer')


def pipeline() -> int:
    """Run all three nodes in one process; return the exit code."""
    # The camera last: a file starts to play when the others are there.
    return _run('gaze', 'visualizer', 'camera')


def _run(*nodes: str) -> int:
    stop = Stop()
    stop.mind_signals()
    threads.configure()
    from gaze_ros.ros.runtime import run
    code = run(nodes, stop)
    sys.stdout.flush()
    sys.stderr.flush()
    if any(t.daemon for t in threading.enumerate()):
        # A thread that hangs in a camera's read: Python would abort as it ends under it.
        os._exit(code)
    return code
