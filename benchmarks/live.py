"""The pipeline on a file played as a camera, in one process and in three, seen from outside.

python benchmarks/live.py ../shared/data/videos/one_person_1080p.mp4
"""
import argparse
import os
from pathlib import Path
import re
import signal
import subprocess
import time

from ament_index_python.packages import get_package_prefix
from gaze_ros.ros import transport

os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
transport.configure()

from gaze_ros.msg import GazeArray  # noqa: E402
from gaze_ros.ros import topics  # noqa: E402
from gaze_ros.ros.messages import seconds  # noqa: E402
import numpy as np  # noqa: E402
import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402

HOW = {'one process': ['pipeline'],
       'three processes': ['gaze_node', 'visualizer_node', 'camera_node']}


def measure(name: str, source: str, rate: float, duration: float) -> str:
    """Return the table row of one way to run it."""
    node = rclpy.create_node('live_benchmark')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    latencies, heard, taken = [], [], set()

    def on_gaze(message: GazeArray) -> None:
        latencies.append(1e3 * (time.time() - seconds(message.header.stamp)))
        heard.append((message.header.stamp.sec, message.header.stamp.nanosec))

    node.create_subscription(GazeArray, topics.GAZE, on_gaze, topics.qos())
    # camera_info carries each image's stamp, and costs the machine next to nothing.
    node.create_subscription(
        CameraInfo, topics.CAMERA_INFO,
        lambda m: taken.add((m.header.stamp.sec, m.header.stamp.nanosec)), topics.qos())
    folder = Path(get_package_prefix('gaze_ros')) / 'lib' / 'gaze_ros'
    words = ['--ros-args', '-p', f'source:={source}', '-p', f'rate:={rate}', '-p', 'loop:=true',
             '-p', 'wait_for_subscribers:=2']
    processes = [subprocess.Popen(  # noqa: S603, our own executables
        [folder / one, *words], stdout=subprocess.PIPE, text=True) for one in HOW[name]]
    end = time.monotonic() + duration
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.2)
    for process in processes:
        process.send_signal(signal.SIGINT)
    text = ''.join(process.communicate(timeout=20)[0] for process in processes)
    executor.shutdown()
    node.destroy_node()
    camera, sent = re.search(r'Camera FPS: ([\d.]+) \((\d+)', text).groups()
    gaze, done, dropped = re.search(
        r'Inference FPS: ([\d.]+) \((\d+) frames, (\d+)', text).groups()
    p50, p95, p99 = np.percentile(latencies, (50, 95, 99))
    # Each topic is discovered when it is: only what came after both were can be compared.
    heard = [stamp for stamp in heard if stamp >= min(taken)]
    equal = sum(stamp in taken for stamp in heard) / len(heard)
    return (f'| {name} | {camera} | {gaze} | {p50:.0f} / {p95:.0f} / {p99:.0f} | '
            f'{(int(done) + int(dropped)) / int(sent):.1%} | {equal:.1%} |')


def main() -> None:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', help='video file')
    parser.add_argument('--rate', type=float, default=30.0, help='frames a second')
    parser.add_argument('--seconds', type=float, default=25.0, help='of each way')
    given = parser.parse_args()
    rclpy.init(args=[])
    print('| run | camera, FPS | gaze, Hz | latency p50 / p95 / p99, ms | images received | '
          "stamps that are an image's |")
    print('|---|---|---|---|---|---|')
    for name in HOW:
        print(measure(name, given.source, given.rate, given.seconds), flush=True)
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
