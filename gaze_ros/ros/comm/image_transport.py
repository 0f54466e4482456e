"""Publishers and subscriptions of images: raw, compressed, shared memory, intra-process."""
from array import array
from collections.abc import Callable
import time
from typing import Optional, Union

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.system.shared_images import (
    Reference,
    SharedImageReader,
    SharedImageWriter,
)
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import (
    bgr_to_compressed,
    bgr_to_image,
    compressed_to_bgr,
    image_to_bgr,
)
from gaze_ros.ros.comm.intra_process import IntraProcessPublisher, IntraProcessSubscription
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

#: Transport: (message type, suffix that image_transport appends to the topic name). A message of
#: shared holds a reference to an image in shared memory, see :mod:`.shared_images` of core.
TRANSPORTS = {'raw': (Image, ''), 'compressed': (CompressedImage, '/compressed'),
              'shared': (CompressedImage, '/shared')}

#: Format of the messages of shared.
_SHARED_FORMAT = 'bgr8; gaze_ros shared memory'


class SharedImage:
    """An image in shared memory.

    :param data: of the message.
    :raises ValueError: if it is no reference, or none to an image on this machine.
    """

    def __init__(self, reader: SharedImageReader, data: bytes) -> None:
        self._reader = reader
        self._reference = Reference.decode(data)
        reader.receive(self._reference)
        self.nbytes = self._reference.nbytes
        self.seen = self._reference.seen

    def read(self) -> np.ndarray:
        """Return a copy as (H, W, 3) uint8 BGR.

        :raises ValueError: if it cannot be read, with the reason.
        """
        return self._reader.read(self._reference)

    def view(self) -> np.ndarray:
        """Return it without a copy, as read-only (H, W, 3) uint8 BGR; see :meth:`check`.

        :raises ValueError: if it cannot be read, with the reason.
        """
        return self._reader.view(self._reference)

    def check(self) -> None:
        """Check that it has not been overwritten until now.

        :raises ValueError: if it has been.
        """
        self._reader.check(self._reference)


class ReceivedImage:
    """An image received on a topic, decoded on demand.

    :ivar header: its stamp is the time of capture.
    :ivar arrival: time.monotonic() at which it was received, s.
    """

    def __init__(
            self, header: Header, data: Union[Image, CompressedImage, SharedImage, np.ndarray]
            ) -> None:
        self.header = header
        self.arrival = time.monotonic()
        self._data = data

    @property
    def nbytes(self) -> int:
        """The memory it takes, in bytes."""
        data = self._data
        return data.nbytes if isinstance(data, (np.ndarray, SharedImage)) else len(data.data)

    @property
    def seen(self) -> int:
        """Number of images of the camera so far, with those it did not publish; 0 if unknown."""
        return self._data.seen if isinstance(self._data, SharedImage) else 0

    def decode(self) -> np.ndarray:
        """Return the image as (H, W, 3) uint8 BGR; read-only, since others may use it as well.

        :raises ValueError: if the message cannot be converted, with the reason.
        """
        if isinstance(self._data, np.ndarray):
            return self._data
        if isinstance(self._data, SharedImage):
            return self._data.read()
        convert = image_to_bgr if isinstance(self._data, Image) else compressed_to_bgr
        return convert(self._data)

    def view(self) -> np.ndarray:
        """Return the image as :meth:`decode` does, but in shared memory where it is there.

        It may be overwritten there: call :meth:`check` before a result is used.

        :raises ValueError: if the message cannot be converted, with the reason.
        """
        return self._data.view() if isinstance(self._data, SharedImage) else self.decode()

    def check(self) -> None:
        """Check that the array of :meth:`view` has held the image until now.

        :raises ValueError: if it has been overwritten.
        """
        if isinstance(self._data, SharedImage):
            self._data.check()

    def decode_writable(self) -> np.ndarray:
        """Return the image as a writable (H, W, 3) uint8 BGR array; call it only once.

        :raises ValueError: if the message cannot be converted, with the reason.
        """
        return self._data.copy() if isinstance(self._data, np.ndarray) else self.decode()


