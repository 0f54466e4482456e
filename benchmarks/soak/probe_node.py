"""A node outside of the pipeline that receives its results and calls its services."""
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from gaze_ros.benchmark.listener import spinning_node
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.diagnostics import TOPIC as DIAGNOSTICS
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import seconds
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import Trigger

#: Maximum time until a service answers, s: a change of model loads it before the answer.
_ANSWER_TIMEOUT = 60.0


@dataclass
class Received:
    """What arrived between two calls of :meth:`ProbeNode.take`.

    :ivar ages: seconds from capture to arrival of each result.
    :ivar faces: number of faces of each result.
    :ivar new: number of ids that the result before did not have.
    :ivar dropped: dropped images per second of all nodes, as published on /diagnostics.
    """

    ages: list[float] = field(default_factory=list)
    faces: list[int] = field(default_factory=list)
    new: int = 0
    dropped: float = 0.0


class ProbeNode:
    """Receives the results and calls services.

    :param node: spun in another thread.
    :ivar failures: number of requests that were refused or not answered.
    :ivar last_failure: reason of the last one; '' for none.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = Lock()
        self._received = Received()
        self._present: set[str] = set()
        self._dropped: dict[str, float] = {}
        self._pending: dict[Future, tuple[str, float]] = {}
        self._clients: dict[str, Any] = {}
        self.failures, self.last_failure = 0, ''
        node.create_subscription(GazeArray, topics.GAZE, self._on_gaze, topics.default_qos())
        node.create_subscription(DiagnosticArray, DIAGNOSTICS, self._on_diagnostics, 10)

    def take(self) -> Received:
        """Return what arrived since the last call."""
        with self._lock:
            received, self._received = self._received, Received()
            received.dropped = sum(self._dropped.values())
        return received

    def set_parameters(self, node: str, **values: Any) -> None:
        """Request new parameter values of a node; do not wait for the answer."""
        request = SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        self._call(f'{node}/set_parameters', SetParameters, request)

    def trigger(self, service: str) -> None:
        """Call a std_srvs/srv/Trigger service; do not wait for the answer."""
        self._call(service, Trigger, Trigger.Request())

    def check_timeouts(self) -> None:
        """Count requests without an answer as failed after 60 s."""
        now = time.monotonic()
        for future, (name, requested) in [*self._pending.items()]:
            if now - requested > _ANSWER_TIMEOUT and self._pending.pop(future, None):
                self._fail(f'{name}: no answer within {_ANSWER_TIMEOUT:g} s')
                self._clients[name].remove_pending_request(future)

    def _call(self, name: str, kind: type, request: Any) -> None:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self._node.create_client(kind, name)
            client.wait_for_service(5.0)
        future = client.call_async(request)
        self._pending[future] = name, time.monotonic()
        future.add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        name, _ = self._pending.pop(future, ('', 0.0))
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
        self.failures, self.last_failure = self.failures + 1, reason

    def _on_gaze(self, message: GazeArray) -> None:
        age = time.time() - seconds(message.header.stamp)
        present = {gaze.track_id for gaze in message.gazes}
        with self._lock:
            self._received.ages.append(age)
            self._received.faces.append(len(present))
            self._received.new += len(present - self._present)
        self._present = present

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {v.key: v.value for v in status.values}
            dropped = sum(int(v) for k, v in values.items() if k.startswith('dropped: '))
            period = float(values.get('period [s]', 0))
            with self._lock:
                self._dropped[status.name] = dropped / period if period else 0.0


@contextmanager
def probe() -> Iterator[ProbeNode]:
    """Run a probe node for the ``with`` block, in the ROS domain of the environment."""
    with spinning_node('gaze_ros_soak') as node:
        yield ProbeNode(node)
