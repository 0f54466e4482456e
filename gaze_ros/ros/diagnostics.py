"""How a node fares, once a second on /diagnostics, as diagnostic_updater would tell it."""
from collections import deque

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from gaze_ros.core.facts import NotActive
from gaze_ros.core.health import Input, judge, values
from gaze_ros.core.stage import Mark, Stage
from gaze_ros.ros.handover import Reader
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile

#: Absolute: everybody's go there, whatever their namespace.
TOPIC = '/diagnostics'

#: Seconds from one message to the next, and between how many such times the figures are: in one
#: second a camera of 5 Hz that gives 4 pictures would count as slow.
_PERIOD, _MARKS = 1.0, 6


class Diagnostics:
    """Publishes the state of a node's stage for as long as the node lives.

    The figures are of the last 5 s. The time is the machine's: a node that waits for /clock is
    told about, too.

    :param node: a ManagedNode, whose name goes before its stage's: ``gaze: Inference``. Its facts
        are asked for once a second, in an executor's thread.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stage: Stage = node.stage
        # As diagnostic_updater's, but two robots' are told apart.
        self._name = f"{node.get_fully_qualified_name().lstrip('/')}: {self._stage.name}"
        self._marks: deque[Mark] = deque(maxlen=_MARKS)
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, QoSProfile(depth=10))
        node.create_timer(
            _PERIOD, self._on_time, MutuallyExclusiveCallbackGroup(),
            Clock(clock_type=ClockType.STEADY_TIME))

    def _on_time(self) -> None:
        self._marks.append(self._stage.mark())
        if len(self._marks) == 1:
            return  # until now other nodes may have loaded their models: no time of this stage
        try:
            self._tell()
        except InvalidHandle:
            pass  # the node was destroyed meanwhile

    def _tell(self) -> None:
        node = self._node
        figures = self._stage.figures(self._marks[0])
        facts = node.facts() if node.active else NotActive(node.configured)
        verdict = judge(figures, facts)
        told = {**values(figures, facts), 'also': verdict.also}
        status = DiagnosticStatus(
            level=bytes([verdict.level]), name=self._name, message=verdict.message,
            hardware_id=node.hardware if node.configured else '',
            values=[KeyValue(key=key, value=value) for key, value in told.items()])
        message = DiagnosticArray(status=[status])
        message.header.stamp = node.get_clock().now().to_msg()
        self._publisher.publish(message)


def inputs(node: Node, *readers: Reader) -> tuple[Input, ...]:
    """Return what a node listens to, after remapping, and how many publish it now."""
    return tuple(Input(r.topic_name, node.count_publishers(r.topic_name)) for r in readers)


def in_sim_time(node: Node) -> bool:
    """Return whether a node takes the time from /clock."""
    return node.get_parameter('use_sim_time').value
