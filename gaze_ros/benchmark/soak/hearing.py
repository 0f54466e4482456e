"""A robot's own node: hears the gaze all the time, and asks the nodes for changes."""
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from gaze_ros.benchmark.listening import spinning
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import TOPIC as DIAGNOSTICS
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import seconds
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import Trigger

#: Seconds an answer may take: a model is loaded in it.
_PATIENCE = 60.0


@dataclass
class Heard:
    """What came between two calls of :meth:`Robot.take`.

    :ivar ages: seconds from capture to arrival of each result.
    :ivar faces: in each result.
    :ivar new: ids not heard of in the last results.
    :ivar dropped: pictures a second, of all nodes together, as they tell on /diagnostics.
    """

    ages: list[float] = field(default_factory=list)
    faces: list[int] = field(default_factory=list)
    new: int = 0
    dropped: float = 0.0


class Robot:
    """Hears and asks; its messages are taken in a thread of its own."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = Lock()
        self._heard = Heard()
        self._present: set[str] = set()
        self._dropped: dict[str, float] = {}
        self._asked: dict[Future, tuple[str, float]] = {}
        self._clients: dict[str, Any] = {}
        #: Requests that were refused or not answered, and why the last one was.
        self.failures, self.failure = 0, ''
        node.create_subscription(GazeArray, topics.GAZE, self._on_gaze, topics.default_qos())
        node.create_subscription(DiagnosticArray, DIAGNOSTICS, self._on_diagnostics, 10)

    def take(self) -> Heard:
        """Return what was heard since the last call."""
        with self._lock:
            heard, self._heard = self._heard, Heard()
            heard.dropped = sum(self._dropped.values())
        return heard

    def put(self, node: str, **values: Any) -> None:
        """Ask a node for new values of its parameters; the answer is minded when it comes."""
        request = SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        self._ask(f'{node}/set_parameters', SetParameters, request)

    def trigger(self, service: str) -> None:
        """Ask for a service without words likewise."""
        self._ask(service, Trigger, Trigger.Request())

    def mind(self) -> None:
        """Give up requests that have waited too long."""
        now = time.monotonic()
        for future, (name, asked) in [*self._asked.items()]:
            if now - asked > _PATIENCE and self._asked.pop(future, None):
                self._fail(f'{name}: no answer for {_PATIENCE:g} s')
                self._clients[name].remove_pending_request(future)

    def _ask(self, name: str, kind: type, request: Any) -> None:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self._node.create_client(kind, name)
            client.wait_for_service(5.0)
        future = client.call_async(request)
        self._asked[future] = name, time.monotonic()
        future.add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        name, _ = self._asked.pop(future, ('', 0.0))
        answer = future.result()
        if not name or answer is None:
            return
        results = getattr(answer, 'results', None)
        if results is None:
            if not answer.success:
                self._fail(f'{name}: {answer.message}')
        elif refused := '; '.join(r.reason for r in results if not r.successful):
            self._fail(f'{name}: {refused}')

    def _fail(self, reason: str) -> None:
        self.failures, self.failure = self.failures + 1, reason

    def _on_gaze(self, message: GazeArray) -> None:
        age = time.time() - seconds(message.header.stamp)
        present = {gaze.track_id for gaze in message.gazes}
        with self._lock:
            self._heard.ages.append(age)
            self._heard.faces.append(len(present))
            self._heard.new += len(present - self._present)
        self._present = present

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {v.key: v.value for v in status.values}
            dropped = sum(int(v) for k, v in values.items() if k.startswith('dropped: '))
            period = float(values.get('period [s]', 0))
            with self._lock:
                self._dropped[status.name] = dropped / period if period else 0.0


@contextmanager
def hearing() -> Iterator[Robot]:
    """Hear and ask for the length of the block, in the ROS domain of the environment."""
    with spinning('gaze_ros_soak') as node:
        yield Robot(node)
