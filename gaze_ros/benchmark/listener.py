"""A node outside of the pipeline that receives its results."""
from collections.abc import Iterator
from contextlib import contextmanager
import os
import random
from threading import Event, Lock, Thread
import time
from typing import NamedTuple, Optional, TYPE_CHECKING

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
    """Results of the messages on the topic ``gaze`` of a ROS domain, measured on arrival.

    Messages are deserialized by :meth:`take`, after the measurement: that would take processor
    time from the pipeline, which the configuration without topics does not lose.
    """

    def __init__(self, domain: int) -> None:
        self.domain = domain
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
    """Listen in a ROS domain of its own."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    domain = random.choice([  # noqa: S311, not a secret
        n for n in _DOMAINS if str(n) != os.environ.get('ROS_DOMAIN_ID', '')])
    _DOMAINS.remove(domain)
    from gaze_ros.msg import GazeArray
    from gaze_ros.ros.comm import topics
    from gaze_ros.ros.process.message_thread import MessageThread, NoExecutorGroup

    listener = Listener(domain)
    with spinning_node('gaze_ros_benchmark', domain) as node:
        thread = MessageThread(node, node.create_subscription(
            GazeArray, topics.GAZE, listener.add, topics.default_qos(), raw=True,
            callback_group=NoExecutorGroup()), node.get_logger().error)
        try:
            yield listener
        finally:
            thread.stop()
            _DOMAINS.append(domain)


@contextmanager
def spinning_node(name: str, domain: Optional[int] = None) -> Iterator['Node']:
    """Create a node and spin it in a thread of its own.

    :param domain: ROS domain id; None for that of the environment.
    """
    from gaze_ros.ros.comm import dds_profile
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    stop = Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.2)

    dds_profile.configure()
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain,
               signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(name, context=context, enable_rosout=False)
        executor = SingleThreadedExecutor(context=context)
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
        rclpy.try_shutdown(context=context)
