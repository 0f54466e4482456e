"""Processes that count what they do, and the one that asks them.

The child's stdin: each line ``mark`` is answered by one line of JSON on its stdout, with what was
counted since the last one. When stdin ends, so does the child: however its parent dies, it leaves
nobody behind. A child that cannot go on prints ``FATAL: reason`` on stderr and ends.

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
from typing import Any

from gaze_ros.core.errors import GazeRosError
import psutil

Answer = dict[str, Any]

FATAL = 'FATAL: '

#: How rclpy logs in a child, so that its fatal lines look like everybody's.
_ENVIRONMENT = {
    'RCUTILS_CONSOLE_OUTPUT_FORMAT': '{severity}: {message}', 'RCUTILS_COLORIZED_OUTPUT': '0'}

#: Seconds until a mark is answered, at most: a child's threads may hold the interpreter's lock.
_PATIENCE = 20.0

#: Seconds until the first result, at most: loading a model for the first time may take a minute.
_FIRST = 120.0

#: Seconds that children have to end in order, and that one has once its stdin ended.
_GRACE, _CHILDS_GRACE = 1.5, 2.5


class Children:
    """Processes that are asked together and end together, with the ``with`` block."""

    def __init__(self) -> None:
        self._children: list[_Child] = []

    def __enter__(self) -> 'Children':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids, in the order of the starts."""
        return [child.process.pid for child in self._children]

    def start(self, module: str, *words: str) -> None:
        """Run a module of this installation as ``python -m module words``."""
        self._children.append(_Child(module, words))

    def mark(self) -> list[Answer]:
        """Return what each counted since the last mark, in the order of the starts.

        :raises GazeRosError: with a child's reason, if one has ended or does not answer.
        """
        for child in self._children:
            child.ask()
        return [child.answer() for child in self._children]

    def wait(self, ready: Callable[[list[Answer]], Any]) -> None:
        """Mark again and again until ``ready(answers)`` is true.

        :raises GazeRosError: as :meth:`mark`, and if the time is over.
        """
        until = time.monotonic() + _FIRST
        while not ready(self.mark()):
            if time.monotonic() > until:
                raise GazeRosError(
                    f'no result within {_FIRST:g} s: is the source a video that plays, and the '
                    'machine free of other work?')
            time.sleep(0.1)

    def close(self) -> None:
        """End all: in order where that takes no longer than 1.5 s."""
        for child in self._children:
            child.let_go()
        until = time.monotonic() + _GRACE
        for child in self._children:
            child.end(until)
        self._children.clear()


class _Child:
    def __init__(self, module: str, words: tuple[str, ...]) -> None:
        self._name = ' '.join([module.rpartition('.')[2], *words[:1]])
        # In a session of its own: Ctrl-C is the parent's to mind.
        self.process = subprocess.Popen(  # noqa: S603, our own interpreter and module
            [sys.executable, '-m', module, *words], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8', errors='replace',
            env={**os.environ, **_ENVIRONMENT}, start_new_session=True)
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._own: list[psutil.Process] = []
        self._said: deque[str] = deque(maxlen=100)
        self._threads = [Thread(target=run, daemon=True) for run in (self._hear, self._listen)]
        for thread in self._threads:
            thread.start()

    def ask(self) -> None:
        try:
            self.process.stdin.write('mark\n')
            self.process.stdin.flush()
        except OSError:  # it has ended: answer() says so
            pass

    def answer(self) -> Answer:
        until = time.monotonic() + _PATIENCE
        line, ended = None, False
        while line is None and not ended:
            ended = self.process.poll() is not None  # what it had said before counts
            try:
                line = self._answers.get(timeout=0.2)
            except Empty:
                if time.monotonic() > until:
                    raise GazeRosError(
                        f"'{self._name}' has not answered for {_PATIENCE:g} s") from None
        if line is None:
            raise GazeRosError(self._reason())
        return json.loads(line)

    def let_go(self) -> None:
        try:
            self._own = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:  # it has ended
            pass
        try:
            self.process.stdin.close()
        except OSError:  # what was not flushed has no reader any more
            pass

    def end(self, until: float) -> None:
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for process in self._own:  # OpenVINO's telemetry forks one
            try:
                process.kill()
            except psutil.Error:
                pass
        for thread, pipe in zip(self._threads, (self.process.stdout, self.process.stderr)):
            thread.join(0.2)
            if not thread.is_alive():  # else a process of the child's own holds the pipe
                pipe.close()

    def _hear(self) -> None:
        for line in self.process.stdout:
            self._answers.put(line)

    def _listen(self) -> None:
        for line in self.process.stderr:
            if line.strip():
                self._said.append(line.strip())

    def _reason(self) -> str:
        """Return why the child has ended, in one line."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            code = 'none yet'
        self._threads[1].join(1)
        said = [*self._said]
        fatal = [line.removeprefix(FATAL) for line in said if line.startswith(FATAL)]
        return fatal[0] if fatal else (
            f"'{self._name}' has ended with exit code {code}: {said[-1] if said else 'no reason'}")


def answer_parent(count: Callable[[], Answer], end: Callable[[], None]) -> None:
    """Begin to answer the parent from a thread; what else is printed goes to stderr from now on.

    :param count: returns what was counted since it was last called, as JSON can hold it; called
        from that thread, and at any time.
    :param end: asks the process to end; it is ended anyhow 2.5 s later.
    """
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    # Not sys.stdin: its lock would be held while waiting, and a process forked meanwhile, such as
    # that of OpenVINO's telemetry, would wait for it for ever and outlive us.
    marks = os.fdopen(os.dup(0), encoding='utf-8')
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def run() -> None:
        try:
            for line in marks:
                if line.strip() == 'mark':
                    answers.write(json.dumps(count()) + '\n')
                    answers.flush()
        except BrokenPipeError:  # the parent was killed
            pass
        except Exception as e:
            fail(f'{type(e).__name__}: {e}')
        last = Timer(_CHILDS_GRACE, os._exit, (1,))
        last.daemon = True
        last.start()
        end()

    Thread(target=run, name='answers', daemon=True).start()


def fail(reason: object) -> None:
    """Tell the parent why this process cannot go on, and end it at once."""
    try:
        print(FATAL + ' '.join(str(reason).split()), file=sys.stderr, flush=True)
    finally:
        os._exit(1)
