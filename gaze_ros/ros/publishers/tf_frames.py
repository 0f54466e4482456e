"""Publishes faces and gazes as TF frames, as REP-155 defines them."""
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from builtin_interfaces.msg import Time
from gaze_ros.core.geometry.rotations import gaze_quaternion, normalised
from gaze_ros.core.types import FrameGaze
from geometry_msgs.msg import Quaternion, TransformStamped
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

try:
    from tf2_ros import TransformBroadcaster
except ImportError:  # no package registry has it
    TransformBroadcaster = None


class TfFramePublisher:
    """Broadcasts the TF frames of each image in one message.

    It uses tf2_ros where that is installed; otherwise it publishes on /tf with the same QoS:
    reliable, volatile, keep last 100.
    """

    def __init__(self, node: Node) -> None:
        self._last_stamp = Time()
        self._messages: dict[str, TransformStamped] = {}
        if TransformBroadcaster is not None:
            self._send = TransformBroadcaster(node).sendTransform
        else:
            publisher = node.create_publisher(TFMessage, '/tf', QoSProfile(depth=100))
            self._send = lambda transforms: publisher.publish(TFMessage(transforms=transforms))

    def publish(self, frame: FrameGaze, header: Header, persons: Collection[str] = ()) -> None:
        """Broadcast the frames of the faces and gazes in an image.

        :param header: of the image. Without a frame_id or a valid stamp nothing is published: tf2
            could not place the frames, and it crashes on times before 1970. Neither is it for the
            stamp of the previous image: tf2 keeps the first frame of a time, and prints a warning
            for each further one.
        :param persons: track ids of the faces that get a frame for their person, too.
        """
        stamp, last, self._last_stamp = header.stamp, self._last_stamp, header.stamp
        if header.frame_id and stamp != last and stamp.sec >= 0 and (
                0 < stamp.sec + stamp.nanosec and stamp.nanosec < 1_000_000_000):
            self._messages = {transform.child_frame_id: transform for transform in (
                gaze_transforms(frame, header, persons, self._messages))}
            if self._messages:
                self._send([*self._messages.values()])


def person_id(track_id: str) -> str:
    """Return the id of the person with a face, of REP-155."""
    return f'p_{track_id}'


def gaze_transforms(
        frame: FrameGaze, header: Header, persons: Collection[str] = (),
        messages: Mapping[str, TransformStamped] = MappingProxyType({})
        ) -> Iterator[TransformStamped]:
    """Yield the TF frames of each person whose position is known.

    face_<id>: origin midway between the eyes, x out of the face, y to the person's left, z up.
    gaze_<id>: same origin, z along the gaze, x horizontal, y downward; only if the gaze is known.
    person_<id>: as face_<id>, for ``persons``.
    The parent is the frame of the image.

    :param messages: of the image before, by child_frame_id; they are changed and yielded again,
        which costs less than new ones.
    """
    for gaze in frame.gazes:
        if not np.isfinite(gaze.origin).all():
            continue
        x, y, z = gaze.origin.tolist()
        track_id, face = gaze.track_id, normalised(gaze.orientation)
        for child, rotation in (
                (f'face_{track_id}', face),
                (f'gaze_{track_id}', gaze_quaternion(gaze.direction)),
                (f'person_{person_id(track_id)}', face if track_id in persons else None)):
            if rotation is not None:
                message = messages.get(child) or TransformStamped(child_frame_id=child)
                message.header = header
                to = message.transform.translation
                to.x, to.y, to.z = x, y, z
                message.transform.rotation = quaternion_message(rotation)
                yield message


def quaternion_message(rotation: np.ndarray) -> Quaternion:
    """Return the message of a quaternion (4,): x, y, z, w."""
    x, y, z, w = rotation.tolist()
    return Quaternion(x=x, y=y, z=z, w=w)
