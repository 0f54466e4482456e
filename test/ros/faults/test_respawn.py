"""A process that is killed and started again; the others go on, and ids are not mixed up."""
from pathlib import Path
import re
import shutil
import signal
import subprocess
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

LIVES = STARTUP_TIME + 1.0


def test_what_a_signal_ended_is_started_again():
    assert RespawnPolicy(0.0).record_exit(-signal.SIGKILL, 0.1) == ''


@pytest.mark.parametrize('code', [1, 2])
def test_what_does_not_work_at_all_is_not_started_again(code):
    assert RespawnPolicy(0.0).record_exit(code, STARTUP_TIME - 0.1) == ' as it started'


def test_what_has_worked_is_started_again_although_it_fails_at_once_then():
    lives = RespawnPolicy(0.0)
    assert lives.record_exit(1, LIVES) == ''
    assert lives.record_exit(1, LIVES + RESPAWN_DELAY + 0.1) == ''


def test_what_dies_again_and_again_is_given_up():
    lives = RespawnPolicy(0.0)
    for number in range(MAX_RESPAWNS):
        assert lives.record_exit(-signal.SIGSEGV, number * 2.0) == ''
    assert f'{MAX_RESPAWNS} times' in lives.record_exit(-signal.SIGSEGV, MAX_RESPAWNS * 2.0)


def test_what_dies_now_and_then_is_never_given_up():
    lives = RespawnPolicy(0.0)
    assert not any(lives.record_exit(-signal.SIGSEGV, number * RESPAWN_WINDOW / MAX_RESPAWNS)
                   for number in range(1, 100))


@pytest.mark.parametrize(('code', 'words'), [
    (1, 'failed with exit code 1'), (-9, 'was ended by SIGKILL'), (-300, 'signal 300')])
def test_how_it_ended_is_said(code, words):
    assert words in describe_exit(code)


def test_a_gaze_node_killed_and_started_again_beside_the_others(listener):
    annotated = listener.subscribe(Image, '/gaze/image_annotated', lambda m: time.monotonic())
    ids = listener.subscribe(GazeArray, '/gaze', lambda m: [g.track_id for g in m.gazes])
    events = []
    listener.node.create_subscription(
        Attention, '/gaze/attention', lambda m: events.append((m.track_id, m.target)),
        topics.reliable_qos(50, lasting=True))
    with running('camera_node', 'source:=sample'), \
            running('pipeline', words=('--nodes', 'visualizer,people')):
        killed = Process('gaze_node')
        # A pause, as a loaded machine makes them, has it gone and come again.
        wait_until(lambda: dict(events).get('f1', Attention.GONE) != Attention.GONE
                   and len(annotated) > 5, 60, 'attention and annotated pictures')
        killed.send(signal.SIGKILL)
        assert killed.end() == -signal.SIGKILL
        before, shown = len(ids), len(annotated)
        events.clear()
        time.sleep(RESPAWN_DELAY)  # as launch waits
        with running('gaze_node'):
            wait_until(lambda: any('f1' in one for one in ids[before:]), 60, 'f1 again')
            wait_until(lambda: len(events) > 1 and len(annotated) > shown + 5, 30, 'events')
        assert all(len(one) == len(set(one)) for one in ids)
        # The old f1 is gone before there is another one.
        of_one = [target for name, target in events if name == 'f1']
        assert of_one[0] == Attention.GONE
        assert of_one[1] != Attention.GONE


def test_a_camera_node_killed_and_started_again_beside_the_others(listener, rounds):
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
        # After more than track_timeout it is another one: ids of one process are given once.
        assert first not in next(one for one in ids[before:] if one)
        assert gaze.running


class Launched:
    """``ros2 launch`` of the pipeline's launch file, of one light node."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._file = folder / 'printed'
        with self._file.open('w') as file:
            self.process = subprocess.Popen(
                ['ros2', 'launch', share_path('launch') / 'pipeline.launch.py', 'nodes:=people',
                 *arguments], stdout=file, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def text(self) -> str:
        return self._file.read_text()

    def node(self, but: int = 0) -> psutil.Process:
        """Wait for the process of the node, another one than that; return it."""
        pids = []

        def started():
            found = re.findall(r'process started with pid \[(\d+)\]', self.text)
            pids[:] = [int(pid) for pid in found if int(pid) != but]
            return pids
        wait_until(started, 30, 'a process')
        wait_until(lambda: handles_sigterm(pids[-1]), 30, 'minding signals')
        return psutil.Process(pids[-1])


@pytest.fixture
def launched(tmp_path):
    """Return what starts launch, which is in no package registry."""
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


def test_launch_starts_a_killed_process_again_as_it_was(launched):
    launch = launched('namespace:=robot')
    first = launch.node()
    words = first.cmdline()
    first.kill()
    second = launch.node(but=first.pid)
    assert second.cmdline() == words
    assert 'people_node-1 was ended by SIGKILL: it is started again in 1 s' in launch.text
    time.sleep(1)
    launch.process.send_signal(signal.SIGINT)
    assert launch.process.wait(10) == 0, launch.text
    assert gone(second)


def test_launch_ends_when_a_process_ends_in_order_or_may_not_be_started_again(launched):
    launch = launched('respawn:=false')
    launch.node().kill()
    assert launch.process.wait(10) == 1, launch.text
    launch = launched()
    launch.node().terminate()
    assert launch.process.wait(10) == 0, launch.text
    launch = launched('params_file:=/nowhere.yaml')
    assert launch.process.wait(10) == 1


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_process_does_not_outlive_its_launch(launched, number):
    launch = launched()
    node = launch.node()
    launch.process.send_signal(number)
    launch.process.wait(10)
    wait_until(lambda: gone(node), 5, 'the end of the node')
