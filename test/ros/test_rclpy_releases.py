"""rclpy_compat against the shapes that rclpy has in Humble, Jazzy, Kilted and Lyrical.

The shapes are those of the sources. Where this rclpy has another one, what is missing there is
removed, or a method gets the arguments that it has there; the rest is the installed rclpy.
"""
import asyncio
from importlib import util
import sys
import time
from types import ModuleType

from gaze_ros.core.parameters import Spec
from gaze_ros.ros.base.parameters import declare_parameters
from gaze_ros.ros.process import rclpy_compat
from helpers.processes import wait_until
import pytest
from rclpy import event_handler, executors
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Task
from std_msgs.msg import String


def load_compat():
    """Return a new copy of the module, which looks at rclpy as it is at the moment."""
    spec = util.spec_from_file_location('compat_copy', rclpy_compat.__file__)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class HumbleExecutor(executors.MultiThreadedExecutor):
    """What is taken is passed to call_coroutine."""

    def _make_handler(self, entity, node, take_from_wait_list, call_coroutine):
        async def handler():
            await call_coroutine(entity, take_from_wait_list(entity))

        return Task(handler, executor=self)


@pytest.fixture
def humble(monkeypatch):
    """Return rclpy_compat as Humble's rclpy makes it."""
    events = ModuleType('rclpy.qos_event')
    events.PublisherEventCallbacks = type('PublisherEventCallbacks', (), {})
    monkeypatch.setitem(sys.modules, 'rclpy.event_handler', None)
    monkeypatch.setitem(sys.modules, 'rclpy.qos_event', events)
    monkeypatch.delattr(Node, 'add_post_set_parameters_callback')
    monkeypatch.setattr(executors, 'MultiThreadedExecutor', HumbleExecutor)
    return load_compat()


def test_event_callbacks_come_from_where_they_are(humble):
    assert humble.PublisherEventCallbacks is sys.modules['rclpy.qos_event'].PublisherEventCallbacks
    assert rclpy_compat.PublisherEventCallbacks is event_handler.PublisherEventCallbacks


@pytest.mark.parametrize('release', ['humble', 'installed'])
def test_parameter_changes_are_reported_after_they_are_set(release, humble):
    module = humble if release == 'humble' else rclpy_compat
    node, changes = module.CompatibleLifecycleNode(f'parameters_{release}'), []
    try:
        specs = (Spec('gain', 1.0, 'A gain.', low=0.0, high=9.0), Spec('name', 'a', 'A name.'))
        values = declare_parameters(node, specs, changes.append, lambda _: None)
        assert values == {'gain': 1.0, 'name': 'a'} and changes == []
        set_results = node.set_parameters([Parameter('gain', value=2.0)])
        assert set_results[0].successful and changes == [{'gain': 2.0}]
        assert not node.set_parameters([Parameter('gain', value=99.0)])[0].successful
        assert node.set_parameters_atomically(
            [Parameter('gain', value=3.0), Parameter('name', value='b')]).successful
        assert changes == [{'gain': 2.0}, {'gain': 3.0, 'name': 'b'}]
        assert node.get_parameter('gain').value == 3.0
    finally:
        node.destroy_node()


def run_handler(module, take, call):
    executor = module.CompatibleExecutor(2)
    try:
        task = executor._make_handler('entity', None, take, call)
        task()
        return task
    finally:
        executor.shutdown(0.0)


def test_humbles_handlers_call_what_they_take(humble):
    called = []

    async def call(entity, taken):
        called.append((entity, taken))

    task = run_handler(humble, lambda entity: f'message of {entity}', call)
    assert task.done() and task.exception() is None
    assert called == [('entity', 'message of entity')]


def test_error_of_humbles_take_reaches_the_task(humble):
    """The guard of SubmitOnceExecutor, on Humble's handlers."""
    from gaze_ros.ros.process.executor import SubmitOnceExecutor

    def take(_):
        raise MemoryError('on purpose')

    async def call(entity, taken):
        pytest.fail('nothing was taken')

    class Guarding(humble.CompatibleExecutor):
        guard_take = SubmitOnceExecutor.guard_take

    executor = Guarding(2)
    task = executor._make_handler('entity', None, take, call)
    task()
    executor.shutdown(0.0)
    with pytest.raises(MemoryError, match='on purpose'):
        task.result()


def test_handlers_of_three_arguments_await_what_is_taken():
    """Jazzy, Kilted and Lyrical: take returns the coroutine function that runs the callback."""
    node, got = Node('three_arguments'), []
    publisher = node.create_publisher(String, 'three/text', 10)

    async def callback(message):
        got.append(message.data)

    node.create_subscription(String, 'three/text', callback, 10,
                             callback_group=MutuallyExclusiveCallbackGroup())
    executor = rclpy_compat.CompatibleExecutor(2)
    executor.add_node(node)

    def answered():
        publisher.publish(String(data='text'))
        executor.spin_once(timeout_sec=0.1)
        return bool(got)

    wait_until(answered, 20, 'the message')
    executor.shutdown(5.0)
    node.destroy_node()
    assert set(got) == {'text'}
    assert asyncio.iscoroutinefunction(callback)


def test_shutdown_does_not_wait_for_running_callbacks():
    """Kilted and Lyrical wait for the threads of the pool by default."""
    executor = rclpy_compat.CompatibleExecutor(2)
    executor.submit(time.sleep, 1.5)
    start = time.monotonic()
    executor.shutdown(0.0)
    assert time.monotonic() - start < 1.0
