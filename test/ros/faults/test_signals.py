"""Signals at random moments: no orphan, no hang, no traceback, and a playable video.

The moments are drawn from SEED, which is printed; each round has a number.
"""
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import random
import signal
import subprocess
import time

import cv2
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.process.shutdown import GRACE_PERIOD
from helpers.processes import BIN, handles_sigterm, wait_until
import pytest
from sensor_msgs.msg import CameraInfo

SEED = 20261123

#: Concurrent rounds.
LANES = 3

#: Maximum seconds from the signal to the exit: the grace period, and a margin for busy machines.
MAX_EXIT_TIME = GRACE_PERIOD + 1.0


class Run:
    """A process in a session of its own, which prints to a file.

    :param lane: namespace of its nodes.
    """

    def __init__(self, lane: str, folder: Path, *words: str, **popen) -> None:
        self._file = folder / 'printed'
        words = [*words, *([] if '--ros-args' in words else ['--ros-args']),
                 '-r', f'__ns:=/{lane}']
        with self._file.open('w') as file:
            self.process = subprocess.Popen(
                [BIN / words[0], *words[1:]],
                **{'stdin': subprocess.DEVNULL, 'stdout': file, 'stderr': file,
                   'start_new_session': True, **popen})

    @property
    def text(self) -> str:
        return self._file.read_text()

    def handles_sigterm(self) -> bool:
        return handles_sigterm(self.process.pid)

    def wait_for(self, condition, what: str) -> None:
        try:
            wait_until(lambda: condition() or self.process.poll() is not None, 60, what)
        except AssertionError as e:
            self.process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER=1 prints where it hangs
            self.process.wait()
            raise AssertionError(f'{e}\n{self.text}') from None
        assert self.process.poll() is None, self.text

    def end(self) -> int:
        """Wait for the exit after a signal; return the exit code."""
        try:
            code = self.process.wait(MAX_EXIT_TIME)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f'still running after {MAX_EXIT_TIME} s:\n{self.text}') from None
        assert not (left := members(self.process.pid)), f'left behind: {left}\n{self.text}'
        return code

    def ended_in_order(self) -> None:
        assert self.end() == 0, self.text
        assert 'Traceback' not in self.text
        assert 'not ended' not in self.text


