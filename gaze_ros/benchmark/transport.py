"""The way of pictures from one node to the next, measured from outside.

``python -m gaze_ros.benchmark.transport ROLE SETTINGS`` is a child: it sends, receives, or both.
SETTINGS is JSON: way, topic, width, height, fps and source.
"""
from collections import deque
from collections.abc import Callable, Sequence
import json
import os
import sys
from threading import Event, Thread
import time
from typing import Any

from gaze_ros.benchmark.processes import Answer, answer_parent, Children, fail
from gaze_ros.core.system import malloc, native_threads

#: How pictures are sent and received.
WAYS = {
    'ours': 'as the nodes of this package do',
    'ours compressed': 'likewise, as JPEG on the topic /compressed',
    'rclpy': 'as tutorials have it: Image filled by tobytes(), quality of service 10, rclpy.spin',
    'rclpy best effort': "likewise, with rclpy's quality of service for sensors",
}

#: Processes between which a picture goes, and the roles of those.
PLACES = {'one process': ('both',), 'two processes': ('receive', 'send')}

#: Seconds at the start that do not count, those that a picture may take, and those that the
#: sender waits for somebody who listens.
BEGINNING, _LATE, _PATIENCE = 1.0, 1.0, 20.0


def measure(way: str, place: str, settings: dict[str, Any], seconds: float) -> Answer:
    """Return what one way did: stamps and latencies in ns, and CPU time.

    :param way: of :data:`WAYS`.
    :param place: of :data:`PLACES`.
    :param settings: width, height, fps and source.
    :param seconds: of sending, without :data:`BEGINNING`.
    :returns: ``sent``: how many pictures; ``seconds`` it took; ``latencies`` of those received,
        in ms; ``cpu``: cores that the processes took together.
    :raises GazeRosError: with the reason of a child that cannot go on.
    """
    words = json.dumps({**settings, 'way': way, 'topic': f'transport_{os.getpid()}/image'})
    with Children() as children:
        for role in PLACES[place]:
            children.start(__spec__.name, role, words)
        children.wait(lambda answers: any(a['sent'] for a in answers))
        time.sleep(BEGINNING)
        children.mark()
        time.sleep(seconds)
        counted = answers = children.mark()
        sent = {stamp for answer in counted for stamp in answer['sent']}
        received: dict[int, int] = {}
        until = time.monotonic() + _LATE
        while True:
            received |= {stamp: latency for answer in answers
                         for stamp, latency in answer['received'] if stamp in sent}
            if len(received) == len(sent) or time.monotonic() > until:
                break
            time.sleep(0.05)
            answers = children.mark()
    return {
        'sent': len(sent), 'seconds': counted[-1]['seconds'],
        'latencies': [1e-6 * latency for latency in received.values()],
        'cpu': sum(answer['cpu'] / answer['seconds'] for answer in counted)}


def summary(rounds: Sequence[Answer]) -> Answer:
    """Return the figures of several measurements of one way, as JSON has them."""
    import numpy as np
    sent = sum(one['sent'] for one in rounds)
    latencies = [ms for one in rounds for ms in one['latencies']]
    percentiles = np.percentile(latencies, (50, 95, 99)).tolist() if latencies else [None] * 3
    return {
        'sent': sent, 'sent_per_second': sent / sum(one['seconds'] for one in rounds),
        'received': len(latencies), 'received_share': len(latencies) / sent if sent else None,
        'latency_ms': dict(zip(('p50', 'p95', 'p99'), percentiles)),
        'cpu_cores': sum(one['cpu'] for one in rounds) / len(rounds),
        'cpu_cores_of_rounds': [one['cpu'] for one in rounds]}


