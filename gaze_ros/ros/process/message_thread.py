"""Takes the messages of one subscription in a thread of its own.

rclpy's executor builds the wait set of all entities of its nodes anew each time it wakes: a small
message costs a lifecycle node 1.1 to 1.4 core-ms that way, and 0.4 to 0.5 here.
"""
from collections.abc import Callable
from contextlib import suppress
from threading import current_thread, Event, Thread
from typing import Any

from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.ros.process.executor import callback_failure
from gaze_ros.ros.process.rclpy_compat import MessageWaiter
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.subscription import Subscription

#: Seconds between two looks at whether messages are to be taken, while they are not.
_IDLE_PERIOD = 0.2
#: Seconds that the thread waits for a message before it looks whether its context is shut down.
_WAIT_TIMEOUT = 2.0
#: Seconds for which :meth:`MessageThread.stop` waits.
_JOIN_TIMEOUT = 1.0


class NoExecutorGroup(MutuallyExclusiveCallbackGroup):
    """The callback group of a subscription that the executor does not wait for.

    Nor does it wait for the QoS events of the subscription: with Fast DDS each message that is
    there would end that wait.
    """

    def can_execute(self, entity: Any) -> bool:
        """Return False."""
        return False


class MessageThread:
    """Takes the messages and QoS events of a subscription and calls their callbacks.

    It starts at once, and ends when it is stopped, or the subscription is destroyed.

    :param subscription: with a :class:`NoExecutorGroup`.
    :param on_error: called with the reason, throttled by a LogThrottle, if a message cannot be
        taken or its callback raises. Only that message is lost.
    :param takes: whether messages are to be taken at present. The next message is taken within
        0.2 s after that changes.
    """

    def __init__(self, node: Node, subscription: Subscription, on_error: Callable[[str], None],
                 takes: Callable[[], bool] = lambda: True) -> None:
        self._context, self._subscription = node.context, subscription
        self._on_error, self._takes = on_error, takes
        self._log_throttle = LogThrottle()
        self._stopped = Event()
        self._waiter = MessageWaiter(subscription, node.context)
        self._thread = Thread(target=self._run, name='messages', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the present callback, which is waited for up to 1 s.

        It may be called in the callback, and again.
        """
        self._stopped.set()
        with suppress(InvalidHandle):  # the thread has ended
            self._waiter.wake()
        if current_thread() is not self._thread:
            self._thread.join(_JOIN_TIMEOUT)

    def _run(self) -> None:
        while not self._stopped.is_set() and self._context.ok():
            try:
                if not self._takes():
                    self._stopped.wait(_IDLE_PERIOD)
                # Asked again: during the wait it may have become false.
                elif self._waiter.wait(_WAIT_TIMEOUT) and self._takes():
                    self._take()
            except InvalidHandle:
                break  # the subscription was destroyed
            except Exception as e:  # the thread must not end: no message would be taken any more
                if self._context.ok():
                    self._report(e)
                    self._stopped.wait(_IDLE_PERIOD)
        self._waiter.close()

    def _take(self) -> None:
        try:
            if (message := self._waiter.take()) is not None and not self._stopped.is_set():
                self._subscription.callback(message)
        except InvalidHandle:
            pass  # of what the callback uses; if of the subscription, the next wait raises it
        except Exception as e:
            self._report(e)

    def _report(self, error: Exception) -> None:
        reason = callback_failure(self._subscription.topic_name, error)
        if self._log_throttle.should_log(reason):
            self._on_error(reason)
