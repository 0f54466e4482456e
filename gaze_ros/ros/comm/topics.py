"""Topic names, and the QoS (quality of service) of each topic."""
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
    """Return the default QoS, a new profile each time: overriding changes it in place.

    Best effort with depth 2: a lost image is not resent, the next one is newer. Over a network,
    where an image is 100 packets or more, it is reliable with depth 10: lost packets are resent
    while the image is one of the last 10 (a third of a second at 30 Hz).
    """
    if dds_profile.link() == 'network':
        return reliable_qos(10)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def reliable_qos(depth: int, transient_local: bool = False) -> QoSProfile:
    """Return the QoS of topics whose messages must not be lost.

    :param transient_local: whether late subscribers that ask for it get the last messages.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if transient_local else DurabilityPolicy.VOLATILE))


def create_publisher(
        node: Node, msg_type: type, topic: str, qos: Optional[QoSProfile] = None) -> Publisher:
    """Create a publisher whose QoS can be overridden by parameters.

    :param qos: a new profile; None for :func:`default_qos`.
    """
    return node.create_publisher(
        msg_type, topic, qos or default_qos(),
        qos_overriding_options=QoSOverridingOptions.with_default_policies())


def create_subscription(
        node: Node, msg_type: type, topic: str, callback: Callable[[Any], None],
        group: CallbackGroup) -> Subscription:
    """Create a subscription with :func:`default_qos`, which parameters can override."""
    return node.create_subscription(
        msg_type, topic, callback, default_qos(), callback_group=group,
        qos_overriding_options=QoSOverridingOptions.with_default_policies())
