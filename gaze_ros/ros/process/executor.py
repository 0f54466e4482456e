"""A MultiThreadedExecutor that does not starve callbacks and survives their errors."""
from collections.abc import Callable
from pathlib import Path
import threading
from traceback import extract_tb
from typing import Any, Optional

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.ros.process.rclpy_compat import CompatibleExecutor
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import (
    ConditionReachedException,
    ExternalShutdownException,
    ShutdownException,
    TimeoutException,
)
from rclpy.node import Node
from rclpy.task import Task


class SubmitOnceExecutor(CompatibleExecutor):
    """Submits each ready callback once, and sleeps while the thread pool is busy.

    rclpy's own executor submits each callback that waits for a worker again and again until a
    worker takes it (rclpy issue 1452), and the spinning thread competes for the interpreter lock.
    Of 240 images whose callbacks hold that lock, 109 to 132 passed through three nodes with
    rclpy 9.1.2, 140 to 147 with this (busy machine, three alternating rounds); of callbacks that
    release it, all passed with both.

    :param num_threads: number of workers, at least 2.
    :param on_error: called with the node and the reason when a callback raises, throttled by a
        LogThrottle. Only the message or request of that callback is lost; the process continues.
        Without it, spinning raises what callbacks raise.
    """

    def __init__(self, num_threads: int = 2, *, context: Optional[Context] = None,
                 on_error: Optional[Callable[[Node, str], None]] = None) -> None:
        super().__init__(num_threads, context=context)
        self._on_error = on_error
        self._log_throttle = LogThrottle()
        #: Tasks that wait for a worker.
        self._submitted: set = set()
        #: Tasks whose result has not been checked yet.
        self._unchecked: list[tuple[Task, Any, Node]] = []
        self._worker_free = threading.Event()

    def guard_take(self, take: Callable) -> Callable:
        """Return a function that takes a message and defers an error to the callback's task.

        Where taking raises (out of memory, text that is not UTF-8), rclpy leaves the entity and
        its callback group marked as taken: no callback of the group ever runs again.
        """
        def guarded(entity: Any) -> Optional[Callable]:
            try:
                return take(entity)
            except Exception as e:
                error = e

            async def raise_error() -> None:
                raise error
            return raise_error
        return guarded

    def _run(self, task: Callable[[], None]) -> None:
        # From here on task.executing() keeps rclpy from yielding it again.
        self._submitted.discard(task)
        try:
            task()
            task.exception()  # retrieved, so that rclpy does not print it after the last spin
        finally:
            self._worker_free.set()

    def spin_ready(self, timeout_sec: Any, wait_condition: Callable[[], bool]) -> None:
        """Submit one ready callback, once, and report the errors of finished ones."""
        try:
            ready = self.wait_for_ready_callbacks(timeout_sec, None, wait_condition)
        except (ExternalShutdownException, ShutdownException, TimeoutException,
                ConditionReachedException):
            return
        except InvalidHandle:
            return  # a topic was destroyed while entities were collected; the next spin finds all
        task = ready[0]
        if task in self._submitted:
            # It waits for a worker: sleep until one is free instead of spinning.
            self._worker_free.wait(0.01)
            self._worker_free.clear()
            return
        self._submitted.add(task)
        self._unchecked.append(ready)
        self.submit(self._run, task)
        for pending in self._unchecked[:]:
            if pending[0].done():
                self._unchecked.remove(pending)
                self._check_result(*pending)

    def _check_result(self, task: Task, entity: Any, node: Node) -> None:
        try:
            task.result()  # raises what the callback raised
        except InvalidHandle:
            pass  # its entity was destroyed meanwhile: a node was cleaned up
        except Exception as e:
            if self._on_error is None:
                raise
            reason = callback_failure(_name(entity), e)
            if self._log_throttle.should_log(reason):
                self._on_error(node, reason)


def callback_failure(name: str, error: Exception) -> str:
    """Return what failed, why and in which line.

    :param name: of the topic or service.
    :param error: raised by its callback.
    """
    last = extract_tb(error.__traceback__)[-1]
    return (f'callback of {name} failed: {type(error).__name__}: {error} '
            f'({Path(last.filename).name}:{last.lineno})')


def _name(entity: Any) -> str:
    """Return the topic or service of an entity, or its kind where it has neither."""
    try:
        return getattr(entity, 'topic_name', '') or getattr(entity, 'srv_name', '') or (
            f'a {type(entity).__name__.lower()}')
    except InvalidHandle:  # destroyed meanwhile
        return 'a destroyed entity'