class ImagePublisher:
    """Publishes images raw and compressed; only what has subscribers is converted.

    :param topic: of sensor_msgs/Image; CompressedImage is published on topic/compressed.
    :param jpeg_quality: quality of compressed images, 1..100; may be changed.
    :param shared: whether images are also published in shared memory, on topic/shared. Call
        :meth:`close` then.
    """

    def __init__(
            self, node: Node, topic: str, jpeg_quality: int = 90, shared: bool = False) -> None:
        self.jpeg_quality = jpeg_quality
        # As in image_transport, the suffix is appended to the remapped name.
        topic = node.resolve_topic_name(topic)
        self._raw = IntraProcessPublisher(node, Image, topic)
        msg_type, suffix = TRANSPORTS['compressed']
        self._compressed = topics.create_publisher(node, msg_type, topic + suffix)
        self._shared = self._writer = None
        if shared:
            msg_type, suffix = TRANSPORTS['shared']
            self._shared = topics.create_publisher(node, msg_type, topic + suffix)
            self._writer = SharedImageWriter()
        self._logger, self._log_throttle = node.get_logger(), LogThrottle()

    @property
    def topic_name(self) -> str:
        """The full name of the sensor_msgs/Image topic."""
        return self._raw.topic_name

    def get_subscription_count(self) -> int:
        """Return the number of subscribers to all transports."""
        return sum(publisher.get_subscription_count() for publisher in (
            self._raw, self._compressed, self._shared) if publisher is not None)

    @property
    def readers(self) -> int:
        """Number of subscribers that read images from shared memory."""
        return self._shared.get_subscription_count() if self._shared is not None else 0

    def wanted(self, period: float, conversion: float = 0.0) -> bool:
        """Return whether anyone needs an image that is published now; call it for each image.

        Within the process, an image is converted while its subscriber finishes the one before: 2
        to 8 % more images with p50 as before. Between processes that took 3 ms longer and gave no
        more images.

        :param period: seconds until the next image.
        :param conversion: seconds until this one can be published.
        """
        if self._writer is not None:
            self._writer.seen += 1
            if (readers := self.readers) and self._writer.wanted(period, readers):
                return True
        return self._compressed.get_subscription_count() > 0 or (
            self._raw.wanted(period + conversion))

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
        if self.readers:
            self._publish_shared(image, header)

    def close(self) -> None:
        """Free the shared memory."""
        if self._writer is not None:
            self._writer.close()

    def _publish_shared(self, image: np.ndarray, header: Header) -> None:
        try:
            reference = self._writer.write(image)
        except OSError as e:
            if self._log_throttle.should_log(reason := str(e)):
                self._logger.error(
                    f'images cannot be written to shared memory: {reason}; set image_transport '
                    'of the other nodes to raw')
            return
        self._shared.publish(CompressedImage(
            header=header, format=_SHARED_FORMAT, data=array('B', reference.encode())))


def subscribe_images(
        node: Node, topic: str, callback: Callable[[ReceivedImage], None],
        transport: str = 'raw', *, wants: Optional[Callable[[float], bool]] = None,
        skip: Callable[[], None] = lambda: None, needed: Callable[[], bool] = lambda: True,
        reader: Optional[SharedImageReader] = None,
        on_error: Optional[Callable[[str], None]] = None) -> IntraProcessSubscription:
    """Subscribe to images, as reliably as the present publishers permit.

    :param topic: of sensor_msgs/Image.
    :param transport: one of :data:`TRANSPORTS`.
    :param wants: see :class:`gaze_ros.ros.comm.intra_process.IntraProcessSubscription`.
    :param skip: as wants.
    :param needed: as wants.
    :param on_error: as wants.
    :param reader: of images in shared memory; required for the transport shared.
    :raises GazeRosError: as :func:`.topics.image_reliability`.
    """
    msg_type, suffix = TRANSPORTS[transport]
    topic = node.resolve_topic_name(topic) + suffix

    def wrap(message: Union[Image, CompressedImage]) -> ReceivedImage:
        return ReceivedImage(message.header, SharedImage(reader, message.data) if (
            transport == 'shared') else message)

    return IntraProcessSubscription(
        node, msg_type, topic, callback, wrap,
        topics.image_reliability(node, topic), wants, skip, needed, on_error)
