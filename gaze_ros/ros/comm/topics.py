"""Topic names, and the QoS (quality of service) of each topic."""
from collections.abc import Callable
from typing import Any, Optional

from gaze_ros.core.errors import GazeRosError
from gaze_ros.ros.comm import dds_profile
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

IMAGE = 'camera/image_raw'
CAMERA_INFO = 'camera/camera_info'
#: A service, by the name that cameracalibrator of camera_calibration calls.
SET_CAMERA_INFO = 'camera/set_camera_info'
#: Named as depth_image_proc names them.
DEPTH = 'camera/depth_registered/image_rect'
DEPTH_CAMERA_INFO = 'camera/depth_registered/camera_info'
GAZE = 'gaze'
IMAGE_ANNOTATED = 'gaze/image_annotated'
MARKERS = 'gaze/markers'
ANNOTATIONS = 'gaze/annotations'
ATTENTION = 'gaze/attention'
FACES = 'gaze/faces'
FOCUS = 'gaze/focus'
OBJECTS = 'gaze/objects'

#: rclpy's name, since Iron, for the reliability that all publishers offer. Its own takes the
#: publishers of the moment at which the subscription is created.
_BEST_AVAILABLE = 'best_available'


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
        group: CallbackGroup, reliability: Optional[ReliabilityPolicy] = None) -> Subscription:
    """Create a subscription with :func:`default_qos`, which parameters can override.

    :param reliability: see :func:`image_reliability`; None for that of the default, which a
        parameter can override.
    """
    qos = default_qos()
    kinds = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH]
    if reliability is None:
        kinds.append(QoSPolicyKind.RELIABILITY)
    else:
        qos.reliability = reliability
    return node.create_subscription(
        msg_type, topic, callback, qos, callback_group=group,
        qos_overriding_options=QoSOverridingOptions(kinds))


def image_reliability(node: Node, topic: str) -> ReliabilityPolicy:
    """Return the reliability to subscribe to images with: the best that all publishers offer.

    Images of a publisher with Fast DDS's default segments of 0.5 MB are all lost at best effort,
    and all arrive reliably at 640x480 (docs/network.md). A reliable subscription receives
    nothing from a best-effort publisher. The parameter
    ``qos_overrides.TOPIC.subscription.reliability`` fixes it.

    :param topic: the full name.
    :raises GazeRosError: if the parameter is not a reliability.
    """
    name = f'qos_overrides.{topic}.subscription.reliability'
    if not node.has_parameter(name):
        node.declare_parameter(name, _BEST_AVAILABLE, ParameterDescriptor(
            description=f'reliability for subscription `{topic}`; {_BEST_AVAILABLE}: reliable if '
            'all publishers are', read_only=True))
    value = node.get_parameter(name).value
    if value != _BEST_AVAILABLE:
        try:
            return ReliabilityPolicy[value.upper()]
        except KeyError:
            raise GazeRosError(
                f"parameter {name} is '{value}'; expected {_BEST_AVAILABLE}, reliable or "
                'best_effort') from None
    offered = {info.qos_profile.reliability for info in node.get_publishers_info_by_topic(topic)}
    if not offered:
        return default_qos().reliability
    return ReliabilityPolicy.RELIABLE if offered == {
        ReliabilityPolicy.RELIABLE} else ReliabilityPolicy.BEST_EFFORT
