"""A process that is killed and restarted: the others continue, and track ids stay unique."""
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

from gaze_ros.core.system.resources import share_path
from gaze_ros.msg import Attention, GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.launch.respawn_policy import (
    describe_exit,
    MAX_RESPAWNS,
    RESPAWN_DELAY,
    RESPAWN_WINDOW,
    RespawnPolicy,
    STARTUP_TIME,
)
from helpers.processes import handles_sigterm, Process, running, wait_until
import psutil
import pytest
from sensor_msgs.msg import Image

WORKED = STARTUP_TIME + 1.0


def test_process_ended_by_a_signal_is_restarted():
    assert RespawnPolicy(0.0).record_exit(-signal.SIGKILL, 0.1) == ''


@pytest.mark.parametrize('code', [1, 2])
def test_process_that_fails_during_startup_is_not_restarted(code):
    assert RespawnPolicy(0.0).record_exit(code, STARTUP_TIME - 0.1) == ' during startup'


def test_process_that_worked_once_is_restarted_even_if_it_then_fails_at_once():
    policy = RespawnPolicy(0.0)
    assert policy.record_exit(1, WORKED) == ''
    assert policy.record_exit(1, WORKED + RESPAWN_DELAY + 0.1) == ''


def test_process_that_keeps_dying_is_not_restarted():
    policy = RespawnPolicy(0.0)
    for number in range(MAX_RESPAWNS):
        assert policy.record_exit(-signal.SIGSEGV, number * 2.0) == ''
    refusal = policy.record_exit(-signal.SIGSEGV, MAX_RESPAWNS * 2.0)
    assert f'after {MAX_RESPAWNS} restarts within' in refusal


def test_process_that_dies_rarely_is_always_restarted():
    policy = RespawnPolicy(0.0)
    assert not any(policy.record_exit(-signal.SIGSEGV, number * RESPAWN_WINDOW / MAX_RESPAWNS)
                   for number in range(1, 100))


@pytest.mark.parametrize(('code', 'words'), [
    (1, 'failed with exit code 1'), (-9, 'was terminated by SIGKILL'), (-300, 'signal 300')])
def test_exit_is_described(code, words):
    assert words in describe_exit(code)


def test_gaze_node_killed_and_restarted_beside_the_others(listener):
    annotated = listener.subscribe(Image, '/gaze/image_annotated', lambda m: time.monotonic())
    ids = listener.subscribe(GazeArray, '/gaze', lambda m: [g.track_id for g in m.gazes])
    events = []
    listener.node.create_subscription(
        Attention, '/gaze/attention', lambda m: events.append((m.track_id, m.target)),
        topics.reliable_qos(50, transient_local=True))
    with running('camera_node', 'source:=sample'), \
            running('pipeline', words=('--nodes', 'visualizer,people')):
        killed = Process('gaze_node')
        # On a loaded machine a pause may make the person disappear and return.
        wait_until(lambda: dict(events).get('f1', Attention.GONE) != Attention.GONE
                   and len(annotated) > 5, 60, 'attention and annotated images')
        killed.send(signal.SIGKILL)
        assert killed.end() == -signal.SIGKILL
        before, shown = len(ids), len(annotated)
        events.clear()
        time.sleep(RESPAWN_DELAY)  # as launch waits
        with running('gaze_node'):
            wait_until(lambda: any('f1' in one for one in ids[before:]), 60, 'f1 again')
            wait_until(lambda: len(events) > 1 and len(annotated) > shown + 5, 30, 'events')
        assert all(len(one) == len(set(one)) for one in ids)
        # The old f1 is gone before there is a new one.
        targets = [target for name, target in events if name == 'f1']
        assert targets[0] == Attention.GONE
        assert targets[1] != Attention.GONE


