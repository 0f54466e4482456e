"""Names of the topics, and the quality of service of each."""
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

IMAGE = 'camera/image_raw'
CAMERA_INFO = 'camera/camera_info'
GAZE = 'gaze'
IMAGE_ANNOTATED = 'gaze/image_annotated'
MARKERS = 'gaze/markers'
ATTENTION = 'gaze/attention'


def qos() -> QoSProfile:
    """Return the quality of service of every topic, a new one: overriding changes it in place.

    Nothing queues beyond 2, nobody waits for what was lost: the next picture is better.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def publish(node: Node, kind: type, topic: str) -> Publisher:
    """Create a publisher whose quality of service a parameter file may override."""
    return node.create_publisher(
        kind, topic, qos(), qos_overriding_options=QoSOverridingOptions.with_default_policies())


def subscribe(
        node: Node, kind: type, topic: str, callback: Callable[[Any], None],
        group: CallbackGroup) -> Subscription:
    """Create a subscription likewise."""
    return node.create_subscription(
        kind, topic, callback, qos(), callback_group=group,
        qos_overriding_options=QoSOverridingOptions.with_default_policies())
