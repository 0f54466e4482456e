"""Pictures on topics: as they are, compressed, and within one process without a copy."""
from collections.abc import Callable
from typing import Union

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

#: How pictures may be asked for, and what image_transport adds to the topic's name for it.
TRANSPORTS = {'raw': (Image, ''), 'compressed': (CompressedImage, '/compressed')}


class ReceivedImage:
    """A picture that came by a topic.

    :ivar header: its stamp is the time of capture.
    """

    def __init__(self, header: Header, data: Union[Image, CompressedImage, np.ndarray]) -> None:
        self.header = header
        self._data = data

    @property
    def nbytes(self) -> int:
        """Bytes it takes while it is kept."""
        data = self._data
        return data.nbytes if isinstance(data, np.ndarray) else len(data.data)

    def decode(self) -> np.ndarray:
        """Return it as (H, W, 3) uint8 BGR, not to be written to: others may look at it.

        :raises ValueError: where the message is none that can be shown, naming what is wrong.
        """
        if isinstance(self._data, np.ndarray):
            return self._data
        convert = image_to_bgr if isinstance(self._data, Image) else compressed_to_bgr
        return convert(self._data)

    def decode_writable(self) -> np.ndarray:
        """Return it likewise, to be written to; the picture may not be used again.

        :raises ValueError: as :meth:`bgr`.
        """
        return self._data.copy() if isinstance(self._data, np.ndarray) else self.decode()


class ImagePublisher:
    """Publishes pictures for whoever listens, in the form they listen to; nothing for nobody.

    :param topic: of sensor_msgs/Image; CompressedImage goes to topic/compressed.
    :param jpeg_quality: of compressed pictures, 1..100; may be changed.
    """

    def __init__(self, node: Node, topic: str, jpeg_quality: int = 90) -> None:
        self.jpeg_quality = jpeg_quality
        # As image_transport does: the suffix goes behind the name that the topic is remapped to.
        topic = node.resolve_topic_name(topic)
        self._raw = IntraProcessPublisher(node, Image, topic)
        kind, suffix = TRANSPORTS['compressed']
        self._compressed = topics.create_publisher(node, kind, topic + suffix)

    @property
    def topic_name(self) -> str:
        """The full name of the topic of sensor_msgs/Image."""
        return self._raw.topic_name

    def get_subscription_count(self) -> int:
        """Return how many subscribe, in whatever form."""
        return self._raw.get_subscription_count() + self._compressed.get_subscription_count()

    def publish(self, bgr: np.ndarray, header: Header) -> None:
        """Publish a picture.

        :param bgr: (H, W, 3) uint8; must not change afterwards.
        """
        self._raw.publish(ReceivedImage(header, bgr), lambda: bgr_to_image(bgr, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(bgr_to_compressed(bgr, header, self.jpeg_quality))


def subscribe_images(
        node: Node, topic: str, callback: Callable[[ReceivedImage], None], group: CallbackGroup,
        transport: str = 'raw') -> IntraProcessSubscription:
    """Subscribe to pictures.

    :param topic: of sensor_msgs/Image.
    :param transport: one of :data:`TRANSPORTS`.
    """
    kind, suffix = TRANSPORTS[transport]
    return IntraProcessSubscription(node, kind, node.resolve_topic_name(topic) + suffix, callback, group,
                  lambda m: ReceivedImage(m.header, m))
