"""Real processes and real topics for the tests."""
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
from threading import Thread
import time

from ament_index_python.packages import get_package_prefix
import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from gaze_ros.core.sources.sample import Sample
from gaze_ros.ros.comm import topics
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

ROOT = Path(__file__).resolve().parents[1]
#: Where `ros2 run` finds the executables, installed by colcon or pip.
BIN = Path(get_package_prefix('gaze_ros')) / 'lib' / 'gaze_ros'


class Process:
    """An executable of the package, with what it prints.

    :param prefix: words before it, of a command that runs it elsewhere.
    :param words: its own.
    :ivar lines: that it has printed.
    """

    #: All that the tests have started and not forgotten.
    started: list['Process'] = []

    def __init__(self, name: str, *parameters: str, more: tuple[str, ...] = (),
                 env: dict | None = None, prefix: tuple[str, ...] = (),
                 words: tuple[str, ...] = ()) -> None:
        self.name = name
        words = [*prefix, str(BIN / name), *words, '--ros-args']
        for parameter in parameters:
            words += ['-p', parameter]
        self._process = subprocess.Popen(
            [*words, *more], env={**os.environ, **(env or {})}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        Process.started.append(self)
        self.lines: list[str] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        return '\n'.join(self.lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, words: str, timeout: float = 30.0) -> None:
        """Wait until the process has printed the words."""
        wait_until(lambda: words in self.text or not self.running, timeout, f"'{words}'")
        if words not in self.text:
            self._reader.join(5)
        assert words in self.text, self.text

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self, timeout: float = 20.0) -> int:
        """Wait for the end; return the exit code."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f'still running after {timeout} s:\n{self.text}') from None
        self._reader.join(5)
        return code


def gaze_ros(*words, timeout=120, **how) -> subprocess.CompletedProcess:
    """Run the command line tool, as a user does."""
    return subprocess.run([BIN / 'gaze_ros', *map(str, words)], text=True, timeout=timeout,
                          **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **how})


@contextmanager
def running(name: str, *parameters: str, more: tuple[str, ...] = (), env: dict | None = None,
            prefix: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> Iterator[Process]:
    """Run an executable for the length of a with-block; it must end in order."""
    process = Process(
        name, *parameters, more=more, env=env, prefix=prefix, words=words)
    try:
        yield process
    finally:
        if process.running:
            process.send(signal.SIGINT)
        code = process.end()
    assert code == 0, process.text
    assert 'Traceback' not in process.text, process.text


def minds_signals(pid: int) -> bool:
    """Tell whether a process catches SIGTERM: until then Python's own start ends as it does."""
    try:
        status = Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in status.splitlines()
                   if line.startswith('SigCgt')), 0)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def wait_until(condition, timeout: float, what: str) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f'{what} did not happen within {timeout} s'
        time.sleep(0.02)


def save_sample(path: Path, codec: str, rate: float, frames: int) -> Path:
    """Save some of the sample as a video of 640x480."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (640, 480))
    source = Sample()
    for _ in range(frames):
        writer.write(source.read())
    writer.release()
    return path


class Listener:
    """A node of the test that keeps what it hears."""

    def __init__(self, name: str = 'test_listener') -> None:
        self.node = Node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._ending = False
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ending:
            self._executor.spin_once(timeout_sec=0.1)

    def hear(self, kind: type, topic: str, keep=lambda message: message) -> list:
        """Subscribe; return the list that fills with what keep makes of the messages."""
        heard: list = []
        self.node.create_subscription(
            kind, topic, lambda message: heard.append(keep(message)), topics.default_qos())
        return heard

    def close(self) -> None:
        self._ending = True
        self._thread.join(5)
        self._executor.shutdown()
        self.node.destroy_node()


class Told:
    """What is heard on /diagnostics of one task.

    :param name: as ``camera: Camera``.
    """

    def __init__(self, listener, name):
        self.name = name
        self._heard = listener.hear(DiagnosticArray, '/diagnostics')

    @property
    def all(self):
        return [message for message in [*self._heard] if message.status[0].name == self.name]

    @property
    def last(self):
        return self.all[-1].status[0] if self.all else DiagnosticStatus(level=b'\xff')

    @property
    def values(self):
        return {value.key: value.value for value in self.last.values}

    def says(self, level, words=''):
        """Return whether the last status has a level and words."""
        last = self.last
        return last.level == level and words in last.message

    def wait(self, level, words='', timeout=20.0):
        wait_until(lambda: self.says(level, words), timeout, f'{level} {words}')


def call(node: Node, kind: type, name: str, request, again: float = 30.0):
    """Call a service; return its answer. The node is spun by somebody else.

    :param again: seconds after which it is asked once more: a server that starts may find the
        client later than the client finds it, and its answer is lost.
    """
    client = node.create_client(kind, name)
    assert client.wait_for_service(10), f'no service {name}'
    time.sleep(0.1)
    futures = []

    def answered():
        return any(future.done() for future in futures)

    end = time.monotonic() + 30
    while not answered():
        assert time.monotonic() < end, f'no answer of {name} within 30 s'
        futures.append(client.call_async(request))
        until = time.monotonic() + again
        while not answered() and time.monotonic() < until:
            time.sleep(0.01)
    node.destroy_client(client)
    return next(future.result() for future in futures if future.done())


def state(listener, node):
    """Return the state of a managed node."""
    return call(listener.node, GetState, f'/{node}/get_state', GetState.Request(), again=3.0
                ).current_state.label


def move(listener, node, *transitions):
    """Ask for transitions one after the other; return whether each was done."""
    state(listener, node)  # from when it answers it knows who asks
    return [call(listener.node, ChangeState, f'/{node}/change_state', ChangeState.Request(
        transition=Transition(id=t))).success for t in transitions]


def put(listener, node, **values):
    """Set parameters; return why they are refused, or ''."""
    request = SetParameters.Request(parameters=[
        Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
    answers = call(listener.node, SetParameters, f'/{node}/set_parameters', request).results
    return '; '.join(answer.reason for answer in answers if not answer.successful)
