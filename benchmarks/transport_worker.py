"""Child process of ``transport``: ``python -m benchmarks.transport_worker ROLE SETTINGS``.

It sends images, receives them, or both. SETTINGS is JSON with configuration, topic, width, height,
fps and source.
"""
from collections import deque
from collections.abc import Callable
import json
import os
import sys
from threading import Event, Thread
import time
from typing import Any

from gaze_ros.benchmark.child_processes import Answer, answer_parent, fail
from gaze_ros.core.system import malloc, native_threads

#: How images are sent and received.
CONFIGURATIONS = {
    'ours': 'the publisher and subscriber of this package',
    'ours compressed': 'the same, as JPEG on the topic /compressed',
    'rclpy': 'as in tutorials: Image filled by tobytes(), QoS depth 10, rclpy.spin',
    'rclpy best effort': 'the same, with the sensor data QoS profile of rclpy',
}

#: Roles of the processes, one process each.
LAYOUTS = {'one process': ('both',), 'two processes': ('receive', 'send')}

#: Maximum time the sender waits for a subscriber, s.
_SUBSCRIBER_TIMEOUT = 20.0


def load_image(source: str, width: int, height: int) -> Any:
    """Return the (height, width, 3) uint8 BGR image that is sent.

    :param source: the first image of this source is scaled; '' draws gradients and text, which
        JPEG compresses about as well as a photograph.
    :raises SourceError: if the source cannot be opened or has no image.
    """
    import cv2
    from gaze_ros.core.errors import SourceError
    from gaze_ros.core.sources import open_source
    import numpy as np
    if source:
        opened = open_source(source)
        try:
            image = opened.read()
        finally:
            opened.close()
        if image is None:
            raise SourceError(f"source '{source}' has no image")
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    x, y = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, np.newaxis]
    planes = (x + 0 * y, 0.5 + 0.5 * np.sin(9 * x * y), y + 0 * x)
    image = np.stack([255 * plane for plane in planes], axis=2).astype(np.uint8)
    line = max(20, height // 24)
    for i, row in enumerate(range(line, height, 2 * line)):
        cv2.putText(image, f'{i}: who looks where? 0123456789', (line, row),
                    cv2.FONT_HERSHEY_SIMPLEX, line / 30, (235, 235, 235), 2, cv2.LINE_AA)
    return image


class _Worker:
    """Sends and receives images; counts both and the CPU time."""

    def __init__(self) -> None:
        self.stop = Event()
        self.sent: deque[int] = deque()
        self.received: deque[tuple[int, int]] = deque()
        self._since = time.monotonic(), time.process_time()

    def __call__(self) -> Answer:
        """Return what was counted since the last call: stamps and latencies in ns, times in s."""
        (then, busy), self._since = self._since, (time.monotonic(), time.process_time())
        return {'seconds': self._since[0] - then, 'cpu': self._since[1] - busy,
                **{name: [counted.popleft() for _ in range(len(counted))]
                   for name, counted in (('sent', self.sent), ('received', self.received))}}

    def add_received(self, stamp: Any) -> None:
        """Count an image that is now an array."""
        sent = stamp.sec * 10 ** 9 + stamp.nanosec
        self.received.append((sent, time.time_ns() - sent))

    def send(self, publish: Callable[[Any, Any], None], count_subscribers: Callable[[], int],
             settings: dict[str, Any]) -> None:
        """Send one image repeatedly, each time with its stamp."""
        from builtin_interfaces.msg import Time
        from gaze_ros.core.errors import GazeRosError
        from gaze_ros.core.sources.pacing import Pacer
        from std_msgs.msg import Header
        try:
            image = load_image(settings['source'], settings['width'], settings['height'])
            deadline = time.monotonic() + _SUBSCRIBER_TIMEOUT
            while not count_subscribers():
                if time.monotonic() > deadline:
                    fail(f'no subscriber of the images within {_SUBSCRIBER_TIMEOUT:g} s')
                time.sleep(0.02)
            pacer = Pacer(settings['fps'])
            while pacer.wait(self.stop):
                stamp = time.time_ns()
                whole, rest = divmod(stamp, 10 ** 9)
                publish(image, Header(stamp=Time(sec=whole, nanosec=rest), frame_id='camera'))
                self.sent.append(stamp)
        except GazeRosError as e:
            fail(e)
        except Exception as e:
            if not self.stop.is_set():
                fail(f'{type(e).__name__}: {e}')


def _set_up_ours(worker: _Worker, sends: bool, receives: bool, settings: dict[str, Any]) -> Any:
    """Set up as the nodes of this package; return the executor and the arguments of send()."""
    from gaze_ros.ros.comm import dds_profile
    dds_profile.configure()
    from gaze_ros.ros.comm.image_transport import ImagePublisher, ReceivedImage, subscribe_images
    from gaze_ros.ros.process.executor import SubmitOnceExecutor
    import rclpy
    rclpy.init(args=[])
    executor, sender = SubmitOnceExecutor(2), None
    if receives:
        def on_image(image: ReceivedImage) -> None:
            image.decode()
            worker.add_received(image.header.stamp)

        node = rclpy.create_node('transport_receiver')
        executor.add_node(node)
        subscribe_images(
            node, settings['topic'], on_image,
            'compressed' if settings['configuration'] == 'ours compressed' else 'raw')
    if sends:
        node = rclpy.create_node('transport_sender')
        executor.add_node(node)
        publisher = ImagePublisher(node, settings['topic'])
        sender = publisher.publish, publisher.get_subscription_count
    return executor, sender


def _set_up_rclpy(worker: _Worker, sends: bool, receives: bool, settings: dict[str, Any]) -> Any:
    """Set up as in the documentation of rclpy; return the same as :func:`_set_up_ours`."""
    import numpy as np
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    rclpy.init(args=[])
    best_effort = settings['configuration'] == 'rclpy best effort'
    qos = qos_profile_sensor_data if best_effort else 10
    executor, sender = SingleThreadedExecutor(), None
    if receives:
        def on_image(message: Image) -> None:
            np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
            worker.add_received(message.header.stamp)

        node = rclpy.create_node('transport_receiver')
        executor.add_node(node)
        node.create_subscription(Image, settings['topic'], on_image, qos)
    if sends:
        def publish(image: np.ndarray, header: Any) -> None:
            height, width = image.shape[:2]
            publisher.publish(Image(
                header=header, height=height, width=width, encoding='bgr8', step=3 * width,
                data=image.tobytes()))

        node = rclpy.create_node('transport_sender')
        executor.add_node(node)
        publisher = node.create_publisher(Image, settings['topic'], qos)
        sender = publish, publisher.get_subscription_count
    return executor, sender


def main() -> None:
    """Run a role until stdin is closed."""
    role, settings = sys.argv[1], json.loads(sys.argv[2])
    ours = settings['configuration'].startswith('ours')
    if ours:
        native_threads.configure()
        malloc.configure()
    worker = _Worker()
    answer_parent(worker, worker.stop.set)
    set_up = _set_up_ours if ours else _set_up_rclpy
    executor, sender = set_up(worker, role != 'receive', role != 'send', settings)
    if sender:
        Thread(target=worker.send, args=(*sender, settings), daemon=True).start()
    while not worker.stop.is_set():
        executor.spin_once(timeout_sec=0.2)
    os._exit(0)  # does not wait for native threads, as gaze_ros.ros.process.entry_points


if __name__ == '__main__':
    main()
