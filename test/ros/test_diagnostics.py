from importlib import import_module
from itertools import dropwhile
import re
from threading import Thread
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from gaze_ros.core.diagnostics import checks
from gaze_ros.core.diagnostics.node_status import CameraStatus, InferenceStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.parameters import COMMON
from gaze_ros.core.pipeline.worker import Worker
from gaze_ros.core.system.resources import share_path
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base import diagnostics
from gaze_ros.ros.base.diagnostics import input_topics, uses_sim_time
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.image_transport import subscribe_images
from gaze_ros.ros.nodes.camera_node import CameraNode
from gaze_ros.ros.nodes.visualizer_node import VisualizerNode
from gaze_ros.ros.process import runtime
from gaze_ros.ros.process.executor import SubmitOnceExecutor
from gaze_ros.ros.process.shutdown import Shutdown
from helpers.processes import running, wait_until
from helpers.ros_client import call_service, DiagnosticsProbe
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
import yaml

STALE, OK, WARN, ERROR = (
    DiagnosticStatus.STALE, DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)


class ReportingNode(ManagedNode):
    """A node whose status the test gives."""

    hardware_id = 'sample'

    def __init__(self, name, task, status):
        super().__init__(name, COMMON, StageStats(task), Shutdown())
        self._status = status

    def status(self):
        return self._status(self) if callable(self._status) else self._status


@pytest.fixture
def spun():
    """Return a function that spins a node until the test ends."""
    executor = SubmitOnceExecutor(2)
    nodes = []
    ending = []

    def add(node):
        nodes.append(node)
        executor.add_node(node)
        return node

    def spin():
        while not ending:
            executor.spin_once(timeout_sec=0.1)

    thread = Thread(target=spin)
    thread.start()
    yield add
    ending.append(True)
    thread.join(5)
    executor.shutdown(5.0)  # waits for what still runs
    for node in nodes:
        node.request_stop()
        node.close(2.0)
        node.destroy_node()


@pytest.fixture
def quick(monkeypatch):
    """Publish diagnostics ten times a second."""
    monkeypatch.setattr(diagnostics, '_PERIOD', 0.1)
    monkeypatch.setattr(checks, 'STARTUP_GRACE', 0.3)


