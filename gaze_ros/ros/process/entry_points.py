"""Entry points of the executables. Imports little, so that signals are minded from the start."""
from contextlib import suppress
import os
import sys
import traceback
from typing import NoReturn

from gaze_ros.core.system import import_errors, malloc, native_threads
from gaze_ros.ros.process.shutdown import Shutdown

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
    _open_standard_files()
    malloc.configure()  # before the first thread, which would get an arena of its own
    stop = Shutdown()
    stop.install_signal_handlers()
    native_threads.configure()
    if why := malloc.memory_limit_problem():
        print(f'{os.path.basename(sys.argv[0])}: {why}', file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    try:
        from gaze_ros.ros.process.runtime import run
        code = run(nodes, stop)
    except SystemExit:  # a signal while starting
        code = stop.exit_code
    except BaseException as e:
        if stop.startup_interrupted:  # an import may make another error of it
            os._exit(stop.exit_code)
        if malloc.is_out_of_memory(e):
            print(f'{os.path.basename(sys.argv[0])}: there is too little memory: '
                  f'{" ".join(str(e).split()) or type(e).__name__}', file=sys.stderr)
        elif isinstance(e, ImportError) and not import_errors.is_own_import(e):
            print(f'{os.path.basename(sys.argv[0])}: {import_errors.describe(e)} '
                  '(gaze_ros doctor tells more)', file=sys.stderr)
        else:
            traceback.print_exc()
        code = 1
    for file in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed; nobody reads it any more
            file.flush()
    # Everything is closed. Python's own end would still wait for, or abort over, native threads
    # and finalisers: a camera's read that hangs, MediaPipe's, Fast DDS's.
    os._exit(code)


def _open_standard_files() -> None:
    """Open to nowhere what was closed at the start: else a video gets its number, and all text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
