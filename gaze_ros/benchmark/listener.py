"""A node outside of the pipeline that receives its results."""
from collections.abc import Iterator
from contextlib import contextmanager
import os
import random
from threading import Event, Lock, Thread
import time
from typing import NamedTuple, TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

#: Domain ids that are valid on every system, except the one of the tests; 0 is ROS's default.
_DOMAINS = [n for n in range(1, 102) if n != 42]


class Result(NamedTuple):
    """The result of one image; times are in seconds.

    :ivar age: from capture to the computed result, or to its arrival if it was published.
    :ivar detecting: of the thread that processed the image.
    :ivar estimating: as detecting.
    """

    age: float
    faces: int
    detecting: float
    estimating: float


class Listener:
    """Results of the messages on the topic ``gaze``, measured on arrival.

    Messages are deserialized by :meth:`take`, after the measurement: that would take processor
    time from the pipeline, which the configuration without topics does not lose.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        #: time.time() of the arrival and message, serialized.
        self._received: list[tuple[float, bytes]] = []

    def take(self) -> list[Result]:
        """Return the result of each message since the last call."""
        from gaze_ros.msg import GazeArray
        from gaze_ros.ros.comm.conversions import seconds
        from rclpy.serialization import deserialize_message

        with self._lock:
            received, self._received = self._received, []
        return [
            Result(arrival - seconds(message.header.stamp), len(message.gazes),
                   seconds(message.detection_duration), seconds(message.estimation_duration))
            for arrival, message in (
                (arrival, deserialize_message(data, GazeArray)) for arrival, data in received)]

    def add(self, data: bytes) -> None:
        """Add a message that arrives now."""
        with self._lock:
            self._received.append((time.time(), data))


@contextmanager
def listen() -> Iterator[Listener]:
    """Listen in a ROS domain of its own; processes started in the block join that domain."""
    domain = os.environ.get('ROS_DOMAIN_ID', '')
    os.environ['ROS_DOMAIN_ID'] = str(random.choice(  # noqa: S311, not a secret
        [n for n in _DOMAINS if str(n) != domain]))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    from gaze_ros.msg import GazeArray
    from gaze_ros.ros.comm import topics
    from gaze_ros.ros.process.message_thread import MessageThread, NoExecutorGroup

    listener = Listener()
    with spinning_node('gaze_ros_benchmark') as node:
        thread = MessageThread(node, node.create_subscription(
            GazeArray, topics.GAZE, listener.add, topics.default_qos(), raw=True,
            callback_group=NoExecutorGroup()), node.get_logger().error)
        try:
            yield listener
        finally:
            thread.stop()


@contextmanager
def spinning_node(name: str) -> Iterator['Node']:
    """Create a node in the ROS domain of the environment and spin it in a thread of its own."""
    from gaze_ros.ros.comm import dds_profile
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    stop = Event()

    def spin() -> None:
        while not stop.is_set():
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
            stop.set()
            thread.join(1)
            executor.shutdown(0.0)
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
