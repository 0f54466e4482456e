"""A camera of the test, as wrong as need be, and what the nodes make of its pictures."""
from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
import time

from builtin_interfaces.msg import Time
import cv2
from gaze_ros.core.sources.sample import Sample
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_compressed, bgr_to_image
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from support import Listener, Process, running, wait_until

#: Lower right of a picture where nothing is drawn, as part of it: what colour it has tells which
#: picture it is.
_PATCH = (slice(-60, None), slice(-60, None))

#: The last stamp that a message can have: more than a second of nanoseconds.
LAST = Time(sec=2**31 - 1, nanosec=2**32 - 1)


def key(stamp: Time) -> tuple[int, int]:
    return stamp.sec, stamp.nanosec


def encoded(bgr: np.ndarray, encoding: str, header: Header) -> Image:
    """Return a picture as a message of that encoding."""
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


class Feed:
    """Publishes pictures of a face, each with a colour of its own in a corner.

    :ivar results: of the gaze node; ``drawn``: stamp, shape and that colour of annotated pictures.
    :ivar now: stamp of the last picture, nanoseconds; each is 50 ms after the one before.
    """

    def __init__(self, listener: Listener) -> None:
        self.node = listener.node
        self.results = listener.hear(GazeArray, topics.GAZE)
        self.drawn: dict[tuple[int, int], tuple[tuple[int, ...], np.ndarray]] = {}
        self.node.create_subscription(
            Image, topics.IMAGE_ANNOTATED, self._on_drawn, topics.default_qos())
        self.now = time.time_ns()
        self.sent: dict[tuple[int, int], np.ndarray] = {}
        self._sample = Sample()
        self._count = 0
        self._publisher = None
        self.open()

    def _on_drawn(self, message: Image) -> None:
        bgr = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        self.drawn[key(message.header.stamp)] = bgr.shape, _colour(bgr)

    def open(self, compressed: bool = False, listeners: int = 0) -> None:
        """Publish anew, for so many to hear; who published before is gone."""
        if self._publisher is not None:
            self.node.destroy_publisher(self._publisher)
        kind, suffix = (CompressedImage, '/compressed') if compressed else (Image, '')
        self._publisher = self.node.create_publisher(kind, topics.IMAGE + suffix, topics.default_qos())
        wait_until(lambda: self._publisher.get_subscription_count() >= listeners, 20, 'the nodes')

    def listened(self, count: int) -> bool:
        return self._publisher.get_subscription_count() >= count

    def send(self, stamp: Time | None = None, encoding: str = 'bgr8',
             size: tuple[int, int] = (640, 480)) -> tuple[int, int]:
        """Send a picture; return its stamp."""
        self.now += 50_000_000
        if stamp is None:
            stamp = Time(sec=self.now // 10**9, nanosec=self.now % 10**9)
        bgr = cv2.resize(self._sample.read(), size)
        self._count += 1
        bgr[_PATCH] = [(self._count * step) % 200 + 28 for step in (47, 83, 131)]
        self.sent[key(stamp)] = _colour(bgr)
        header = Header(stamp=stamp, frame_id='cam_optical')
        self.message(bgr_to_compressed(bgr, header, 95) if encoding == 'jpeg'
                     else encoded(bgr, encoding, header))
        return key(stamp)

    def message(self, message) -> None:
        """Send any message as a picture."""
        self._publisher.publish(message)
        time.sleep(0.05)

    def faces(self) -> set[tuple[int, int]]:
        """Return the stamps of the results with the one face there is."""
        return {key(m.header.stamp) for m in self.results if len(m.gazes) == 1}

    def send_till_seen(self, pictures: int = 3, **how) -> list[tuple[int, int]]:
        """Send pictures till so many have come all the way; return their stamps."""
        sent: list[tuple[int, int]] = []

        def seen() -> list[tuple[int, int]]:
            return [one for one in sent if one in self.drawn and one in self.faces()]

        def shown() -> bool:
            sent.append(self.send(**how))
            return len(seen()) >= pictures

        wait_until(shown, 20, f'{pictures} pictures of {how}, drawn')
        return seen()


def _colour(bgr: np.ndarray) -> np.ndarray:
    return bgr[-20:-10, -20:-10].reshape(-1, 3).mean(axis=0)


@contextmanager
def nodes(feed: Feed, *gaze: str) -> Iterator[list[Process]]:
    """Run the gaze node, the visualizer and the people node, a process each, till they work."""
    with ExitStack() as stack:
        processes = [stack.enter_context(running(name, *parameters)) for name, parameters in (
            ('gaze_node', gaze), ('visualizer_node', ()), ('people_node', ()))]

        def at_work() -> bool:
            assert all(p.running for p in processes), '\n'.join(p.text for p in processes)
            return feed.listened(2)

        wait_until(at_work, 30, 'the nodes')
        feed.send_till_seen(1)
        yield processes
        assert all(p.running for p in processes), '\n'.join(p.text for p in processes)
