"""A MultiThreadedExecutor that does not starve."""
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
    """Submits each ready callback once, and sleeps while the pool is busy.

    rclpy's own submits every callback that waits for a worker again and again until one takes it
    (rclpy issue 1452): the spinning thread keeps the interpreter's lock, and of 240 pictures 4 to
    13 came through three nodes.

    :param num_threads: workers, at least 2.
    :param tell: takes a node and what a callback of it raised, in words, as often as a Teller
        lets. What it was called for is lost, and nothing else: one bad message ends no process.
        Where it is not given, spinning raises what callbacks raise.
    """

    def __init__(self, num_threads: int = 2, *, context: Optional[Context] = None,
                 tell: Optional[Callable[[Node, str], None]] = None) -> None:
        super().__init__(num_threads, context=context)
        self._tell = tell
        self._teller = LogThrottle()
        self._submitted: set = set()
        self._begun: list[tuple[Task, Any, Node]] = []
        self._moved = threading.Event()

    def guard_take(self, take: Callable) -> Callable:
        """Return what takes a message; an error is raised later, by its task.

        Where taking raises (no memory, text that is not UTF-8), rclpy leaves the entity and its
        callback group marked as taken: no callback of the group runs any more.
        """
        def guarded(entity: Any) -> Optional[Callable]:
            try:
                return take(entity)
            except Exception as e:
                error = e

            async def fail() -> None:
                raise error
            return fail
        return guarded

    def _run(self, task: Callable[[], None]) -> None:
        # From here on task.executing() keeps it from coming up again.
        self._submitted.discard(task)
        try:
            task()
            task.exception()  # else it is printed where no spin comes to ask for it any more
        finally:
            self._moved.set()

    def spin_ready(self, timeout_sec: Any, wait_condition: Callable[[], bool]) -> None:
        """Submit one ready callback, once, and report what finished ones raised."""
        try:
            begun = self.wait_for_ready_callbacks(timeout_sec, None, wait_condition)
        except (ExternalShutdownException, ShutdownException, TimeoutException,
                ConditionReachedException):
            return
        except InvalidHandle:
            return  # a topic went while all were gathered: what is ready is so the next time, too
        task = begun[0]
        if task in self._submitted:
            # It waits for a worker: let one come free instead of spinning.
            self._moved.wait(0.01)
            self._moved.clear()
            return
        self._submitted.add(task)
        self._begun.append(begun)
        self.submit(self._run, task)
        for begun in self._begun[:]:
            if begun[0].done():
                self._begun.remove(begun)
                self._look_at(*begun)

    def _look_at(self, task: Task, entity: Any, node: Node) -> None:
        try:
            task.result()  # raises what the callback raised
        except InvalidHandle:
            pass  # what it was of was destroyed meanwhile: a node was cleaned up
        except Exception as e:
            if self._tell is None:
                raise
            last = extract_tb(e.__traceback__)[-1]
            reason = (f'a callback of {_name(entity)} failed: {type(e).__name__}: {e} '
                      f'({Path(last.filename).name}:{last.lineno})')
            if self._teller.should_log(reason):
                self._tell(node, reason)


def _name(entity: Any) -> str:
    """Return the topic or the service of what a callback is of, or what it is."""
    try:
        return getattr(entity, 'topic_name', '') or getattr(entity, 'srv_name', '') or (
            f'a {type(entity).__name__.lower()}')
    except InvalidHandle:  # destroyed meanwhile
        return 'what is no more'
