"""Child processes that count what they do, and the parent that queries them.

Protocol: the parent writes lines ``mark`` to a child's stdin. The child answers each with one line
of JSON on stdout: what it counted since the last mark. ``play`` and ``pause`` have no answer. A
child exits when its stdin is closed, so it never outlives its parent. A child that cannot go on
prints ``FATAL: reason`` on stderr and exits.

The parent::

    with Children() as children:
        children.start('gaze_ros.benchmark.workers', 'sequential', settings)
        children.wait(lambda answers: answers[0].get('stages'))
        [answer] = children.mark()

The child, before its first heavy import::

    answer_parent(count, stop.set)
"""
from collections import deque
from collections.abc import Callable
import json
import os
from queue import Empty, SimpleQueue
import subprocess
import sys
from threading import Thread, Timer
import time
from typing import Any, Optional

from gaze_ros.core.errors import GazeRosError
import psutil

Answer = dict[str, Any]

FATAL = 'FATAL: '

#: Log format of rclpy in a child: its fatal lines then have the form of the protocol.
_ENVIRONMENT = {
    'RCUTILS_CONSOLE_OUTPUT_FORMAT': '{severity}: {message}', 'RCUTILS_COLORIZED_OUTPUT': '0'}

#: Maximum time until a mark is answered, s: threads of the child may hold the GIL.
_ANSWER_TIMEOUT = 20.0

#: Maximum time until the first result, s: loading a model for the first time may take a minute.
_FIRST_RESULT_TIMEOUT = 120.0

#: Time the parent grants its children to exit, and a child grants itself after stdin closed, s.
_PARENT_GRACE, _CHILD_GRACE = 1.5, 2.5