def members(session: int) -> list[int]:
    """Return the processes of a session that are not zombies."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, _, own = path.read_text().rpartition(')')[2].split()[:4]
        except OSError:
            continue
        if int(own) == session and state != 'Z':
            found.append(int(path.parent.name))
    return found


def frames(path: Path) -> int:
    """Return how many frames of a video can be read."""
    video, count = cv2.VideoCapture(str(path)), 0
    while video.grab():
        count += 1
    video.release()
    return count


@pytest.fixture
def lanes(listener):
    """Publish gaze for each lane instead of a gaze node, whose models load slowly."""
    def answer(lane):
        gaze = listener.node.create_publisher(GazeArray, f'/{lane}/gaze', topics.default_qos())
        return lambda info: gaze.publish(GazeArray(header=info.header))

    names = [f'lane{number}' for number in range(LANES)]
    for lane in names:
        listener.node.create_subscription(
            CameraInfo, f'/{lane}/camera/camera_info', answer(lane), topics.default_qos())
    return names


#: Programs, and how often of 20 each is run.
PROGRAMS = {
    ('pipeline', '--ros-args', '-p', 'source:=sample'): 4,
    ('pipeline', '--nodes', 'visualizer,camera', '--ros-args', '-p', 'source:=sample'): 10,
    ('camera_node', '--ros-args', '-p', 'source:=sample'): 2,
    ('gaze_node',): 1, ('people_node',): 1, ('visualizer_node',): 1, ('recorder_node',): 1}

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
           signal.SIGKILL)


def one_round(number: int, lane: str, folder: Path) -> str:
    """Run a process, send it one or two signals, and check its exit; return a description."""
    chance = random.Random(SEED + number)
    words = chance.choices(list(PROGRAMS), PROGRAMS.values())[0]
    phase = chance.choice(('start', 'run', 'stop'))
    first, second = chance.choice(NUMBERS), chance.choice((*NUMBERS, None, None, None))
    if phase == 'stop':
        first, second = signal.SIGINT, second or signal.SIGTERM
    wait, pause = chance.uniform(0, 2), chance.choice((0, chance.uniform(0, 0.2)))
    output = folder / 'out.mp4'
    records = 'pipeline' in words
    if records:
        words = (*words, '-p', f'output:={output}')
    elif words[0] == 'recorder_node':
        words = (*words, '--ros-args', '-p', f'output:={folder / "bag"}')
    run = Run(lane, folder, *words)
    run.wait_for(run.handles_sigterm, 'signal handlers')
    if phase != 'start' and records:
        run.wait_for(lambda: output.is_file() and output.stat().st_size, 'a video')
        wait /= 10
    time.sleep(wait)
    run.process.send_signal(first)
    if second is not None:
        time.sleep(pause)
        run.process.send_signal(second)
    code = run.end()
    done = f'{number} {words} {phase} {wait:.2f} {first.name} {second} -> {code}\n{run.text}'
    killed = signal.SIGKILL in (first, second)
    assert code == 0 or (killed and code == -signal.SIGKILL), done
    assert 'Traceback' not in run.text and 'not ended' not in run.text, done
    if records and not killed:
        assert output.is_file() == ('saved' in run.text), done
        assert frames(output) or (phase == 'start' and not output.exists()), done
    return done


def test_signals_at_random_moments_of_start_run_and_stop(lanes, rounds, tmp_path):
    count = rounds(8, 100)
    print(f'seed {SEED}, {count} rounds')

    def lane(name):
        for number in range(count)[LANES - 1 - lanes.index(name)::LANES]:
            folder = tmp_path / str(number)
            folder.mkdir()
            yield one_round(number, name, folder)

    with ThreadPoolExecutor(LANES) as pool:
        done = [text for texts in pool.map(lambda name: list(lane(name)), lanes)
                for text in texts]
    assert len(done) == count


@pytest.mark.parametrize('kind', ['broken pipe', 'full pipe', 'full disk', 'closed'])
def test_process_with_unread_output_exits_in_order(kind, lanes, tmp_path):
    output, folder = tmp_path / 'out.mp4', tmp_path
    read_end, write_end = os.pipe()
    more = {'stdout': write_end, 'stderr': write_end}
    if kind == 'full disk':
        more = dict.fromkeys(more, os.open('/dev/full', os.O_WRONLY))
    elif kind == 'closed':
        more = {'preexec_fn': lambda: [os.close(number) for number in range(3)]}
    run = Run(lanes[0], folder, 'pipeline', '--nodes', 'visualizer,camera', '--ros-args', '-p',
              'source:=sample', '-p', f'output:={output}', **more)
    run.wait_for(lambda: output.is_file() and output.stat().st_size, 'a video')
    if kind == 'broken pipe':
        os.close(read_end)
    elif kind == 'full pipe':
        os.set_blocking(write_end, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write_end, b'x')
        os.set_blocking(write_end, True)
    os.close(write_end)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert frames(output)
    if kind != 'broken pipe':
        os.close(read_end)


def test_nohup_outlives_its_terminal(tmp_path):
    run = Run('lane0', tmp_path, 'people_node',
              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    run.wait_for(run.handles_sigterm, 'signal handlers')
    run.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert run.process.poll() is None, run.text
    run.process.send_signal(signal.SIGTERM)
    run.ended_in_order()


@pytest.mark.parametrize('suffix', ['mkv', 'avi', 'mp4'])
def test_video_of_a_killed_process(suffix, lanes, tmp_path):
    output = tmp_path / f'out.{suffix}'
    run = Run(lanes[0], tmp_path, 'pipeline', '--nodes', 'visualizer,camera', '--ros-args', '-p',
              'source:=sample', '-p', f'output:={output}')
    run.wait_for(lambda: output.is_file() and output.stat().st_size > 0, 'a video')
    run.process.send_signal(signal.SIGKILL)
    assert run.end() == -signal.SIGKILL
    print(suffix, output.stat().st_size, frames(output))
    assert bool(frames(output)) == (suffix != 'mp4')
