"""A node of the robot's own, as far as the pipeline can tell: it hears where people look."""
from collections.abc import Iterator
from contextlib import contextmanager
import os
import random
from threading import Event, Lock, Thread
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

#: Domains that may be used on every system, less those of the tests and of ROS's default.
_DOMAINS = [n for n in range(1, 102) if n != 42]


class Listener:
    """Ages and faces of the messages on the topic ``gaze``, as they arrive in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._heard: list[tuple[float, int]] = []

    def take(self) -> list[tuple[float, int]]:
        """Return (seconds since capture, faces) of each message since the last call."""
        with self._lock:
            heard, self._heard = self._heard, []
        return heard

    def add(self, age: float, faces: int) -> None:
        """Count a message."""
        with self._lock:
            self._heard.append((age, faces))


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen in a ROS domain by itself, which the processes started meanwhile are in, too."""
    domain = os.environ.get('ROS_DOMAIN_ID', '')
    os.environ['ROS_DOMAIN_ID'] = str(random.choice(  # noqa: S311, no secret
        [n for n in _DOMAINS if str(n) != domain]))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    from gaze_ros.msg import GazeArray
    from gaze_ros.ros.comm import topics
    from gaze_ros.ros.comm.conversions import seconds

    listener = Listener()

    def on_gaze(message: GazeArray) -> None:
        listener.add(time.time() - seconds(message.header.stamp), len(message.gazes))

    with spinning('gaze_ros_benchmark') as node:
        node.create_subscription(GazeArray, topics.GAZE, on_gaze, topics.default_qos())
        yield listener


@contextmanager
def spinning(name: str) -> Iterator['Node']:
    """Have a node, spun by a thread of its own, in the ROS domain of the environment."""
    from gaze_ros.ros.comm import dds_profile
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    ending = Event()

    def spin() -> None:
        while not ending.is_set():
            executor.spin_once(timeout_sec=0.2)

    dds_profile.configure()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(name)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        thread = Thread(target=spin, name=name, daemon=True)
        thread.start()
        try:
            yield node
        finally:
            ending.set()
            thread.join(1)
            executor.shutdown(0.0)
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