def picture(source: str, width: int, height: int) -> Any:
    """Return the (height, width, 3) uint8 BGR picture that is sent.

    :param source: '' for one that is drawn: gradients and text, which JPEG takes as it takes a
        calm photograph. Else the first picture of that source, scaled.
    :raises SourceError: if the source cannot be opened or has no picture.
    """
    import cv2
    from gaze_ros.core.errors import SourceError
    from gaze_ros.core.sources import open_source
    import numpy as np
    if source:
        opened = open_source(source)
        try:
            bgr = opened.read()
        finally:
            opened.close()
        if bgr is None:
            raise SourceError(f"source '{source}' has no picture")
        return cv2.resize(bgr, (width, height), interpolation=cv2.INTER_AREA)
    x, y = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, np.newaxis]
    planes = (x + 0 * y, 0.5 + 0.5 * np.sin(9 * x * y), y + 0 * x)
    bgr = np.stack([255 * plane for plane in planes], axis=2).astype(np.uint8)
    line = max(20, height // 24)
    for i, row in enumerate(range(line, height, 2 * line)):
        cv2.putText(bgr, f'{i}: who looks where? 0123456789', (line, row),
                    cv2.FONT_HERSHEY_SIMPLEX, line / 30, (235, 235, 235), 2, cv2.LINE_AA)
    return bgr


class _Child:
    """Sends and receives; counts both, and the CPU's time."""

    def __init__(self) -> None:
        self.stop = Event()
        self.sent: deque[int] = deque()
        self.received: deque[tuple[int, int]] = deque()
        self._since = time.monotonic(), time.process_time()

    def __call__(self) -> Answer:
        """Return what was counted since the last call: stamps and latencies in ns, seconds."""
        (then, worked), self._since = self._since, (time.monotonic(), time.process_time())
        return {'seconds': self._since[0] - then, 'cpu': self._since[1] - worked,
                **{name: [counted.popleft() for _ in range(len(counted))]
                   for name, counted in (('sent', self.sent), ('received', self.received))}}

    def heard(self, stamp: Any) -> None:
        """Count a picture that is here as an array."""
        taken = stamp.sec * 10 ** 9 + stamp.nanosec
        self.received.append((taken, time.time_ns() - taken))

    def send(self, publish: Callable[[Any, Any], None], listeners: Callable[[], int],
             given: dict[str, Any]) -> None:
        """Send one picture again and again, each time with its stamp."""
        from builtin_interfaces.msg import Time
        from gaze_ros.core.errors import GazeRosError
        from gaze_ros.core.sources.pacing import Pacer
        from std_msgs.msg import Header
        try:
            bgr = picture(given['source'], given['width'], given['height'])
            until = time.monotonic() + _PATIENCE
            while not listeners():
                if time.monotonic() > until:
                    fail(f'nobody subscribed to the pictures within {_PATIENCE:g} s')
                time.sleep(0.02)
            pacer = Pacer(given['fps'])
            while pacer.wait(self.stop):
                stamp = time.time_ns()
                whole, rest = divmod(stamp, 10 ** 9)
                publish(bgr, Header(stamp=Time(sec=whole, nanosec=rest), frame_id='camera'))
                self.sent.append(stamp)
        except GazeRosError as e:
            fail(e)
        except Exception as e:
            if not self.stop.is_set():
                fail(f'{type(e).__name__}: {e}')


def _ours(child: _Child, roles: tuple[bool, bool], given: dict[str, Any]) -> Any:
    """Set up as the nodes of this package are; return the executor and what sends."""
    from gaze_ros.ros.comm import dds_profile
    dds_profile.configure()
    from gaze_ros.ros.comm.image_transport import ImagePublisher, ReceivedImage, subscribe_images
    from gaze_ros.ros.process.executor import SubmitOnceExecutor
    import rclpy
    from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
    rclpy.init(args=[])
    executor, sender = SubmitOnceExecutor(2), None
    sends, receives = roles
    if receives:
        def on_picture(picture: ReceivedImage) -> None:
            picture.decode()
            child.heard(picture.header.stamp)

        node = rclpy.create_node('transport_receiver')
        executor.add_node(node)
        subscribe_images(
            node, given['topic'], on_picture, MutuallyExclusiveCallbackGroup(),
            'compressed' if given['way'] == 'ours compressed' else 'raw')
    if sends:
        node = rclpy.create_node('transport_sender')
        executor.add_node(node)
        publisher = ImagePublisher(node, given['topic'])
        sender = publisher.publish, publisher.get_subscription_count
    return executor, sender


def _rclpy(child: _Child, roles: tuple[bool, bool], given: dict[str, Any]) -> Any:
    """Set up as rclpy's documentation has it; return the executor and what sends."""
    import numpy as np
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    rclpy.init(args=[])
    quality = qos_profile_sensor_data if given['way'] == 'rclpy best effort' else 10
    executor, sender = SingleThreadedExecutor(), None
    sends, receives = roles
    if receives:
        def on_image(message: Image) -> None:
            np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
            child.heard(message.header.stamp)

        node = rclpy.create_node('transport_receiver')
        executor.add_node(node)
        node.create_subscription(Image, given['topic'], on_image, quality)
    if sends:
        def publish(bgr: np.ndarray, header: Any) -> None:
            height, width = bgr.shape[:2]
            publisher.publish(Image(
                header=header, height=height, width=width, encoding='bgr8', step=3 * width,
                data=bgr.tobytes()))

        node = rclpy.create_node('transport_sender')
        executor.add_node(node)
        publisher = node.create_publisher(Image, given['topic'], quality)
        sender = publish, publisher.get_subscription_count
    return executor, sender


def main() -> None:
    """Play a role until stdin ends."""
    role, given = sys.argv[1], json.loads(sys.argv[2])
    ours = given['way'].startswith('ours')
    if ours:
        native_threads.configure()
        malloc.configure()
    child = _Child()
    answer_parent(child, child.stop.set)
    executor, sender = (_ours if ours else _rclpy)(
        child, (role != 'receive', role != 'send'), given)
    if sender:
        Thread(target=child.send, args=(*sender, given), daemon=True).start()
    while not child.stop.is_set():
        executor.spin_once(timeout_sec=0.2)
    os._exit(0)  # native threads are not waited for, as in gaze_ros.ros.process.entry_points


if __name__ == '__main__':
    main()
