"""Publishes the state of a node on /diagnostics once a second, as diagnostic_updater does."""
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

#: Absolute: the diagnostics of all nodes go there, whatever their namespace.
TOPIC = '/diagnostics'

#: Seconds between two messages, and the number of marks the statistics span: over one second, a
#: camera of 5 Hz that delivers 4 images would count as slow.
_PERIOD, _MARKS = 1.0, 6


class DiagnosticsPublisher:
    """Publishes the state of a node for as long as the node exists.

    The statistics span the last 5 s, or less: they start with the first image after the node
    became active, so that waiting for it lowers no rate. The timer uses the steady clock: a node
    that waits for /clock is reported as well.

    :param node: a ManagedNode. The status is named after the node and its stage:
        ``gaze: Inference``. Its state is read once a second, in a thread of the executor.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stats: StageStats = node.stats
        # As diagnostic_updater does it, but with the namespace: two robots have different names.
        self._name = f"{node.get_fully_qualified_name().lstrip('/')}: {self._stats.name}"
        self._marks: deque[StageMark] = deque(maxlen=_MARKS)
        self._waiting_for_input = True
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, QoSProfile(depth=10))
        node.create_timer(
            _PERIOD, self._on_timer, MutuallyExclusiveCallbackGroup(),
            Clock(clock_type=ClockType.STEADY_TIME))

    def _on_timer(self) -> None:
        since = self._add_mark(self._stats.mark())
        if since is None:
            return  # the time until now may include the loading of other nodes' models
        try:
            self._publish(since)
        except InvalidHandle:
            pass  # the node was destroyed meanwhile

    def _add_mark(self, mark: StageMark) -> Optional[StageMark]:
        """Add a mark; return the one from which the statistics start, None for the first."""
        active, last = self._node.active, self._marks[-1] if self._marks else None
        first_input = self._waiting_for_input and last is not None and (
            mark.received > last.received)
        self._waiting_for_input = not active or self._waiting_for_input and not first_input
        if first_input or not active:
            self._marks.clear()
        self._marks.append(mark)
        return last if len(self._marks) == 1 else self._marks[0]

    def _publish(self, since: StageMark) -> None:
        node = self._node
        snapshot = self._stats.snapshot(since)
        node_status, hardware_id = node.diagnostic_state()
        now = node.get_clock().now()
        if not now.nanoseconds and uses_sim_time(node):
            node_status = NoClockStatus(node_status)
        thresholds = Thresholds(*(node.values[name] for name in Thresholds._fields))
        summary = summarize(snapshot, node_status, thresholds)
        values = {
            **key_values(snapshot, node_status, thresholds),
            'last error': self._stats.last_error, 'also': summary.also}
        status = DiagnosticStatus(
            level=bytes([summary.level]), name=self._name, message=summary.message,
            # diagnostic_updater warns of an empty one.
            hardware_id=hardware_id or 'none',
            values=[KeyValue(key=key, value=value) for key, value in values.items()])
        message = DiagnosticArray(status=[status])
        message.header.stamp = now.to_msg()
        self._publisher.publish(message)


def input_topics(
        node: Node, *subscriptions: IntraProcessSubscription) -> tuple[InputTopic, ...]:
    """Return the topics a node subscribes to, after remapping, and their publisher counts."""
    return tuple(
        InputTopic(s.topic_name, node.count_publishers(s.topic_name)) for s in subscriptions)


def uses_sim_time(node: Node) -> bool:
    """Return whether a node takes its time from /clock."""
    return node.get_parameter('use_sim_time').value
