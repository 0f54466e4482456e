"""What differs between the releases of rclpy, and every private name of it that is used here.

Run against rclpy 9.1 (Kilted) and 7.1 (Jazzy); written against the sources of 3.3 (Humble) and of
Rolling in 2026 (Lyrical). Each difference is recognized by what rclpy has, not by its version. No
other file of the package uses a name of rclpy that begins with an underscore, or imports
rclpy.impl.
"""
from collections.abc import Callable
from contextlib import ExitStack
import time
from typing import Any, Optional

from rcl_interfaces.msg import SetParametersResult
from rclpy.context import Context
from rclpy.executors import Executor, MultiThreadedExecutor
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from rclpy.task import Task

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

__all__ = ['CompatibleExecutor', 'CompatibleLifecycleNode', 'MessageWaiter',
           'PublisherEventCallbacks', 'RCLError']

#: What the bindings raise for an error of rcl. Only the compiled module defines it.
RCLError = rclpy_implementation.RCLError

#: Seconds from one wait for QoS events to the next.
_EVENTS_PERIOD = 1.0


class CompatibleLifecycleNode(LifecycleNode):
    """A LifecycleNode that behaves the same in every release."""

    #: Only in Humble.
    _post_set_callbacks: tuple[Callable[[list[Parameter]], None], ...] = ()

    def add_post_set_parameters_callback(
            self, callback: Callable[[list[Parameter]], None]) -> None:
        """Call a function with the parameters after each successful change."""
        if hasattr(super(), 'add_post_set_parameters_callback'):
            super().add_post_set_parameters_callback(callback)
        else:
            self._post_set_callbacks += (callback,)

    def _set_parameters_atomically(
            self, parameter_list: list[Parameter], *args: Any, **kwargs: Any
            ) -> SetParametersResult:
        result = super()._set_parameters_atomically(parameter_list, *args, **kwargs)
        if result.successful:
            for callback in self._post_set_callbacks:
                callback(parameter_list)
        return result

    def destroy_node(self) -> None:
        """Destroy the node and its state machine.

        rclpy (Jazzy, Kilted) leaves the state machine, which keeps the node alive: peers discover
        it and call its services for another 20 s.
        """
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def _LifecycleNodeMixin__change_state(  # noqa: N802, rclpy's name
            self, transition_id: int) -> TransitionCallbackReturn:
        # Jazzy raises for a transition that the present state does not have; Kilted returns.
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except RCLError as e:
            self.get_logger().warning(' '.join(str(e).split()))
            return TransitionCallbackReturn.FAILURE


class CompatibleExecutor(MultiThreadedExecutor):
    """A MultiThreadedExecutor whose private hooks have public names."""

    def spin_ready(self, timeout_sec: Any, wait_condition: Callable[[], bool]) -> None:
        """Wait for one ready callback and run it; replaces rclpy's ``_spin_once_impl``.

        :param timeout_sec: as of ``spin_once``.
        :param wait_condition: ends the wait when it returns True.
        """
        super()._spin_once_impl(timeout_sec, wait_condition)

    def guard_take(self, take: Callable) -> Callable:
        """Return what takes a message or request of an entity; wraps rclpy's own.

        :param take: of an entity; returns the coroutine function that runs its callback, or None.
        """
        return take

    def submit(self, function: Callable, *arguments: Any) -> None:
        """Run a function in a worker thread of the pool."""
        self._executor.submit(function, *arguments)

    def shutdown(self, timeout_sec: Optional[float] = None) -> bool:
        """Stop without waiting for running callbacks; Kilted's own waits for them.

        :param timeout_sec: as of ``Executor.shutdown``.
        """
        done = Executor.shutdown(self, timeout_sec)
        self._executor.shutdown(wait=False)
        return done

    def _make_handler(
            self, entity: Any, node: Node, take_from_wait_list: Callable,
            call_coroutine: Optional[Callable] = None) -> Task:
        if call_coroutine is None:
            return super()._make_handler(entity, node, self.guard_take(take_from_wait_list))

        # Humble: what is taken is the second argument of call_coroutine.
        def take(entity: Any) -> Callable:
            taken = take_from_wait_list(entity)
            return lambda: call_coroutine(entity, taken)

        async def call(entity: Any, taken: Callable) -> None:
            await taken()

        return super()._make_handler(entity, node, self.guard_take(take), call)

    def _spin_once_impl(
            self, timeout_sec: Any = None,
            wait_condition: Callable[[], bool] = lambda: False) -> None:
        self.spin_ready(timeout_sec, wait_condition)


class MessageWaiter:
    """Waits for the messages of one subscription without an executor, as ``wait_for_message``.

    :meth:`wait` and :meth:`take` are called from one thread.
    """

    def __init__(self, subscription: Subscription, context: Context) -> None:
        self._subscription = subscription
        self._events = [*subscription.event_handlers]
        #: time.monotonic() from which on events are waited for, too.
        self._events_due = 0.0
        self._wait_set = rclpy_implementation.WaitSet(
            1, 1, 0, 0, 0, len(self._events), context.handle)
        self._guard = GuardCondition(None, None, context)

    def wait(self, timeout: float) -> bool:
        """Wait until there is a message or a QoS event; return whether there is a message.

        The callbacks of QoS events are called. Only one wait in a second is also for events, which
        are rare: each costs 0.1 core-ms more.

        :param timeout: seconds.
        :raises InvalidHandle: if the subscription has been destroyed.
        :raises RCLError: if the context has been shut down.
        """
        handle, wait_set = self._subscription.handle, self._wait_set
        events, now = [], time.monotonic()
        if now >= self._events_due:
            events, self._events_due = self._events, now + _EVENTS_PERIOD
        with ExitStack() as in_use:
            for one in (handle, self._guard.handle, *events):
                in_use.enter_context(one)
            wait_set.clear_entities()
            wait_set.add_subscription(handle)
            wait_set.add_guard_condition(self._guard.handle)
            for event in events:
                event.add_to_wait_set(wait_set)
            wait_set.wait(round(1e9 * timeout))
            for event in events:
                if event.is_ready(wait_set) and (data := event.take_data()):
                    event.callback(data)
            return handle.pointer in wait_set.get_ready_entities('subscription')

    def take(self) -> Optional[Any]:
        """Return the next message, or None if there is none.

        :raises InvalidHandle: if the subscription has been destroyed.
        """
        subscription = self._subscription
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        return taken[0] if taken else None

    def wake(self) -> None:
        """End a wait, from any thread."""
        self._guard.trigger()

    def close(self) -> None:
        """Free the guard condition; nothing waits any more."""
        self._guard.destroy()
