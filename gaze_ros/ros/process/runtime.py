"""Running nodes in this process, from start to an orderly end."""
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
import logging
import sys
from threading import Thread
import time
from typing import Optional

from gaze_ros.core.diagnostics.stage_stats import statistics_block
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.system import shared_memory
from gaze_ros.ros.comm import dds_profile
from gaze_ros.ros.process.error_text import format_error
from gaze_ros.ros.process.executor import SubmitOnceExecutor
from gaze_ros.ros.process.rclpy_compat import RCLError
from gaze_ros.ros.process.shutdown import Shutdown
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

#: Name of each node and the module and class that has it.
NODES = {
    'camera': ('camera_node', 'CameraNode'),
    'gaze': ('gaze_node', 'GazeNode'),
    'visualizer': ('visualizer_node', 'VisualizerNode'),
    'people': ('people_node', 'PeopleNode'),
    'replay': ('replay_node', 'ReplayNode'),
    'recorder': ('recorder_node', 'RecorderNode'),
}

#: Callbacks of messages only hand them on and the nodes work in threads of their own, so two
#: workers do: one takes a picture while the other takes a result. Beside them, of each node, a
#: transition or a change of parameters may load a model, and a service may wait for a picture.
_WORKERS, _MORE_WORKERS = 2, 2

#: Seconds between two looks whether there is a window.
_LOOK = 0.2

#: Seconds all threads together have to end.
_PATIENCE = 1.0


class _ToRos(logging.Handler):
    """Passes on what the core logs."""

    def emit(self, record: logging.LogRecord) -> None:
        # A line each: rclpy holds a line of code to one severity.
        log, text = get_logger('gaze_ros'), record.getMessage()
        if record.levelno >= logging.ERROR:
            log.error(text)
        elif record.levelno >= logging.WARNING:
            log.warning(text)
        else:
            log.info(text)


def run(names: tuple[str, ...], stop: Shutdown,
        prepare: Optional[Callable[[dict[str, Node]], None]] = None) -> int:
    """Run nodes until asked to stop; return the exit code.

    :param names: of :data:`NODES`, in the order in which they are made and started.
    :param prepare: called with the nodes, by name, when all are configured and none is active.
    """
    if wrong := _wrong_words():
        print(f'{sys.argv[0]}: {wrong}', file=sys.stderr)
        return 2
    core = logging.getLogger('gaze_ros')
    core.addHandler(_ToRos())
    core.setLevel(logging.INFO)  # rclpy's logger has the last word
    nodes = []
    executor = spinning = None
    try:
        if freed := shared_memory.reclaim():  # first: there may be room for larger ones then
            get_logger('gaze_ros').info(
                f'gave back {freed / 1e6:.0f} MB of shared memory of processes that were killed')
        dds_profile.configure()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        executor = SubmitOnceExecutor(_WORKERS + _MORE_WORKERS * len(names), tell=_tell)
        for name in names:
            module, cls = NODES[name]
            node = getattr(import_module(f'gaze_ros.ros.nodes.{module}'), cls)(stop)
            nodes.append(node)
            executor.add_node(node)
        own = [node for node in nodes if node.values['autostart']]
        # All are made before one begins: a file is not to play to half of them.
        for node in own:
            if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                stop.request(1)
                return stop.exit_code
        if prepare is not None:
            prepare(dict(zip(names, nodes)))
        for node in own:
            if node.trigger_activate() != TransitionCallbackReturn.SUCCESS:
                stop.request(1)
                return stop.exit_code
        stop.startup_done()
        spinning = Thread(target=_spin, args=(executor, stop), name='executor', daemon=True)
        spinning.start()
        _wait(nodes, stop)
    except (GazeRosError, ParameterException, RCLError) as e:
        if not stop.startup_interrupted:
            name = names[len(nodes)] if len(nodes) < len(names) else 'pipeline'
            get_logger(f'gaze_ros.{name}').fatal(format_error(e))
            stop.request(1)
    finally:
        stop.startup_done()
        _close(nodes, executor, spinning, stop)
    return stop.exit_code


def _wrong_words() -> str:
    """Return what is wrong with the words of the command line, or ''."""
    try:
        rest = remove_ros_args(sys.argv)[1:]
    except RCLError as e:
        return format_error(e)
    if not rest:
        return ''
    return (f"'{rest[0]}' is not understood. Parameters are given as --ros-args -p NAME:=VALUE, "
            'for instance --ros-args -p source:=sample')


def _spin(executor: SubmitOnceExecutor, stop: Shutdown) -> None:
    try:
        while not stop.event.is_set():
            executor.spin_once()
    except Exception as e:
        if not stop.event.is_set():
            get_logger('gaze_ros').fatal(f'the executor failed: {type(e).__name__}: {e}')
            stop.request(1)


def _tell(node: Node, reason: str) -> None:
    """Say what a callback of a node raised, here and on /diagnostics."""
    node.stats.fail(reason)
    node.get_logger().error(f'{reason}; what it was called for is left out')


def _wait(nodes: list, stop: Shutdown) -> None:
    """Mind the window, while there is one, until asked to stop."""
    shows = next((node for node in nodes if hasattr(node, 'window')), None)
    window = None
    while not stop.event.is_set():
        stop.heartbeat()
        before, window = window, shows and shows.window
        if before is not None and before is not window:
            before.close()
        if window is None:
            # One may come and go as the node is configured and cleaned up. And a signal that
            # comes just before Python begins to wait without an end is never minded.
            stop.event.wait(_LOOK)
        elif not window.step():
            stop.request()
    if window is not None:
        window.close()


def _close(nodes: list, executor: Optional[SubmitOnceExecutor], spinning: Optional[Thread],
           stop: Shutdown) -> None:
    stop.request()
    until = time.monotonic() + _PATIENCE
    for node in nodes:
        node.end()
    if executor is not None:
        executor.shutdown(0.0)
    if spinning is not None:
        spinning.join(_PATIENCE / 2)
    for node in reversed(nodes):
        node.close(max(0.0, until - time.monotonic()))
    if spinning is not None:
        stages = {node.get_name(): node.stats for node in nodes}
        with suppress(OSError):  # nobody reads it any more: | head, a terminal closed
            print(statistics_block([stages[name] for name in NODES if name in stages]), flush=True)
    for node in nodes:
        node.destroy_node()
    # A signal may have broken off a node half made, and it cannot be destroyed.
    with suppress(AttributeError):
        rclpy.try_shutdown()
