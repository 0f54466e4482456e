"""Publishers and subscriptions of images: raw, compressed, and intra-process without a copy."""
from collections.abc import Callable
import time
from typing import Optional, Union

from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import (
    bgr_to_compressed,
    bgr_to_image,
    compressed_to_bgr,
    image_to_bgr,
)
from gaze_ros.ros.comm.intra_process import IntraProcessPublisher, IntraProcessSubscription
import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

#: Transport: (message type, suffix that image_transport appends to the topic name).
TRANSPORTS = {'raw': (Image, ''), 'compressed': (CompressedImage, '/compressed')}


class ReceivedImage:
    """An image received on a topic, decoded on demand.

    :ivar header: its stamp is the time of capture.
    :ivar arrival: time.monotonic() at which it was received, s.
    """

    def __init__(self, header: Header, data: Union[Image, CompressedImage, np.ndarray]) -> None:
        self.header = header
        self.arrival = time.monotonic()
        self._data = data

    @property
    def nbytes(self) -> int:
        """The memory it takes, in bytes."""
        data = self._data
        return data.nbytes if isinstance(data, np.ndarray) else len(data.data)

    def decode(self) -> np.ndarray:
        """Return the image as (H, W, 3) uint8 BGR; read-only, since others may use it as well.

        :raises ValueError: if the message cannot be converted, with the reason.
        """
        if isinstance(self._data, np.ndarray):
            return self._data
        convert = image_to_bgr if isinstance(self._data, Image) else compressed_to_bgr
        return convert(self._data)

    def decode_writable(self) -> np.ndarray:
        """Return the image as a writable (H, W, 3) uint8 BGR array; call it only once.

        :raises ValueError: if the message cannot be converted, with the reason.
        """
        return self._data.copy() if isinstance(self._data, np.ndarray) else self.decode()


class ImagePublisher:
    """Publishes images raw and compressed; only what has subscribers is converted.

    :param topic: of sensor_msgs/Image; CompressedImage is published on topic/compressed.
    :param jpeg_quality: quality of compressed images, 1..100; may be changed.
    """

    def __init__(self, node: Node, topic: str, jpeg_quality: int = 90) -> None:
        self.jpeg_quality = jpeg_quality
        # As in image_transport, the suffix is appended to the remapped name.
        topic = node.resolve_topic_name(topic)
        self._raw = IntraProcessPublisher(node, Image, topic)
        msg_type, suffix = TRANSPORTS['compressed']
        self._compressed = topics.create_publisher(node, msg_type, topic + suffix)

    @property
    def topic_name(self) -> str:
        """The full name of the sensor_msgs/Image topic."""
        return self._raw.topic_name

    def get_subscription_count(self) -> int:
        """Return the number of subscribers, raw and compressed."""
        return self._raw.get_subscription_count() + self._compressed.get_subscription_count()

    def wanted(self, horizon: float) -> bool:
        """Return whether anyone needs an image that is published now.

        :param horizon: seconds until the next image.
        """
        return self._compressed.get_subscription_count() > 0 or self._raw.wanted(horizon)

    def skip(self) -> None:
        """Tell the subscriptions of this process that nobody needs the present image."""
        self._raw.skip()

    def publish(self, image: np.ndarray, header: Header) -> None:
        """Publish an image.

        :param image: (H, W, 3) uint8 BGR; must not change afterwards.
        """
        self._raw.publish(ReceivedImage(header, image), lambda: bgr_to_image(image, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(bgr_to_compressed(image, header, self.jpeg_quality))


def subscribe_images(
        node: Node, topic: str, callback: Callable[[ReceivedImage], None], group: CallbackGroup,
        transport: str = 'raw', *, wants: Optional[Callable[[float], bool]] = None,
        skip: Callable[[], None] = lambda: None) -> IntraProcessSubscription:
    """Subscribe to images, as reliably as the present publishers permit.

    :param topic: of sensor_msgs/Image.
    :param transport: one of :data:`TRANSPORTS`.
    :param wants: see :class:`gaze_ros.ros.comm.intra_process.IntraProcessSubscription`.
    :param skip: as wants.
    :raises GazeRosError: as :func:`.topics.image_reliability`.
    """
    msg_type, suffix = TRANSPORTS[transport]
    topic = node.resolve_topic_name(topic) + suffix
    return IntraProcessSubscription(
        node, msg_type, topic, callback, group,
        lambda message: ReceivedImage(message.header, message),
        topics.image_reliability(node, topic), wants, skip)
