"""Entry points of the executables. Imports little, so that signals are minded from the start."""
import os
import sys
from typing import NoReturn

from gaze_ros.core import allocation, threads
from gaze_ros.ros.stop import Stop

#: The camera last: a file starts to play when the others are there.
_PIPELINE = ('gaze', 'people', 'visualizer', 'camera')


def camera_node() -> NoReturn:
    """Run the camera node, and end the process with its exit code."""
    _run('camera')


def gaze_node() -> NoReturn:
    """Run the gaze node, and end the process with its exit code."""
    _run('gaze')


def visualizer_node() -> NoReturn:
    """Run the visualizer node, and end the process with its exit code."""
    _run('visualizer')


def people_node() -> NoReturn:
    """Run the people node, and end the process with its exit code."""
    _run('people')


def replay_node() -> NoReturn:
    """Run the replay node, and end the process with its exit code."""
    _run('replay')


def recorder_node() -> NoReturn:
    """Run the recorder node, and end the process with its exit code."""
    _run('recorder')


def pipeline() -> NoReturn:
    """Run the pipeline's nodes in one process, and end it with their exit code.

    ``--nodes A,B``, as the first words, runs only these of them.
    """
    nodes = _PIPELINE
    if sys.argv[1:2] == ['--nodes']:
        words = ''.join(sys.argv[2:3]).split(',')
        del sys.argv[1:3]
        nodes = tuple(node for node in _PIPELINE if node in words)
        if set(words) != set(nodes):
            print(f"{sys.argv[0]}: --nodes is '{','.join(words)}'; some of "
                  f"{', '.join(_PIPELINE)} were expected, with commas between", file=sys.stderr)
            sys.exit(2)
    _run(*nodes)


def _run(*nodes: str) -> NoReturn:
    stop = Stop()
    stop.mind_signals()
    threads.configure()
    allocation.configure()
    try:
        from gaze_ros.ros.runtime import run
        code = run(nodes, stop)
    except SystemExit:  # a signal while starting
        code = stop.code
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed. Python's own end would still wait for, or abort over, native threads
    # and finalisers: a camera's read that hangs, MediaPipe's, Fast DDS's.
    os._exit(code)
