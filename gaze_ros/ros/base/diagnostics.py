"""How a node fares, once a second on /diagnostics, as diagnostic_updater would tell it."""
from collections import deque
from typing import Optional

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from gaze_ros.core.diagnostics.stage_stats import StageMark, StageStats
from gaze_ros.core.diagnostics.status import (
    InputTopic,
    key_values,
    NoClockStatus,
    summarize,
    Thresholds,
)
from gaze_ros.ros.comm.intra_process import IntraProcessSubscription
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


class DiagnosticsPublisher:
    """Publishes the state of a node's stage for as long as the node lives.

    The figures are of the last 5 s, at most since the first picture after the node became active:
    what it waited is in no rate. The time is the machine's: a node that waits for /clock is told
    about, too.

    :param node: a ManagedNode, whose name goes before its stage's: ``gaze: Inference``. What it
        tells is asked for once a second, in an executor's thread.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stats: StageStats = node.stats
        # As diagnostic_updater's, but two robots' are told apart.
        self._name = f"{node.get_fully_qualified_name().lstrip('/')}: {self._stats.name}"
        self._marks: deque[StageMark] = deque(maxlen=_MARKS)
        self._waits = True
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, QoSProfile(depth=10))
        node.create_timer(
            _PERIOD, self._on_time, MutuallyExclusiveCallbackGroup(),
            Clock(clock_type=ClockType.STEADY_TIME))

    def _on_time(self) -> None:
        mark = self._stats.mark()
        since = self._since(mark)
        if since is None:
            return  # until now other nodes may have loaded their models: no time of this stage
        try:
            self._tell(since)
        except InvalidHandle:
            pass  # the node was destroyed meanwhile

    def _since(self, mark: StageMark) -> Optional[StageMark]:
        """Add a mark; return the one from which on figures are of what the node is to do."""
        active, last = self._node.active, self._marks[-1] if self._marks else None
        begins = self._waits and last is not None and mark.received > last.received
        self._waits = not active or self._waits and not begins
        if begins or not active:
            self._marks.clear()
        self._marks.append(mark)
        return last if len(self._marks) == 1 else self._marks[0]

    def _tell(self, since: StageMark) -> None:
        node = self._node
        figures = self._stats.snapshot(since)
        facts, hardware = node.diagnostic_state()
        now = node.get_clock().now()
        if not now.nanoseconds and uses_sim_time(node):
            facts = NoClockStatus(facts)
        limits = Thresholds(*(node.values[name] for name in Thresholds._fields))
        verdict = summarize(figures, facts, limits)
        told = {
            **key_values(figures, facts, limits), 'last error': self._stats.last_error,
            'also': verdict.also}
        status = DiagnosticStatus(
            level=bytes([verdict.level]), name=self._name, message=verdict.message,
            # What has none is told so: diagnostic_updater warns of an empty one.
            hardware_id=hardware or 'none',
            values=[KeyValue(key=key, value=value) for key, value in told.items()])
        message = DiagnosticArray(status=[status])
        message.header.stamp = now.to_msg()
        self._publisher.publish(message)


def input_topics(node: Node, *readers: IntraProcessSubscription) -> tuple[InputTopic, ...]:
    """Return what a node listens to, after remapping, and how many publish it now."""
    return tuple(InputTopic(r.topic_name, node.count_publishers(r.topic_name)) for r in readers)


def uses_sim_time(node: Node) -> bool:
    """Return whether a node takes the time from /clock."""
    return node.get_parameter('use_sim_time').value
