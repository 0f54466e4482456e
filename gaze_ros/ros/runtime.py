"""Running nodes in this process, from start to an orderly end."""
from importlib import import_module
import logging
from threading import Thread
from typing import Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.statistics import closing_block
from gaze_ros.ros import transport
from gaze_ros.ros.executor import OnceExecutor
from gaze_ros.ros.stop import Stop
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

#: Name of each node and the module and class that has it.
NODES = {
    'camera': ('camera_node', 'CameraNode'),
    'gaze': ('gaze_node', 'GazeNode'),
    'visualizer': ('visualizer_node', 'VisualizerNode'),
}

#: Callbacks only hand messages on and the nodes work in threads of their own, so two workers do:
#: one takes a picture while the other takes a result.
_WORKERS = 2


class _ToRos(logging.Handler):
    """Passes on what the core logs."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger('gaze_ros')
        say = {logging.WARNING: log.warning, logging.ERROR: log.error}.get(
            record.levelno, log.info)
        say(record.getMessage())


def run(names: tuple[str, ...], stop: Stop) -> int:
    """Run nodes until asked to stop; return the exit code.

    :param names: of :data:`NODES`, in the order in which they are made and started.
    """
    transport.configure()
    logging.getLogger('gaze_ros').addHandler(_ToRos())
    nodes = []
    executor = spinning = None
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        executor = OnceExecutor(_WORKERS)
        for name in names:
            module, cls = NODES[name]
            node = getattr(import_module(f'gaze_ros.ros.{module}'), cls)(stop)
            nodes.append(node)
            executor.add_node(node)
        stop.started()
        spinning = Thread(target=_spin, args=(executor, stop), name='executor', daemon=True)
        spinning.start()
        for node in nodes:
            node.start()
        _wait(nodes, stop)
    except (GazeRosError, ParameterException) as e:
        get_logger(f'gaze_ros.{names[len(nodes)]}').fatal(_reason(e))
        stop.ask(1)
    finally:
        stop.started()
        _close(nodes, executor, spinning, stop)
    return stop.code


def _reason(error: Exception) -> str:
    """Return one line without rclpy's repetitions of names."""
    words = str(error)
    if isinstance(error, ParameterException):
        return words.partition('Reason: ')[2].rpartition(':')[0] or words
    return words


def _spin(executor: OnceExecutor, stop: Stop) -> None:
    try:
        while not stop.event.is_set():
            executor.spin_once()
    except Exception as e:
        if not stop.event.is_set():
            get_logger('gaze_ros').fatal(f'a callback failed: {type(e).__name__}: {e}')
            stop.ask(1)


def _wait(nodes: list, stop: Stop) -> None:
    """Mind the window, if there is one, until asked to stop."""
    windows = [node.window for node in nodes if getattr(node, 'window', None)]
    while not stop.event.is_set():
        if not windows:
            stop.event.wait()
        elif not windows[0].step():
            stop.ask()
    for window in windows:
        window.close()


def _close(nodes: list, executor: Optional[OnceExecutor], spinning: Optional[Thread],
           stop: Stop) -> None:
    stop.ask()
    if executor is not None:
        executor.shutdown(0.5, wait_for_threads=False)
    if spinning is not None:
        spinning.join(1.0)
    for node in reversed(nodes):
        node.close()
    stages = {node.get_name(): node.stage for node in nodes if node.stage.rate.count}
    if stages:
        print(closing_block([stages[name] for name in NODES if name in stages]), flush=True)
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()
