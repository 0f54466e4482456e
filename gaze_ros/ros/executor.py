"""A MultiThreadedExecutor that does not starve."""
from collections.abc import Callable
import threading
from typing import Any, Optional

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import (
    ConditionReachedException,
    Executor,
    ExternalShutdownException,
    MultiThreadedExecutor,
    ShutdownException,
    TimeoutException,
)


class OnceExecutor(MultiThreadedExecutor):
    """Submits each ready callback once, and sleeps while the pool is busy.

    rclpy's own submits every callback that waits for a worker again and again until one takes it
    (rclpy issue 1452): the spinning thread keeps the interpreter's lock, and of 240 pictures 4 to
    13 came through three nodes.

    :param num_threads: workers, at least 2.
    """

    def __init__(self, num_threads: int = 2, *, context: Optional[Context] = None) -> None:
        super().__init__(num_threads, context=context)
        self._submitted: set = set()
        self._moved = threading.Event()

    def shutdown(self, timeout_sec: Optional[float] = None) -> bool:
        """Stop; the callbacks that run are not waited for. The same in every distribution."""
        done = Executor.shutdown(self, timeout_sec)
        self._executor.shutdown(wait=False)
        return done

    def _run(self, task: Callable[[], None]) -> None:
        # From here on task.executing() keeps it from coming up again.
        self._submitted.discard(task)
        try:
            task()
            task.exception()  # else it is printed where no spin comes to ask for it any more
        finally:
            self._moved.set()

    def _spin_once_impl(
            self, timeout_sec: Any = None,
            wait_condition: Callable[[], bool] = lambda: False) -> None:
        try:
            task, _, _ = self.wait_for_ready_callbacks(timeout_sec, None, wait_condition)
        except (ExternalShutdownException, ShutdownException, TimeoutException,
                ConditionReachedException):
            return
        if task in self._submitted:
            # It waits for a worker: let one come free instead of spinning.
            self._moved.wait(0.01)
            self._moved.clear()
            return
        self._submitted.add(task)
        self._futures.append(task)
        self._executor.submit(self._run, task)
        for future in self._futures[:]:
            if future.done():
                self._futures.remove(future)
                try:
                    future.result()  # raises what the callback raised
                except InvalidHandle:
                    pass  # what it was of was destroyed meanwhile: a node was cleaned up