class Children:
    """Child processes that are queried together and stopped at the end of the ``with`` block.

    :param domain: their ROS domain id; None for that of the environment.
    """

    def __init__(self, domain: Optional[int] = None) -> None:
        self._environment = {**os.environ, **_ENVIRONMENT}
        if domain is not None:
            self._environment['ROS_DOMAIN_ID'] = str(domain)
        self._children: list[_Child] = []

    def __enter__(self) -> 'Children':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids in start order."""
        return [child.process.pid for child in self._children]

    def start(self, module: str, *words: str) -> None:
        """Run ``python -m module words`` with this interpreter."""
        self._children.append(_Child(module, words, self._environment))

    def mark(self) -> list[Answer]:
        """Return what each child counted since the last mark, in start order.

        :raises GazeRosError: with the child's reason, if one has exited or does not answer.
        """
        self._tell('mark')
        return [child.answer() for child in self._children]

    def play(self, playing: bool) -> None:
        """Start the cameras of the children, or stop them, before the next mark is answered."""
        self._tell('play' if playing else 'pause')

    def _tell(self, line: str) -> None:
        for child in self._children:
            child.tell(line)

    def wait(self, ready: Callable[[list[Answer]], Any]) -> None:
        """Mark repeatedly until ``ready(answers)`` is true.

        :raises GazeRosError: as :meth:`mark`, and after 120 s.
        """
        deadline = time.monotonic() + _FIRST_RESULT_TIMEOUT
        while not ready(self.mark()):
            if time.monotonic() > deadline:
                raise GazeRosError(
                    f'no result within {_FIRST_RESULT_TIMEOUT:g} s: check that the source is a '
                    'video that plays and that no other work loads the machine')
            time.sleep(0.1)

    def close(self) -> None:
        """Stop all children: by closing their stdin, and after 1.5 s by killing them."""
        for child in self._children:
            child.close_stdin()
        deadline = time.monotonic() + _PARENT_GRACE
        for child in self._children:
            child.stop(deadline)
        self._children.clear()


class _Child:

    def __init__(self, module: str, words: tuple[str, ...], environment: dict[str, str]
                 ) -> None:
        self._name = ' '.join([module.rpartition('.')[2], *words[:1]])
        # A new session: only the parent handles Ctrl-C.
        self.process = subprocess.Popen(  # noqa: S603, our own interpreter and module
            [sys.executable, '-m', module, *words], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8', errors='replace',
            env=environment, start_new_session=True)
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._descendants: list[psutil.Process] = []
        self._stderr: deque[str] = deque(maxlen=100)
        self._threads = [Thread(target=run, daemon=True)
                         for run in (self._read_stdout, self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def tell(self, line: str) -> None:
        try:
            self.process.stdin.write(f'{line}\n')
            self.process.stdin.flush()
        except OSError:  # it has exited: answer() reports that
            pass

    def answer(self) -> Answer:
        deadline = time.monotonic() + _ANSWER_TIMEOUT
        line, exited = None, False
        while line is None and not exited:
            exited = self.process.poll() is not None  # an answer from before the exit counts
            try:
                line = self._answers.get(timeout=0.2)
            except Empty:
                if time.monotonic() > deadline:
                    raise GazeRosError(
                        f"'{self._name}' did not answer within {_ANSWER_TIMEOUT:g} s") from None
        if line is None:
            raise GazeRosError(self._exit_reason())
        return json.loads(line)

    def close_stdin(self) -> None:
        try:
            self._descendants = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:  # it has exited
            pass
        try:
            self.process.stdin.close()
        except OSError:  # unflushed data has no reader any more
            pass

    def stop(self, deadline: float) -> None:
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for process in self._descendants:  # OpenVINO's telemetry forks a process
            try:
                process.kill()
            except psutil.Error:
                pass
        for thread, pipe in zip(self._threads, (self.process.stdout, self.process.stderr)):
            thread.join(0.2)
            if not thread.is_alive():  # else a descendant holds the pipe
                pipe.close()

    def _read_stdout(self) -> None:
        for line in self.process.stdout:
            self._answers.put(line)

    def _read_stderr(self) -> None:
        for line in self.process.stderr:
            if line.strip():
                self._stderr.append(line.strip())

    def _exit_reason(self) -> str:
        """Return in one line why the child has exited."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            code = 'unknown'
        self._threads[1].join(1)
        lines = [*self._stderr]
        fatal = [line.removeprefix(FATAL) for line in lines if line.startswith(FATAL)]
        return fatal[0] if fatal else (
            f"'{self._name}' exited with code {code}: {lines[-1] if lines else 'no output'}")


def answer_parent(count: Callable[[], Answer], stop: Callable[[], None],
                  play: Callable[[bool], None] = lambda playing: None) -> None:
    """Start to answer the parent in a thread; redirect all other stdout output to stderr.

    :param count: returns what was counted since its last call, as JSON-compatible values; called
        in that thread at any time.
    :param stop: asks the process to exit; 2.5 s later it is forced to.
    :param play: starts (True) or stops (False) the camera, if the process has one.
    """
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    # Not sys.stdin: its lock is held while waiting. A process forked meanwhile, such as that of
    # OpenVINO's telemetry, would wait for the lock for ever and outlive this process.
    marks = os.fdopen(os.dup(0), encoding='utf-8')
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def run() -> None:
        try:
            for line in marks:
                if line == 'mark\n':
                    answers.write(json.dumps(count()) + '\n')
                    answers.flush()
                else:
                    play(line == 'play\n')
        except BrokenPipeError:  # the parent was killed
            pass
        except Exception as e:
            fail(f'{type(e).__name__}: {e}')
        timer = Timer(_CHILD_GRACE, os._exit, (1,))
        timer.daemon = True
        timer.start()
        stop()

    Thread(target=run, name='answers', daemon=True).start()


def fail(reason: object) -> None:
    """Report to the parent why this process cannot go on, and exit at once."""
    try:
        print(FATAL + ' '.join(str(reason).split()), file=sys.stderr, flush=True)
    finally:
        os._exit(1)
