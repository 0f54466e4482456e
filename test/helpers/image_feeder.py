"""Publishes images as a camera does, valid and invalid ones, and collects the results."""
from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
import time

from builtin_interfaces.msg import Time
import cv2
from gaze_ros.core.sources.sample import Sample
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_compressed, bgr_to_image
from helpers.processes import Process, running, wait_until
from helpers.ros_client import Listener
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

#: Lower right corner, where nothing is drawn: its colour identifies the image.
_PATCH = (slice(-60, None), slice(-60, None))

#: The largest stamp that a message can hold; its nanoseconds exceed a second.
LATEST_STAMP = Time(sec=2**31 - 1, nanosec=2**32 - 1)


def stamp_key(stamp: Time) -> tuple[int, int]:
    return stamp.sec, stamp.nanosec


def encode_image(bgr: np.ndarray, encoding: str, header: Header) -> Image:
    """Return an image message with this encoding."""
    height, width = bgr.shape[:2]
    if encoding == 'bgr8':
        return bgr_to_image(bgr, header)
    if encoding == 'rgb8':
        data = bgr[..., ::-1]
    elif encoding == 'mono8':
        data = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    elif encoding == 'bayer_rggb8':
        data = bgr[..., 1].copy()
        data[::2, ::2], data[1::2, 1::2] = bgr[::2, ::2, 2], bgr[1::2, 1::2, 0]
    elif encoding == 'nv21':
        planes = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
        u, v = planes[height:].reshape(2, -1)
        data = np.concatenate([planes[:height].ravel(), np.stack([v, u], axis=1).ravel()])
    message = Image(header=header, height=height, width=width, encoding=encoding,
                    step=data.shape[-1] * width if data.ndim == 3 else width)
    message.data = np.ascontiguousarray(data).tobytes()
    return message


def sample_images() -> Iterator[np.ndarray]:
    """Yield the images of the sample, without end."""
    sample = Sample()
    while True:
        yield sample.read()


class ImageFeeder:
    """Publishes images of a face, each with a corner of its own colour.

    :param images: the images; by default the sample's.
    :ivar results: messages of the gaze node.
    :ivar annotated: shape and corner colour of each annotated image, by stamp.
    :ivar now: stamp of the last image, ns; stamps are 50 ms apart.
    """

    def __init__(self, listener: Listener, images: Iterator[np.ndarray] | None = None) -> None:
        self.node = listener.node
        self.results = listener.subscribe(GazeArray, topics.GAZE)
        self.annotated: dict[tuple[int, int], tuple[tuple[int, ...], np.ndarray]] = {}
        self.node.create_subscription(
            Image, topics.IMAGE_ANNOTATED, self._on_annotated, topics.default_qos())
        self.now = time.time_ns()
        self.sent: dict[tuple[int, int], np.ndarray] = {}
        self._images = sample_images() if images is None else images
        self._count = 0
        self._publisher = None
        self.open()

    def _on_annotated(self, message: Image) -> None:
        bgr = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        self.annotated[stamp_key(message.header.stamp)] = bgr.shape, _patch_colour(bgr)

    def open(self, compressed: bool = False, subscribers: int = 0) -> None:
        """Replace the publisher and wait until it has that many subscribers."""
        if self._publisher is not None:
            self.node.destroy_publisher(self._publisher)
        kind, suffix = (CompressedImage, '/compressed') if compressed else (Image, '')
        self._publisher = self.node.create_publisher(
            kind, topics.IMAGE + suffix, topics.default_qos()
        )
        wait_until(lambda: self.has_subscribers(subscribers), 20, f'{subscribers} subscribers')

    def has_subscribers(self, count: int) -> bool:
        return self._publisher.get_subscription_count() >= count

    def send(self, stamp: Time | None = None, encoding: str = 'bgr8',
             size: tuple[int, int] = (640, 480)) -> tuple[int, int]:
        """Publish an image; return its stamp."""
        self.now += 50_000_000
        if stamp is None:
            stamp = Time(sec=self.now // 10**9, nanosec=self.now % 10**9)
        bgr = cv2.resize(next(self._images), size)
        self._count += 1
        bgr[_PATCH] = [(self._count * step) % 200 + 28 for step in (47, 83, 131)]
        self.sent[stamp_key(stamp)] = _patch_colour(bgr)
        header = Header(stamp=stamp, frame_id='cam_optical')
        self.message(bgr_to_compressed(bgr, header, 95) if encoding == 'jpeg'
                     else encode_image(bgr, encoding, header))
        return stamp_key(stamp)

    def message(self, message) -> None:
        """Publish any message on the image topic."""
        self._publisher.publish(message)
        time.sleep(0.05)

    def stamps_with_face(self) -> set[tuple[int, int]]:
        """Return the stamps of the results with exactly one face."""
        return {stamp_key(m.header.stamp) for m in self.results if len(m.gazes) == 1}

    def send_until_annotated(self, images: int = 3, **how) -> list[tuple[int, int]]:
        """Publish images until that many are annotated and have a face; return their stamps."""
        sent: list[tuple[int, int]] = []

        def seen() -> list[tuple[int, int]]:
            return [
                one for one in sent if one in self.annotated and one in self.stamps_with_face()
            ]

        def shown() -> bool:
            sent.append(self.send(**how))
            return len(seen()) >= images

        wait_until(shown, 20, f'{images} annotated images of {how}')
        return seen()


def _patch_colour(bgr: np.ndarray) -> np.ndarray:
    return bgr[-20:-10, -20:-10].reshape(-1, 3).mean(axis=0)


@contextmanager
def consumer_nodes(feed: ImageFeeder, *gaze: str) -> Iterator[list[Process]]:
    """Run gaze, visualizer and people node, a process each; yield when they publish."""
    with ExitStack() as stack:
        processes = [stack.enter_context(running(name, *parameters)) for name, parameters in (
            ('gaze_node', gaze), ('visualizer_node', ()), ('people_node', ()))]

        def at_work() -> bool:
            assert all(p.running for p in processes), '\n'.join(p.text for p in processes)
            return feed.has_subscribers(2)

        wait_until(at_work, 30, 'the nodes')
        feed.send_until_annotated(1)
        yield processes
        assert all(p.running for p in processes), '\n'.join(p.text for p in processes)
