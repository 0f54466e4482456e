"""Names of the topics, and the quality of service of each."""
from collections.abc import Callable
from typing import Any, Optional

from gaze_ros.ros.comm import dds_profile
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

IMAGE = 'camera/image_raw'
CAMERA_INFO = 'camera/camera_info'
GAZE = 'gaze'
IMAGE_ANNOTATED = 'gaze/image_annotated'
MARKERS = 'gaze/markers'
ATTENTION = 'gaze/attention'


def default_qos() -> QoSProfile:
    """Return the quality of service of every topic, a new one: overriding changes it in place.

    Nothing queues beyond 2, nobody waits for what was lost: the next picture is better. Over a
    network, where a picture is 100 packets and more, what was lost is sent again, for as long as
    the picture is one of the last 10: a third of a second.
    """
    if dds_profile.link() == 'network':
        return reliable_qos(10)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def reliable_qos(depth: int, lasting: bool = False) -> QoSProfile:
    """Return the quality of service of what must not be lost.

    :param lasting: whether who subscribes later, and asks for it, gets the last ones, too.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if lasting else DurabilityPolicy.VOLATILE))


def create_publisher(
        node: Node, kind: type, topic: str, profile: Optional[QoSProfile] = None) -> Publisher:
    """Create a publisher whose quality of service a parameter file may override.

    :param profile: a new one; that of :func:`qos` where none is given.
    """
    return node.create_publisher(
        kind, topic, profile or default_qos(),
        qos_overriding_options=QoSOverridingOptions.with_default_policies())


def create_subscription(
        node: Node, kind: type, topic: str, callback: Callable[[Any], None],
        group: CallbackGroup) -> Subscription:
    """Create a subscription likewise."""
    return node.create_subscription(
        kind, topic, callback, default_qos(), callback_group=group,
        qos_overriding_options=QoSOverridingOptions.with_default_policies())
