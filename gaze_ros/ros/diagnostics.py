"""How a node fares, once a second on /diagnostics, as diagnostic_updater would tell it."""
from collections import deque
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from gaze_ros.core.health import Facts, Input, judge, values
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

    :param node: whose name goes before the stage's: ``gaze: Inference``.
    :param hardware: hardware_id: the camera, the model, or ''.
    :param facts: returns what is known beside the figures; called once a second, in an
        executor's thread.
    """

    def __init__(
            self, node: Node, stage: Stage, hardware: str, facts: Callable[[], Facts]) -> None:
        self._node = node
        self._stage = stage
        # As diagnostic_updater's, but two robots' are told apart.
        self._name = f"{node.get_fully_qualified_name().lstrip('/')}: {stage.name}"
        self._hardware = hardware
        self._facts = facts
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
        figures, facts = self._stage.figures(self._marks[0]), self._facts()
        verdict = judge(figures, facts)
        told = {**values(figures, facts), 'also': verdict.also}
        status = DiagnosticStatus(
            level=bytes([verdict.level]), name=self._name, message=verdict.message,
            hardware_id=self._hardware,
            values=[KeyValue(key=key, value=value) for key, value in told.items()])
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def inputs(node: Node, *readers: Reader) -> tuple[Input, ...]:
    """Return what a node listens to, after remapping, and how many publish it now."""
    return tuple(Input(r.topic_name, node.count_publishers(r.topic_name)) for r in readers)


def in_sim_time(node: Node) -> bool:
    """Return whether a node takes the time from /clock."""
    return node.get_parameter('use_sim_time').value
