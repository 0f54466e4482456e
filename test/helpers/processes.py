"""The executables of the package as processes, and waiting for a condition."""
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
from gaze_ros.core.sources.sample import Sample
import psutil

ROOT = Path(__file__).resolve().parents[2]
#: Where `ros2 run` finds the executables, installed by colcon or pip.
BIN = Path(get_package_prefix('gaze_ros')) / 'lib' / 'gaze_ros'


class Process:
    """An executable of the package and its output.

    :param prefix: words before the executable: a command that runs it elsewhere.
    :param words: arguments of the executable.
    :param more: arguments after the parameters.
    :ivar lines: printed so far.
    """

    #: Processes that tests of this module started.
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

    def wait_for(self, words: str, timeout: float = 60.0) -> None:
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
        """Wait until the process ends; return its exit code."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f'still running after {timeout} s:\n{self.text}') from None
        self._reader.join(5)
        return code


def python_path(folder: Path) -> str:
    """Return a PYTHONPATH that begins with a folder; colcon's own has gaze_ros."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get('PYTHONPATH')])])


def run_gaze_ros(*words, timeout=120, **how) -> subprocess.CompletedProcess:
    """Run the command line tool; return when it ended."""
    return subprocess.run([BIN / 'gaze_ros', *map(str, words)], text=True, timeout=timeout,
                          **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **how})


@contextmanager
def running(name: str, *parameters: str, more: tuple[str, ...] = (), env: dict | None = None,
            prefix: tuple[str, ...] = (), words: tuple[str, ...] = ()) -> Iterator[Process]:
    """Run an executable for the length of a with-block; it must exit with code 0."""
    process = Process(
        name, *parameters, more=more, env=env, prefix=prefix, words=words)
    try:
        yield process
    finally:
        if process.running:
            process.send(signal.SIGINT)
        code = process.end()
    assert code == 0, f'exit code {code} of\n{process.text}'
    assert 'Traceback' not in process.text, process.text


def handles_sigterm(pid: int) -> bool:
    """Return whether a process catches SIGTERM; before that, the signal kills it."""
    try:
        status = Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in status.splitlines()
                   if line.startswith('SigCgt')), 0)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def wait_until(condition, timeout: float, what: str) -> None:
    """Wait until the condition holds; fail after timeout seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f'{what} did not happen within {timeout} s'
        time.sleep(0.02)


def wait_until_quiet(received: list, seconds: float, timeout: float = 20.0) -> None:
    """Wait until a list has not grown for that long: what was under way has arrived."""
    end = time.monotonic() + timeout
    count, since = len(received), time.monotonic()
    while time.monotonic() < since + seconds:
        assert time.monotonic() < end, f'more and more arrived for {timeout} s'
        time.sleep(0.02)
        if len(received) != count:
            count, since = len(received), time.monotonic()


def save_sample(path: Path, codec: str, rate: float, frames: int) -> Path:
    """Save the first frames of the sample as a video of 640x480."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (640, 480))
    source = Sample()
    for _ in range(frames):
        writer.write(source.read())
    writer.release()
    return path


def processes_with(*texts: str) -> list[psutil.Process]:
    """Return the processes of this machine whose command lines contain all texts."""
    found = []
    for process in psutil.process_iter():
        try:
            line = ' '.join(process.cmdline())
        except psutil.Error:
            continue
        if all(text in line for text in texts):
            found.append(process)
    return found
