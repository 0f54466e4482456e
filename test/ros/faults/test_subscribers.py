"""Subscribers that stop reading: they affect nobody else."""
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
from threading import Thread
import time

from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from helpers.processes import running, wait_until
import pytest
from sensor_msgs.msg import Image

#: A process that subscribes to all topics and prints the stamps of the messages, in seconds.
READER = """
import sys
from gaze_ros.ros.comm import dds_profile
dds_profile.configure()
import rclpy
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('reader_' + sys.argv[1])
qos = topics.default_qos() if sys.argv[1] == 'best_effort' else topics.reliable_qos(10)
for kind, topic in (
        (Image, topics.IMAGE), (GazeArray, topics.GAZE), (Image, topics.IMAGE_ANNOTATED)):
    node.create_subscription(kind, topic, lambda m, topic=topic: print(
        topic, m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec, flush=True), qos)
rclpy.spin(node)
"""

#: A process that creates and destroys 20 subscribers, which read their messages.
VISITORS = """
from gaze_ros.ros.comm import dds_profile
dds_profile.configure()
import rclpy
from gaze_ros.ros.comm import topics
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('visitors')
heard = []
for number in range(20):
    subscriptions = [node.create_subscription(Image, topic, heard.append, topics.reliable_qos(10))
                     for topic in (topics.IMAGE, topics.IMAGE_ANNOTATED)]
    for _ in range(5):
        rclpy.spin_once(node, timeout_sec=0.02)
    for subscription in subscriptions:
        node.destroy_subscription(subscription)
    heard.clear()
"""
TOPICS = (topics.IMAGE, topics.GAZE, topics.IMAGE_ANNOTATED)

#: QoS for every image over a network: a stopped subscriber could block the publisher.
RELIABLE = [f'qos_overrides./{topic}.publisher.reliability:=reliable' for topic in TOPICS]


class Reader:
    """A subscriber in a process of its own; ``stamps`` has the received stamps by topic."""

    def __init__(self, reliability: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', READER, reliability], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.stamps: dict[str, list[float]] = {topic: [] for topic in TOPICS}
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            topic, stamp = line.split()
            self.stamps[topic].append(float(stamp))

    def fresh(self, since: float) -> bool:
        """Return whether each topic has a message with a stamp after a time."""
        return all(stamps and stamps[-1] > since for stamps in self.stamps.values())


@contextmanager
def readers(*reliabilities: str) -> Iterator[list[Reader]]:
    started = [Reader(reliability) for reliability in reliabilities]
    try:
        yield started
    finally:
        for reader in started:
            reader.process.send_signal(signal.SIGCONT)
            reader.process.send_signal(signal.SIGINT)
            reader.process.wait(10)


def memory(pid: int) -> int:
    """Return the private memory of a process in bytes, without shared memory."""
    status = Path(f'/proc/{pid}/status').read_text()
    return 1024 * int(status.partition('RssAnon:')[2].split()[0])


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='needs /proc')
def test_subscribers_that_stop_reading_block_nothing(listener, rounds):
    if not rounds(0, 1):
        pytest.skip('15 s: only with --full')
    stamps = listener.subscribe(GazeArray, topics.GAZE, lambda m: m.header.stamp)
    drawn = listener.subscribe(Image, topics.IMAGE_ANNOTATED, lambda m: None)

    def rates(seconds):
        """Return results and drawn images of the best second: other work may slow the machine."""
        counts = []
        for _ in range(seconds):
            stamps.clear()
            drawn.clear()
            time.sleep(1.0)
            counts.append((len(stamps), len(drawn)))
        return max(counts)

    with running('pipeline', 'source:=sample', 'loop:=true', 'rate:=15.0', *RELIABLE) as process, \
            readers('best_effort', 'reliable') as subscribers:
        process.wait_for('FPS', 60)
        wait_until(lambda: all(reader.fresh(0) for reader in subscribers), 30, 'images')
        before = rates(2)
        for reader in subscribers:
            reader.process.send_signal(signal.SIGSTOP)
        rates(1)  # until their queues are full
        used, files = memory(process.pid), len(os.listdir(f'/proc/{process.pid}/fd'))
        during = rates(5)
        # None of the 70 images captured meanwhile, and 70 annotated ones, of 0.9 MB is kept.
        assert memory(process.pid) - used < 20e6
        assert all(now > 0.8 * then for now, then in zip(during, before)), (before, during)
        since = time.time()
        for reader in subscribers:
            reader.process.send_signal(signal.SIGCONT)
        wait_until(
            lambda: all(reader.fresh(since) for reader in subscribers), 10, 'current images')
        subprocess.run([sys.executable, '-c', VISITORS], check=True, timeout=60)
        stamps.clear()
        wait_until(lambda: len(stamps) > 10, 10, 'results')
        assert memory(process.pid) - used < 40e6
        assert len(os.listdir(f'/proc/{process.pid}/fd')) < files + 20
