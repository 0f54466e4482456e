"""A node of the test: subscriptions, diagnostics, service calls."""
from threading import Thread
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from gaze_ros.ros.comm import topics
from helpers.processes import wait_until
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
)
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

#: Seconds after which a request is repeated, 25 for all others: soon if it changes nothing, and
#: later if it may only take long.
_AGAIN = {GetState: 3.0, GetParameters: 5.0, DescribeParameters: 5.0, ListParameters: 5.0,
          SetParameters: 10.0}


class Listener:
    """A node that keeps the messages it receives; it spins in a thread of its own."""

    def __init__(self, name: str = 'test_listener') -> None:
        self.node = Node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._ending = False
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ending:
            self._executor.spin_once(timeout_sec=0.1)

    def subscribe(self, kind: type, topic: str, keep=lambda message: message) -> list:
        """Subscribe; return the list that collects keep(message) of each message."""
        heard: list = []
        self.node.create_subscription(
            kind, topic, lambda message: heard.append(keep(message)), topics.default_qos())
        return heard

    def close(self) -> None:
        self._ending = True
        self._thread.join(5)
        self._executor.shutdown()
        self.node.destroy_node()


class DiagnosticsProbe:
    """Collects the /diagnostics of one task.

    :param name: name of the task, such as ``camera: Camera``.
    """

    def __init__(self, listener, name):
        self.name = name
        self._heard = listener.subscribe(DiagnosticArray, '/diagnostics')

    @property
    def all(self):
        return [message for message in [*self._heard] if message.status[0].name == self.name]

    @property
    def last(self):
        return self.all[-1].status[0] if self.all else DiagnosticStatus(level=b'\xff')

    @property
    def values(self):
        return {value.key: value.value for value in self.last.values}

    def has_status(self, level, words=''):
        """Return whether the last status has this level and these words."""
        last = self.last
        return last.level == level and words in last.message

    def wait(self, level, words='', timeout=20.0):
        wait_until(lambda: self.has_status(level, words), timeout, f'{level} {words}')


def publish_until_answered(publisher, make, heard: list) -> None:
    """Publish make() until heard grows, then clear it: both sides have discovered each other.

    A matched subscription alone does not show it: the other node may discover this one's
    subscription up to seconds later, and what it publishes before is lost.
    """
    def answered() -> bool:
        publisher.publish(make())
        end = time.monotonic() + 2
        while not heard and time.monotonic() < end:
            time.sleep(0.01)
        return bool(heard)

    heard.clear()
    wait_until(answered, 40, 'an answer')
    heard.clear()


def call_service(node: Node, kind: type, name: str, request, again: float | None = None):
    """Call a service; return its response. Another thread spins the node.

    :param again: seconds after which the request is repeated, None for those of its kind: a server
        may discover the client after its first request, and that response is lost.
    """
    again = _AGAIN.get(kind, 25.0) if again is None else again
    client = node.create_client(kind, name)
    assert client.wait_for_service(60), f'no service {name}'
    time.sleep(0.1)
    futures = []

    def answered():
        return any(future.done() for future in futures)

    end = time.monotonic() + 60
    while not answered():
        assert time.monotonic() < end, f'no answer of {name} within 60 s'
        futures.append(client.call_async(request))
        until = time.monotonic() + again
        while not answered() and time.monotonic() < until:
            time.sleep(0.01)
    node.destroy_client(client)
    return next(future.result() for future in futures if future.done())


def get_state(listener, node):
    """Return the lifecycle state of a node."""
    return call_service(
        listener.node, GetState, f'/{node}/get_state', GetState.Request()
    ).current_state.label


def request_transitions(listener, node, *transitions):
    """Request transitions one after the other; return whether each succeeded."""
    get_state(listener, node)  # its response shows that the server has discovered the client
    return [call_service(listener.node, ChangeState, f'/{node}/change_state', ChangeState.Request(
        transition=Transition(id=t))).success for t in transitions]


def set_parameters(listener, node, **values):
    """Set parameters; return the reasons of refusal, or ''."""
    request = SetParameters.Request(parameters=[
        Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
    answers = call_service(
        listener.node, SetParameters, f'/{node}/set_parameters', request
    ).results
    return '; '.join(answer.reason for answer in answers if not answer.successful)
