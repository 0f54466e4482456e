"""Entry points of the executables. It imports little, so that signals are handled early."""
from contextlib import suppress
import os
import sys
import traceback
from typing import NoReturn

from gaze_ros.core.system import import_errors, malloc, native_threads
from gaze_ros.core.system.utf8 import printable
from gaze_ros.ros.process.shutdown import Shutdown

#: The camera starts last: a file starts to play when the other nodes run.
_PIPELINE = ('gaze', 'people', 'visualizer', 'camera')


def camera_node() -> NoReturn:
    """Run the camera node and exit with its exit code."""
    _run('camera')


def gaze_node() -> NoReturn:
    """Run the gaze node and exit with its exit code."""
    _run('gaze')


def visualizer_node() -> NoReturn:
    """Run the visualizer node and exit with its exit code."""
    _run('visualizer')


def people_node() -> NoReturn:
    """Run the people node and exit with its exit code."""
    _run('people')


def replay_node() -> NoReturn:
    """Run the replay node and exit with its exit code."""
    _run('replay')


def recorder_node() -> NoReturn:
    """Run the recorder node and exit with its exit code."""
    _run('recorder')


def pipeline() -> NoReturn:
    """Run the nodes of the pipeline in one process and exit with its exit code.

    ``--nodes A,B`` as the first arguments runs only these nodes.
    """
    nodes = _PIPELINE
    if sys.argv[1:2] == ['--nodes']:
        names = ''.join(sys.argv[2:3]).split(',')
        del sys.argv[1:3]
        nodes = tuple(node for node in _PIPELINE if node in names)
        if set(names) != set(nodes):
            print(f"{sys.argv[0]}: --nodes is '{printable(','.join(names))}'; expected a "
                  f"comma-separated list of some of {', '.join(_PIPELINE)}", file=sys.stderr)
            sys.exit(2)
    _run(*nodes)


def _run(*nodes: str) -> NoReturn:
    _open_standard_files()
    malloc.configure()  # before the first thread, which would get an arena of its own
    shutdown = Shutdown()
    shutdown.install_signal_handlers()
    native_threads.configure()
    if problem := malloc.memory_limit_problem():
        print(f'{os.path.basename(sys.argv[0])}: {problem}', file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    try:
        from gaze_ros.ros.process.runtime import run
        code = run(nodes, shutdown)
    except SystemExit:  # a signal during startup
        code = shutdown.exit_code
    except BaseException as e:
        if shutdown.startup_interrupted:  # an import may turn it into another error
            os._exit(shutdown.exit_code)
        if malloc.is_out_of_memory(e):
            print(f'{os.path.basename(sys.argv[0])}: out of memory: '
                  f'{" ".join(str(e).split()) or type(e).__name__}', file=sys.stderr)
        elif isinstance(e, ImportError) and not import_errors.is_own_import(e):
            print(f'{os.path.basename(sys.argv[0])}: {import_errors.describe(e)} '
                  '(run gaze_ros doctor for details)', file=sys.stderr)
        else:
            traceback.print_exc()
        code = 1
    for file in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or the reader is gone
            file.flush()
    # Everything is closed. Python's own exit would still wait for native threads and finalisers
    # (a camera read that hangs, MediaPipe, Fast DDS), or abort in them.
    os._exit(code)


def _open_standard_files() -> None:
    """Open closed standard streams to /dev/null.

    Otherwise the next file that is opened, such as a video, gets the number of stdout or stderr,
    and all output goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