def test_camera_node_killed_and_restarted_beside_the_others(listener, rounds):
    if not rounds(False, True):
        pytest.skip('8 s: only with --full')
    ids = listener.subscribe(GazeArray, '/gaze', lambda m: [g.track_id for g in m.gazes])
    with running('gaze_node') as gaze:
        killed = Process('camera_node', 'source:=sample')
        wait_until(lambda: any(ids), 60, 'a face')
        first = next(one for one in ids if one)[0]
        killed.send(signal.SIGKILL)
        assert killed.end() == -signal.SIGKILL
        time.sleep(1.2)
        before = len(ids)
        with running('camera_node', 'source:=sample'):
            wait_until(lambda: any(ids[before:]), 60, 'a face again')
        # After track_timeout the face gets a new id: a process gives each id once.
        assert first not in next(one for one in ids[before:] if one)
        assert gaze.running


class Launched:
    """``ros2 launch`` of pipeline.launch.py with one lightweight node."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._file = folder / 'printed'
        with self._file.open('w') as file:
            self.process = subprocess.Popen(
                ['ros2', 'launch', share_path('launch') / 'pipeline.launch.py', 'nodes:=people',
                 *arguments], stdout=file, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def text(self) -> str:
        return self._file.read_text()

    def node(self, other_than: int = 0) -> psutil.Process:
        """Wait for the process of the node, with another id than the given one; return it."""
        pids = []

        def started():
            found = re.findall(r'process started with pid \[(\d+)\]', self.text)
            pids[:] = [int(pid) for pid in found if int(pid) != other_than]
            return pids
        wait_until(started, 30, 'a process')
        wait_until(lambda: handles_sigterm(pids[-1]), 30, 'signal handlers')
        return psutil.Process(pids[-1])


@pytest.fixture
def launched(tmp_path):
    """Return a function that starts launch, which is in no package registry."""
    pytest.importorskip('launch_ros', reason='launch is not installed: it is in no registry')
    if not shutil.which('ros2'):
        pytest.skip('needs the command ros2: not installed')
    started = []

    def start(*arguments):
        started.append(Launched(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_launch_restarts_a_killed_process_with_its_parameters(launched):
    launch = launched('namespace:=robot')
    first = launch.node()
    words = first.cmdline()
    first.kill()
    second = launch.node(other_than=first.pid)
    assert second.cmdline() == words
    assert 'people_node-1 was terminated by SIGKILL; restarting it in 1 s' in launch.text
    time.sleep(1)
    launch.process.send_signal(signal.SIGINT)
    assert launch.process.wait(10) == 0, launch.text
    assert gone(second)


def test_launch_ends_when_a_process_exits_or_may_not_be_restarted(launched):
    launch = launched('respawn:=false')
    launch.node().kill()
    assert launch.process.wait(10) == 1, launch.text
    launch = launched()
    launch.node().terminate()
    assert launch.process.wait(10) == 0, launch.text
    launch = launched('params_file:=/nowhere.yaml')
    assert launch.process.wait(10) == 1


#: A camera driver: 20 images of 1920x1080, each larger than Fast DDS's default shared memory.
DRIVER = """
import time
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node('driver')
publisher = node.create_publisher(Image, 'camera/image_raw', qos_profile_sensor_data)
image = Image(height=1080, width=1920, encoding='bgr8', step=5760, data=bytes(1080 * 5760))
while not publisher.get_subscription_count():
    time.sleep(0.05)
for _ in range(20):
    image.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(image)
    time.sleep(0.1)
"""


def test_images_of_a_driver_arrive_and_its_end_ends_all(launched, listener, tmp_path):
    (tmp_path / 'driver.py').write_text(DRIVER)
    seen = listener.subscribe(GazeArray, '/gaze', lambda m: m.header.stamp.nanosec)
    launch = launched('nodes:=gaze', f"driver:={sys.executable} '{tmp_path}/driver.py'")
    assert launch.process.wait(60) == 0, launch.text
    assert len(seen) >= 10, launch.text


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_process_does_not_outlive_its_launch(launched, number):
    launch = launched()
    node = launch.node()
    launch.process.send_signal(number)
    launch.process.wait(10)
    wait_until(lambda: gone(node), 5, 'the end of the node')
