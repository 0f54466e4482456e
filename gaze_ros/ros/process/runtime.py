"""Runs nodes in this process, from startup to an orderly shutdown."""
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
from gaze_ros.core.system.utf8 import is_utf8, printable
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

#: Node name: (module in gaze_ros.ros.nodes, class).
NODES = {
    'camera': ('camera_node', 'CameraNode'),
    'gaze': ('gaze_node', 'GazeNode'),
    'visualizer': ('visualizer_node', 'VisualizerNode'),
    'people': ('people_node', 'PeopleNode'),
    'replay': ('replay_node', 'ReplayNode'),
    'recorder': ('recorder_node', 'RecorderNode'),
}

#: Executor threads. Images and results are taken by threads of their subscriptions, and callbacks
#: of other messages only pass them on, so two suffice for these and for timers. In addition, two
#: for each node: a transition or parameter change may load a model, and a service may wait for an
#: image.
_MESSAGE_THREADS, _THREADS_PER_NODE = 2, 2

#: Seconds between two checks for a new window.
_POLL_PERIOD = 0.2

#: Seconds that all threads together have to stop.
_JOIN_TIMEOUT = 1.0


class _RosLogHandler(logging.Handler):
    """Forwards what gaze_ros.core logs to the ROS log."""

    def emit(self, record: logging.LogRecord) -> None:
        # Three separate calls: rclpy allows each line of code only one severity.
        log, text = get_logger('gaze_ros'), printable(record.getMessage())
        if record.levelno >= logging.ERROR:
            log.error(text)
        elif record.levelno >= logging.WARNING:
            log.warning(text)
        else:
            log.info(text)


def run(names: tuple[str, ...], shutdown: Shutdown,
        on_configured: Optional[Callable[[dict[str, Node]], None]] = None) -> int:
    """Run nodes until shutdown is requested; return the exit code.

    :param names: of :data:`NODES`, in the order in which they are created and started.
    :param on_configured: called with the nodes by name, when all are configured and none is
        active.
    """
    if problem := _argument_problem():
        print(f'{sys.argv[0]}: {problem}', file=sys.stderr)
        return 2
    core_log = logging.getLogger('gaze_ros')
    core_log.addHandler(_RosLogHandler())
    core_log.setLevel(logging.INFO)  # the level of rclpy's logger decides what is printed
    nodes = []
    executor = spin_thread = None
    # Otherwise other nodes would see this process for the 20 s of its lease.
    shutdown.on_startup_abandoned = lambda: [node.destroy_node() for node in nodes]
    try:
        if freed := shared_memory.reclaim():  # before DDS: there may be space for large segments
            get_logger('gaze_ros').info(
                f'freed {freed / 1e6:.0f} MB of shared memory left by killed processes')
        dds_profile.configure()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        executor = SubmitOnceExecutor(
            _MESSAGE_THREADS + _THREADS_PER_NODE * len(names),
            on_error=lambda node, reason: node.report_callback_error(reason))
        for name in names:
            module, cls = NODES[name]
            node = getattr(import_module(f'gaze_ros.ros.nodes.{module}'), cls)(shutdown)
            nodes.append(node)
            executor.add_node(node)
        autostarted = [node for node in nodes if node.values['autostart']]
        # Configure all before any is activated: a file must not play to half of the nodes.
        for node in autostarted:
            if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                shutdown.request(1)
                return shutdown.exit_code
        if on_configured is not None:
            on_configured(dict(zip(names, nodes)))
        for node in autostarted:
            if node.trigger_activate() != TransitionCallbackReturn.SUCCESS:
                shutdown.request(1)
                return shutdown.exit_code
        shutdown.startup_done()
        spin_thread = Thread(
            target=_spin, args=(executor, shutdown), name='executor', daemon=True)
        spin_thread.start()
        _run_main_thread(nodes, shutdown)
    except (GazeRosError, ParameterException, RCLError) as e:
        if not shutdown.startup_interrupted:
            name = names[len(nodes)] if len(nodes) < len(names) else 'pipeline'
            get_logger(f'gaze_ros.{name}').fatal(format_error(e))
            shutdown.request(1)
    finally:
        shutdown.startup_done()
        _close(nodes, executor, spin_thread, shutdown)
    return shutdown.exit_code


def _argument_problem() -> str:
    """Return what is wrong with the command line, or ''."""
    for word in sys.argv:
        if not is_utf8(word):
            return (f"argument '{printable(word)}' is not UTF-8, which ROS requires: rename "
                    'the file or folder')
    try:
        rest = remove_ros_args(sys.argv)[1:]
    except RCLError as e:
        return format_error(e)
    if not rest:
        return ''
    return (f"unknown argument '{rest[0]}'; parameters are given as --ros-args -p NAME:=VALUE, "
            'for example --ros-args -p source:=sample')


def _spin(executor: SubmitOnceExecutor, shutdown: Shutdown) -> None:
    try:
        while not shutdown.event.is_set():
            executor.spin_once()
    except Exception as e:
        if not shutdown.event.is_set():
            get_logger('gaze_ros').fatal(f'the executor failed: {type(e).__name__}: {e}')
            shutdown.request(1)


def _run_main_thread(nodes: list, shutdown: Shutdown) -> None:
    """Send heartbeats and serve the window, if there is one, until shutdown is requested."""
    visualizer = next((node for node in nodes if hasattr(node, 'window')), None)
    window = None
    while not shutdown.event.is_set():
        shutdown.heartbeat()
        before, window = window, visualizer and visualizer.window
        if before is not None and before is not window:
            before.close()
        if window is None:
            # The window appears and disappears as the node is configured and cleaned up. And if a
            # signal arrives just before Python starts an unlimited wait, it is never handled.
            shutdown.event.wait(_POLL_PERIOD)
        elif not window.poll():
            shutdown.request()
    if window is not None:
        window.close()


def _close(nodes: list, executor: Optional[SubmitOnceExecutor], spin_thread: Optional[Thread],
           shutdown: Shutdown) -> None:
    shutdown.request()
    until = time.monotonic() + _JOIN_TIMEOUT
    for node in nodes:
        node.request_stop()
    if executor is not None:
        executor.shutdown(0.0)
    if spin_thread is not None:
        spin_thread.join(_JOIN_TIMEOUT / 2)
    for node in reversed(nodes):
        node.close(max(0.0, until - time.monotonic()))
    if spin_thread is not None:
        stats = {node.get_name(): node.stats for node in nodes}
        with suppress(OSError):  # the reader is gone: | head, or a closed terminal
            print(statistics_block([stats[name] for name in NODES if name in stats]), flush=True)
    for node in nodes:
        node.destroy_node()
    # A signal may have interrupted the construction of a node, which then cannot be destroyed.
    with suppress(AttributeError):
        rclpy.try_shutdown()