def flow(stage, condition, what, age=0.01, drop=0):
    """Count processed images at 100 Hz until a condition holds."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, what()
        stage.received()
        stage.processed(age, 0.005)
        for _ in range(drop):
            stage.received()
            stage.dropped('newer')
        time.sleep(0.01)


def activate(node):
    node.trigger_configure()
    node.trigger_activate()


def put(listener, node, name, value):
    """Set a parameter as ``ros2 param set`` does; return the answer."""
    request = SetParameters.Request(
        parameters=[Parameter(name, value=value).to_parameter_msg()])
    return call_service(listener.node, SetParameters, f'{node}/set_parameters', request).results[0]


@pytest.mark.parametrize('sim_time', [False, True])
def test_one_status_per_second_even_without_clock(listener, spun, sim_time):
    name = f'reports_{sim_time}'
    statuses = DiagnosticsProbe(listener, f'{name}: Camera')
    node = spun(ReportingNode(
        name, 'Camera', CameraStatus(source='sample', expected_rate=30.0, live=False)))
    node.set_parameters([Parameter('use_sim_time', value=sim_time)])
    assert uses_sim_time(node) is sim_time
    activate(node)
    start = time.monotonic()
    flow(node.stats, lambda: len(statuses.all) >= 3, lambda: statuses.all)
    assert time.monotonic() - start > 1.9
    if sim_time:
        assert statuses.last.level == WARN
        assert statuses.last.message.startswith('no /clock: use_sim_time is set')
    else:
        assert statuses.last.level == OK
        assert statuses.last.message.endswith('images/s, 10 ms old')
    assert statuses.last.hardware_id == 'sample'
    assert float(statuses.values['rate [Hz]']) > 10
    assert statuses.values['source'] == 'sample'
    assert statuses.values['also'] == ''
    assert (statuses.all[-1].header.stamp.sec == 0) is sim_time
    infos = listener.node.get_publishers_info_by_topic('/diagnostics')
    assert ReliabilityPolicy.RELIABLE in [
        info.qos_profile.reliability for info in infos if info.node_name == name]


def test_node_destroyed_meanwhile_is_not_an_error(monkeypatch):
    monkeypatch.setattr(diagnostics, '_PERIOD', 0.02)
    executor = SubmitOnceExecutor(2)
    asked = []

    def status(node):
        asked.append(True)
        executor.remove_node(node)
        node.destroy_node()
        return CameraStatus(source='0')

    node = ReportingNode('goes', 'Camera', status)
    activate(node)
    executor.add_node(node)
    for _ in range(20):
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown(5.0)
    assert asked == [True]


def test_level_follows_the_state(listener, spun, quick):
    statuses = DiagnosticsProbe(listener, 'starves: Inference')
    readers = []
    node = spun(ReportingNode(
        'starves', 'Inference', lambda node: InferenceStatus(inputs=input_topics(node, *readers))))
    readers.append(subscribe_images(
        node, topics.IMAGE, lambda _: None))
    statuses.wait(STALE, 'waiting: the node is unconfigured: configure it')
    assert statuses.last.hardware_id == 'none'
    node.trigger_configure()
    statuses.wait(STALE, 'waiting: the node is inactive: activate it')
    assert statuses.last.hardware_id == 'sample'
    node.trigger_activate()
    statuses.wait(ERROR, 'no publisher: /camera/image_raw;')
    node.create_publisher(Image, topics.IMAGE, topics.default_qos())
    statuses.wait(ERROR, 'no messages: on /camera/image_raw (1 pub')
    flow(node.stats, lambda: statuses.has_status(OK, 'images/s, 10 ms old'), lambda: statuses.last)
    flow(node.stats, lambda: statuses.has_status(WARN, 'slow: '), lambda: statuses.last, drop=5)
    statuses.wait(ERROR, 'no messages')
    node.trigger_deactivate()
    statuses.wait(STALE, 'inactive')
    readers[0].destroy()


def test_thresholds_change_while_the_node_runs(listener, spun, quick):
    statuses = DiagnosticsProbe(listener, 'limited: Inference')
    node = spun(ReportingNode('limited', 'Inference', InferenceStatus()))
    activate(node)

    def becomes(level, words):
        flow(node.stats, lambda: statuses.has_status(level, words), lambda: statuses.last, age=0.2)

    becomes(OK, '200 ms old')
    for name, value, level, words in (
            ('warn_age', 0.1, WARN,
             'results are late: the p95 latency of 200 ms exceeds warn_age (0.1'),
            ('error_age', 0.15, ERROR, 'error_age (0.15 s)'), ('error_age', 0.0, WARN, 'late'),
            ('warn_age', 1.0, OK, ''),
            ('warn_rate', 200.0, WARN, 'the rate is low: '),
            ('error_rate', 150.0, ERROR, 'below error_rate (150)'),
            ('error_rate', 0.0, WARN, 'below warn_rate (200)'), ('warn_rate', 0.0, OK, '')):
        assert put(listener, 'limited', name, value).successful
        becomes(level, words)
        key = f'{name} [{"s" if name.endswith("age") else "Hz"}]'
        assert statuses.values[key] == f'{value:g}'
    for name, value in (('warn_age', -1.0), ('error_rate', 1e9), ('warn_rate', 'many')):
        refused = put(listener, 'limited', name, value)
        assert not refused.successful
        assert name in refused.reason


def test_waiting_time_lowers_no_rate(listener, spun, quick):
    """Neither waiting for the first image nor the time while inactive."""
    statuses = DiagnosticsProbe(listener, 'waits: Inference')
    node = spun(ReportingNode('waits', 'Inference', InferenceStatus()))
    node.set_parameters([Parameter('warn_rate', value=40.0)])
    activate(node)

    def levels():
        """Return the levels after the period of the first image, and deactivate the node."""
        statuses.wait(ERROR, 'no messages')
        before = len(statuses.all)
        flow(node.stats, lambda: statuses.has_status(OK), lambda: statuses.last)
        count = len(statuses.all)
        flow(node.stats, lambda: len(statuses.all) > count + 8, lambda: statuses.last)
        found = [message.status[0].level for message in statuses.all[before:]]
        node.trigger_deactivate()
        statuses.wait(STALE, 'inactive')
        node.trigger_activate()
        return [*dropwhile(lambda level: level == ERROR, found)][1:]

    # STALE: this thread was not scheduled for one period, so nothing came within it. A longer
    # pause lowers the rate as well; waiting time that counts would lower it in each round.
    for _ in range(2):
        assert any({*levels()} <= {OK, STALE} for _ in range(10))


def test_last_error_is_kept(listener, spun, quick):
    statuses = DiagnosticsProbe(listener, 'fails: Inference')
    node = spun(ReportingNode('fails', 'Inference', InferenceStatus()))
    activate(node)

    def work(item):
        raise ValueError(f'no  encoding\n{item}')

    worker = Worker('x', work, node.stats, print)
    worker.start()
    flow(node.stats, lambda: statuses.has_status(OK), lambda: statuses.last)
    assert statuses.values['last error'] == ''
    worker.submit('rgb9')
    flow(node.stats, lambda: statuses.has_status(WARN, 'images fail: 1 in'), lambda: statuses.last)
    flow(node.stats, lambda: statuses.has_status(OK), lambda: statuses.last)
    assert re.fullmatch(r'no encoding rgb9 \(\d s ago\)', statuses.values['last error'])
    node.trigger_deactivate()
    statuses.wait(STALE)
    assert statuses.values['last error'].startswith('no encoding rgb9 (')
    worker.request_stop()


def test_camera_reports_why_it_cannot_be_configured(listener, spun, quick):
    statuses = DiagnosticsProbe(listener, 'camera: Camera')
    node = spun(CameraNode(Shutdown()))
    node.set_parameters([Parameter('source', value='nowhere.mp4')])
    node.trigger_configure()
    wait_until(lambda: 'nowhere.mp4' in statuses.values.get('last error', ''), 10, 'last error')
    assert statuses.has_status(STALE, 'unconfigured')


def test_visualizer_reports_an_image_it_cannot_draw(listener, spun, quick):
    statuses = DiagnosticsProbe(listener, 'visualizer: Display')
    node = spun(VisualizerNode(Shutdown()))
    activate(node)
    listener.subscribe(Image, topics.IMAGE_ANNOTATED)
    image = Image(width=4, height=4, step=4, encoding='rgb9', data=bytes(16))
    gaze = GazeArray()
    images = listener.node.create_publisher(Image, topics.IMAGE, topics.default_qos())
    gazes = listener.node.create_publisher(GazeArray, topics.GAZE, topics.default_qos())
    end = time.monotonic() + 15
    while 'rgb9' not in statuses.values.get('last error', ''):
        assert time.monotonic() < end, statuses.last
        image.header.stamp = gaze.header.stamp = listener.node.get_clock().now().to_msg()
        images.publish(image)
        gazes.publish(gaze)
        time.sleep(0.05)
    statuses.wait(ERROR, 'images fail')


def analyzers():
    """Return the analyzers below Gaze in config/diagnostics.yaml, by path."""
    with open(share_path('config') / 'diagnostics.yaml', encoding='utf-8') as file:
        group = yaml.safe_load(file)['/**']['ros__parameters']['gaze']
    assert (group['type'], group['path']) == ('diagnostic_aggregator/AnalyzerGroup', 'Gaze')
    found = {one['path']: one for one in group['analyzers'].values()}
    for one in found.values():
        assert one['type'] == 'diagnostic_aggregator/GenericAnalyzer'
        assert one.keys() <= {'type', 'path', 'regex', 'discard_stale'}
    return found


def groups_of(name):
    """Return the groups of a status: a pattern has to match its whole name."""
    return [path for path, one in analyzers().items()
            if any(re.fullmatch(pattern, name) for pattern in one['regex'])]


def test_aggregator_puts_every_node_in_one_group(listener, spun, quick):
    heard = listener.subscribe(DiagnosticArray, '/diagnostics')
    for module, cls in runtime.NODES.values():
        spun(getattr(import_module(f'gaze_ros.ros.nodes.{module}'), cls)(Shutdown()))
    wanted = {'camera: Camera': ['Camera'], 'replay: Replay': ['Camera'],
              'gaze: Inference': ['Inference'], 'visualizer: Display': ['Display'],
              'people: People': ['People'], 'recorder: Recorder': ['Recorder']}
    wait_until(lambda: len({m.status[0].name for m in [*heard]}) >= len(runtime.NODES), 10, 'all')
    assert {name: groups_of(name) for name in {m.status[0].name for m in heard}} == wanted


def test_aggregator_finds_nodes_in_a_namespace(listener):
    heard = listener.subscribe(DiagnosticArray, '/diagnostics')
    wanted = {'robot1/front/camera: Camera': ['Camera'],
              'robot1/front/gaze: Inference': ['Inference'],
              'robot1/front/visualizer: Display': ['Display'],
              'robot1/front/people: People': ['People']}
    with running('pipeline', 'autostart:=false', more=('-r', '__ns:=/robot1/front')):
        wait_until(lambda: {m.status[0].name for m in [*heard]} >= wanted.keys(), 30, 'all four')
    assert {name: groups_of(name) for name in {m.status[0].name for m in heard}} == wanted


def test_aggregator_ignores_other_statuses():
    for name in ('usb_cam: Camera', 'thermal_camera: Camera', 'gaze: Inference 2',
                 'robot1/visualizer', 'camera: Camera: Frequency'):
        assert groups_of(name) == []
