"""Images of other packages' publishers: drivers and bag players with Fast DDS's own settings."""
from contextlib import contextmanager
import os
import subprocess
import sys

from diagnostic_msgs.msg import DiagnosticStatus
from gaze_ros.core.system.resources import share_path
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import dds_profile, topics
from helpers.processes import Process, running, wait_until
from helpers.ros_client import DiagnosticsProbe
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
TOPIC = f'/{topics.IMAGE}'

#: A driver: 30 images/s of 1280x720 and their camera_info, until it is ended.
DRIVER = """
import array
import sys
import time
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
rclpy.init()
node = rclpy.create_node('usb_cam')
qos = QoSProfile(depth=10, reliability=ReliabilityPolicy[sys.argv[1]])
images = node.create_publisher(Image, 'camera/image_raw', qos)
infos = node.create_publisher(CameraInfo, 'camera/camera_info', qos)
width, height = map(int, sys.argv[2].split('x'))
image = Image(width=width, height=height, encoding='bgr8', step=3 * width)
image.data = array.array('B', bytes(3 * width * height))
info = CameraInfo(width=width, height=height)
due = time.monotonic()
while True:
    image.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
    infos.publish(info)
    images.publish(image)
    due += 1 / 30
    time.sleep(max(0.0, due - time.monotonic()))
"""


@contextmanager
def driver(reliability, size='640x480', profile=None):
    env = {name: value for name, value in os.environ.items() if name not in dds_profile.PROFILES}
    if profile:
        env |= dict.fromkeys(dds_profile.PROFILES, str(share_path('config') / profile))
    process = subprocess.Popen([sys.executable, '-c', DRIVER, reliability, size], env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        # Not killed: it may hold a lock of Fast DDS's shared memory.
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.fixture
def gaze(listener):
    """Run the gaze node; return its diagnostics."""
    with running('gaze_node') as process:
        process.wait_for('faces by')
        yield DiagnosticsProbe(listener, 'gaze: Inference')


def received_rate(gaze):
    return float(gaze.values.get('images received [Hz]', 'nan'))


def lost(gaze):
    return any(f'{problem}: ' in gaze.last.message
               for problem in ('images are lost', 'no messages'))


def subscribed(listener):
    return {info.qos_profile.reliability
            for info in listener.node.get_subscriptions_info_by_topic(TOPIC)}


@pytest.mark.parametrize('arguments', [
    ('RELIABLE', '640x480'), ('BEST_EFFORT', '1280x720', 'fastdds.xml'),
    ('BEST_EFFORT', '1280x720', 'fastdds_small.xml'),
    ('RELIABLE', '1280x720', 'fastdds.xml')])
def test_images_of_a_driver_arrive(gaze, arguments):
    with driver(*arguments):
        wait_until(lambda: received_rate(gaze) > 10, 40, 'images')
        # Not OK: a busy machine may be too slow for them.
        wait_until(lambda: not lost(gaze), 20, 'nothing lost')


def test_lost_images_are_reported_with_the_remedy(gaze):
    with driver('BEST_EFFORT', '1280x720'):
        wait_until(lambda: lost(gaze) and 'gaze_ros doctor' in gaze.last.message, 40, 'the loss')
    assert gaze.last.level in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR)


@pytest.mark.parametrize('profile', ['fastdds.xml', 'fastdds_small.xml'])
def test_profile_loads_without_our_variables(profile, tmp_path):
    """Fast DDS prints an error and ignores the whole file if something in it is wrong."""
    env = {name: value for name, value in os.environ.items() if not name.startswith('GAZE_ROS_')}
    env |= dict.fromkeys(dds_profile.PROFILES, str(share_path('config') / profile))
    done = subprocess.run(
        [sys.executable, '-c', "import rclpy; rclpy.init(); rclpy.create_node('any')"],
        env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert 'Error' not in done.stdout + done.stderr


def test_subscription_is_as_reliable_as_all_publishers(gaze, listener):
    def publish(reliability):
        return listener.node.create_publisher(Image, TOPIC, QoSProfile(
            depth=2, reliability=reliability))

    wait_until(lambda: subscribed(listener) == {BEST_EFFORT}, 20, 'the subscription')
    reliable = publish(RELIABLE)
    wait_until(lambda: subscribed(listener) == {RELIABLE}, 20, 'a reliable one')
    other = publish(BEST_EFFORT)
    wait_until(lambda: subscribed(listener) == {BEST_EFFORT}, 20, 'one for both')
    listener.node.destroy_publisher(other)
    wait_until(lambda: subscribed(listener) == {RELIABLE}, 20, 'a reliable one again')
    listener.node.destroy_publisher(reliable)


def test_parameter_fixes_the_reliability(listener):
    results = listener.subscribe(GazeArray, topics.GAZE)
    name = f'qos_overrides.{TOPIC}.subscription.reliability'
    with running('gaze_node', f'{name}:=best_effort') as process, driver('RELIABLE', '64x48'):
        process.wait_for('faces by')
        wait_until(lambda: len(results) > 60, 30, 'two seconds of results')
        assert subscribed(listener) == {BEST_EFFORT}
    process = Process('gaze_node', f'{name}:=best')
    assert process.end(60) == 1
    assert (f"parameter {name} is 'best'; expected best_available, reliable or best_effort"
            in process.text)
