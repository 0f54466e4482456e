from threading import Thread
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from gaze_ros.core import health
from gaze_ros.core.facts import CameraFacts, InferenceFacts
from gaze_ros.core.stage import Stage
from gaze_ros.ros import diagnostics, topics
from gaze_ros.ros.diagnostics import Diagnostics, in_sim_time, inputs
from gaze_ros.ros.executor import OnceExecutor
from gaze_ros.ros.images import subscribe_images
import pytest
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
from support import wait_until


@pytest.fixture
def spun():
    """Return what makes nodes that are spun until the test ends."""
    executor = OnceExecutor(2)
    nodes = []
    ending = []

    def make(name, **words):
        nodes.append(Node(name, **words))
        executor.add_node(nodes[-1])
        return nodes[-1]

    def spin():
        while not ending:
            executor.spin_once(timeout_sec=0.1)

    thread = Thread(target=spin)
    thread.start()
    yield make
    ending.append(True)
    thread.join(5)
    executor.shutdown(5.0)  # waits for what still runs
    for node in nodes:
        node.destroy_node()


def of(heard, name):
    return [m.status[0] for m in heard if m.status[0].name == name]


@pytest.mark.parametrize('sim_time', [False, True])
def test_one_status_a_second_even_where_no_clock_comes(listener, spun, sim_time):
    heard = listener.hear(DiagnosticArray, '/diagnostics')
    node = spun('tells', namespace='/robot1', parameter_overrides=[
        Parameter('use_sim_time', value=sim_time)])
    assert in_sim_time(node) is sim_time
    stage = Stage('Camera')
    Diagnostics(node, stage, 'sample', lambda: CameraFacts('sample', 30.0, live=False))
    name = 'robot1/tells: Camera'
    start = time.monotonic()
    while len(of(heard, name)) < 3:
        assert time.monotonic() < start + 20
        stage.come()
        stage.done(0.01, 0.005)
        time.sleep(1 / 30)
    assert time.monotonic() - start > 1.9
    status = of(heard, name)[-1]
    assert status.level == DiagnosticStatus.OK
    assert status.message.endswith('pictures/s, 10 ms old')
    assert status.hardware_id == 'sample'
    told = {value.key: value.value for value in status.values}
    assert float(told['rate [Hz]']) > 10
    assert told['source'] == 'sample'
    assert told['also'] == ''
    stamped = [m.header.stamp.sec for m in heard if m.status[0].name == name]
    assert (stamped[-1] == 0) is sim_time
    infos = listener.node.get_publishers_info_by_topic('/diagnostics')
    assert ReliabilityPolicy.RELIABLE in [
        info.qos_profile.reliability for info in infos if info.node_name == 'tells']


def test_a_node_that_goes_meanwhile_is_no_failure(monkeypatch):
    monkeypatch.setattr(diagnostics, '_PERIOD', 0.02)
    node = Node('goes')
    executor = OnceExecutor(2)
    executor.add_node(node)
    asked = []

    def facts():
        asked.append(True)
        executor.remove_node(node)
        node.destroy_node()
        return CameraFacts('0')

    Diagnostics(node, Stage('Camera'), '', facts)
    for _ in range(20):
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown(5.0)
    assert asked == [True]


def test_the_level_follows_what_happens(listener, spun, monkeypatch):
    monkeypatch.setattr(diagnostics, '_PERIOD', 0.1)
    monkeypatch.setattr(health, 'PATIENCE', 0.3)
    heard = listener.hear(DiagnosticArray, '/diagnostics')
    node = spun('starves', cli_args=['--ros-args', '-r', 'camera/image_raw:=front/image'])
    stage = Stage('Inference')
    reader = subscribe_images(
        node, topics.IMAGE, lambda _: None, MutuallyExclusiveCallbackGroup())
    Diagnostics(node, stage, 'adas', lambda: InferenceFacts(inputs(node, reader)))
    name = 'starves: Inference'

    def last():
        statuses = of(heard, name)
        return (statuses[-1].level, statuses[-1].message) if statuses else (None, '')

    def says(level, words):
        return lambda: last()[0] == level and words in last()[1]

    wait_until(says(DiagnosticStatus.ERROR, 'nothing publishes: /front/image;'), 10, 'no topic')
    node.create_publisher(Image, '/front/image', topics.qos())
    wait_until(says(DiagnosticStatus.ERROR, 'nothing arrives: on /front/image (1 pub'), 10,
               'no picture')

    def work(condition, drop=0):
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, last()
            stage.come()
            stage.done(0.01, 0.005)
            for _ in range(drop):
                stage.come()
                stage.drop('newer')
            time.sleep(0.01)

    work(says(DiagnosticStatus.OK, 'pictures/s, 10 ms old'))
    work(says(DiagnosticStatus.WARN, 'slow: '), drop=5)
    wait_until(says(DiagnosticStatus.ERROR, 'nothing arrives'), 10, 'starvation')
    reader.end()
