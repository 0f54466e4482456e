"""Subscriptions take the messages of other processes in a thread of their own."""
from threading import enumerate as threads
from threading import Event

from builtin_interfaces.msg import Time
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.intra_process import IntraProcessSubscription
from gaze_ros.ros.process.executor import SubmitOnceExecutor
from helpers.processes import wait_until
import pytest
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


def message(number: int, model: str = '') -> CameraInfo:
    return CameraInfo(
        header=Header(stamp=Time(sec=7, nanosec=number)), distortion_model=model)


@pytest.fixture
def node(ros):
    node = Node('test_intra_process')
    yield node
    node.destroy_node()


@pytest.fixture
def subscribe(node):
    """Return a function that subscribes, and the publisher of each topic as a process has it."""
    subscriptions = []

    def subscribe(topic, callback, **options):
        foreign = topics.create_publisher(node, CameraInfo, topic, topics.reliable_qos(50))
        subscriptions.append(IntraProcessSubscription(
            node, CameraInfo, topic, callback, **options))
        wait_until(lambda: foreign.get_subscription_count() == 1, 20, 'discovery')
        wait_until(lambda: node.count_publishers(topic) == 1, 20, 'discovery')
        return subscriptions[-1], foreign

    yield subscribe
    for subscription in subscriptions:
        subscription.destroy()


def test_messages_are_taken_once_and_without_an_executor(node, subscribe):
    got = []
    _, foreign = subscribe('taken', lambda m: got.append(m.header.stamp.nanosec))
    foreign.publish(message(1))
    wait_until(lambda: got == [1], 20, 'the message')
    executor = SubmitOnceExecutor(2)
    executor.add_node(node)
    for number in range(2, 20):
        foreign.publish(message(number))
        executor.spin_once(timeout_sec=0.01)
        wait_until(lambda number=number: got[-1] == number, 20, 'the message')
    executor.shutdown(5.0)
    assert got == [*range(1, 20)]


def test_failed_callback_costs_its_message_and_is_reported_once(subscribe):
    called, got, reported = [], [], []

    def take(one):
        called.append(one)
        if one.distortion_model:
            raise ZeroDivisionError(one.distortion_model)
        got.append(one.header.stamp.nanosec)

    _, foreign = subscribe('failing', take, on_error=reported.append)
    for number, model in enumerate(['', 'on purpose', 'on purpose', '']):
        foreign.publish(message(number, model))
        # One by one: best effort with depth 2 keeps no more.
        wait_until(lambda number=number: len(called) == number + 1, 20, 'the message')
    wait_until(lambda: got == [0, 3], 20, 'the last message')
    reason, = reported
    assert reason.startswith('callback of /failing failed: ZeroDivisionError: on purpose (')
    assert 'test_intra_process.py:' in reason


def test_thread_survives_what_its_callbacks_raise(node, subscribe):
    """Also an error of rclpy that would end it if the subscription had been destroyed."""
    gone = node.create_publisher(CameraInfo, 'gone', 1)
    node.destroy_publisher(gone)
    asked, got, reported = [], [], []

    def needed():
        asked.append(True)
        if len(asked) < 3:
            raise ZeroDivisionError('on purpose')
        return True

    def take(one):
        got.append(one.header.stamp.nanosec)
        if len(got) == 1:
            gone.publish(one)

    _, foreign = subscribe('surviving', take, needed=needed, on_error=reported.append)
    wait_until(lambda: len(asked) >= 3, 20, 'another look')
    for number in (1, 2):
        foreign.publish(message(number))
        wait_until(lambda number=number: got[-1:] == [number], 20, 'the message')
    reason, = reported
    assert 'ZeroDivisionError: on purpose' in reason


def test_messages_that_nobody_needs_are_not_taken(subscribe):
    needed, got, wrapped = Event(), [], []

    def wrap(one):
        wrapped.append(one)
        return one

    _, foreign = subscribe('unneeded', got.append, wrap=wrap, needed=needed.is_set)
    for number in range(20):
        foreign.publish(message(number))
    assert not wrapped
    needed.set()

    def heard():
        foreign.publish(message(99))
        return 99 in [one.header.stamp.nanosec for one in got]

    wait_until(heard, 20, 'a message')
    # Of those before, the middleware has kept two.
    assert len([one for one in wrapped if one.header.stamp.nanosec < 99]) <= 2


def test_no_message_and_no_thread_after_destroy(node, subscribe):
    started, go_on, got = Event(), Event(), []

    def take(one):
        got.append(one)
        started.set()
        go_on.wait(0.2)

    subscription, foreign = subscribe('destroyed', take)
    foreign.publish(message(1))
    assert started.wait(20)
    before = {thread for thread in threads() if thread.name == 'messages'}
    subscription.destroy()  # waits for the callback
    count = len(got)
    foreign.publish(message(2))
    wait_until(lambda: len(before - {*threads()}) == 1, 20, 'the end of the thread')
    assert len(got) == count
    assert not [*node.subscriptions]
    subscription.destroy()  # again: nothing happens


def test_subscription_may_be_destroyed_in_its_callback(node, subscribe):
    destroyed = Event()

    def take(_):
        subscription.destroy()
        destroyed.set()

    subscription, foreign = subscribe('destroyed_within', take)
    foreign.publish(message(1))
    assert destroyed.wait(20)


def test_node_destroyed_before_its_subscription_ends_the_thread(ros):
    node = Node('test_destroyed_first')
    before = {*threads()}
    subscription = IntraProcessSubscription(node, CameraInfo, 'destroyed_first', print)
    thread, = [one for one in threads() if one not in before and one.name == 'messages']
    node.destroy_node()
    wait_until(lambda: not thread.is_alive(), 20, 'the end of the thread')
    subscription.destroy()


def test_publisher_of_incompatible_qos_is_reported(node, capfd):
    topics.create_publisher(node, CameraInfo, 'incompatible', topics.default_qos())
    subscription = IntraProcessSubscription(
        node, CameraInfo, 'incompatible', print, reliability=ReliabilityPolicy.RELIABLE)
    heard = []

    def reported():
        heard.append(capfd.readouterr().err)
        return 'incompatible QoS' in ''.join(heard)

    wait_until(reported, 20, 'the warning')
    subscription.destroy()
