"""The states of the nodes, moved from outside as a manager does it."""
import os
from pathlib import Path
import shutil
import signal
import subprocess
from threading import Event, Thread
import time

from builtin_interfaces.msg import Time
from gaze_ros.core.diagnostics.node_status import CameraStatus
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.diagnostics.status import InactiveStatus
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.parameters import COMMON, Spec
from gaze_ros.msg import GazeArray
from gaze_ros.ros.base.lifecycle_node import ManagedNode
from gaze_ros.ros.process.executor import SubmitOnceExecutor
from gaze_ros.ros.process.shutdown import Shutdown
from helpers.processes import Process, running, wait_until
from helpers.ros_client import call_service, get_state, request_transitions, set_parameters
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = (
    Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE)
OF_PIPELINE = ('camera', 'gaze', 'people', 'visualizer')


class Rooms(ManagedNode):
    """A node that notes what is asked of it."""

    SPECS = (*COMMON, Spec('fixed', 1, 'x', 0, 9), Spec('free', 1, 'x', 0, 9, live=True))

    def __init__(self, name):
        self.done, self.hang, self.fail, self.error = [], Event(), '', GazeRosError
        super().__init__(name, self.SPECS, StageStats('Rooms'), Shutdown())

    def status(self):
        return CameraStatus('x')

    def _do(self, what):
        self.done.append(what)
        if self.fail == what:
            self.fail = ''
            raise self.error(f'{what} does not work')

    def configure(self):
        self.create_publisher(Image, 'made', 1)
        self.create_subscription(Image, 'heard', print, 1)
        self.create_service(Trigger, 'asked', print)
        self.create_timer(99.0, print)
        self._do('configure')

    def activate(self):
        self._do('activate')

    def request_stop(self):
        self._do('request_stop')

    def join(self, timeout):
        return not self.hang.is_set()

    def deactivate(self):
        self._do('deactivate')

    def cleanup(self):
        self._do('cleanup')

    def prepare_parameters(self, values):
        self._do('prepare_parameters')
        if values.get('free') == 9:
            raise RuntimeError('nine is too much')

    def apply_parameters(self, values):
        self.done.append(values)
        self._do('apply_parameters')


@pytest.fixture
def rooms():
    """Return such a node, spun until the test ends."""
    node, executor, ending = Rooms('rooms'), SubmitOnceExecutor(3), Event()
    executor.add_node(node)

    def spin():
        while not ending.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = Thread(target=spin)
    thread.start()
    yield node
    ending.set()
    thread.join(5)
    executor.shutdown(5.0)
    node.destroy_node()


def counts(node):
    return [len([*entities]) for entities in (
        node.publishers, node.subscriptions, node.services, node.timers)]


def test_what_make_creates_goes_with_free_and_comes_anew(listener, rooms):
    before = counts(rooms)
    for _ in range(3):
        assert request_transitions(listener, 'rooms', CONFIGURE, ACTIVATE) == [True, True]
        assert counts(rooms) == [n + 1 for n in before]
        assert (rooms.configured, rooms.active) == (True, True)
        assert request_transitions(listener, 'rooms', DEACTIVATE, CLEANUP) == [True, True]
        assert counts(rooms) == before
        assert (rooms.configured, rooms.active) == (False, False)
    assert rooms.done == ['configure', 'activate', 'request_stop', 'deactivate', 'cleanup'] * 3
    assert get_state(listener, 'rooms') == 'unconfigured'


def test_a_start_that_a_signal_breaks_off_leaves_nothing(rooms):
    before = counts(rooms)
    rooms.fail, rooms.error = 'configure', SystemExit
    with pytest.raises(SystemExit):
        rooms.on_configure(None)
    assert rooms.done == ['configure', 'cleanup']
    assert counts(rooms) == before


def test_what_cannot_be_made_leaves_nothing_and_may_be_tried_again(listener, rooms):
    before = counts(rooms)
    rooms.fail = 'configure'
    assert request_transitions(listener, 'rooms', CONFIGURE) == [False]
    assert get_state(listener, 'rooms') == 'unconfigured'
    assert counts(rooms) == before
    assert 'configure does not work' in rooms.stats.last_error
    assert rooms.done == ['configure', 'cleanup']
    rooms.fail = 'activate'
    assert request_transitions(listener, 'rooms', CONFIGURE, ACTIVATE) == [True, False]
    assert get_state(listener, 'rooms') == 'inactive'
    assert not rooms.active
    assert request_transitions(listener, 'rooms', ACTIVATE) == [True]


def test_what_hangs_keeps_its_device_until_it_is_told_again(listener, rooms, monkeypatch):
    monkeypatch.setattr('gaze_ros.ros.base.lifecycle_node._PATIENCE', 0.1)
    assert request_transitions(listener, 'rooms', CONFIGURE, ACTIVATE) == [True, True]
    rooms.hang.set()
    assert request_transitions(listener, 'rooms', DEACTIVATE) == [False]
    assert get_state(listener, 'rooms') == 'active'
    rooms.hang.clear()
    assert request_transitions(listener, 'rooms', DEACTIVATE, CLEANUP) == [True, True]
    assert rooms.done[-1] == 'cleanup'


def test_shutdown_from_any_state_frees_and_is_the_last(listener, rooms):
    assert (
        request_transitions(
            listener, 'rooms', CONFIGURE, ACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN
        )
        == [True] * 3
    )
    assert get_state(listener, 'rooms') == 'finalized'
    assert rooms.done == ['configure', 'activate', 'request_stop', 'deactivate', 'cleanup']
    assert request_transitions(listener, 'rooms', CONFIGURE) == [False]
    told = call_service(listener.node, GetAvailableTransitions, '/rooms/get_available_transitions',
                GetAvailableTransitions.Request())
    assert told.available_transitions == []


def test_no_transition_begins_when_the_process_ends(rooms):
    rooms.shutdown.event.set()
    rooms.trigger_configure()
    assert rooms.done == []
    assert not rooms.configured


def test_parameters_are_prepared_and_changed_only_while_configured(listener, rooms):
    assert set_parameters(listener, 'rooms', fixed=2, free=2, autostart=False) == ''
    assert rooms.done == []
    assert (rooms.values['fixed'], rooms.values['free']) == (2, 2)
    request_transitions(listener, 'rooms', CONFIGURE)
    refused = set_parameters(listener, 'rooms', fixed=3)
    assert refused == (
        'fixed is not taken while the node is configured: change it after cleanup '
        "('ros2 lifecycle set /rooms ...')")
    assert rooms.values['fixed'] == 2
    assert set_parameters(listener, 'rooms', fixed=2) == '', 'that is no change'
    assert set_parameters(listener, 'rooms', free=3) == ''
    assert rooms.done == ['configure', 'prepare_parameters', {'free': 3}, 'apply_parameters']
    # Whatever a runtime raises costs the change, not the process.
    assert set_parameters(listener, 'rooms', free=9) == 'RuntimeError: nine is too much'
    assert rooms.values['free'] == 3
    rooms.fail = 'apply_parameters'
    assert set_parameters(listener, 'rooms', free=4) == ''
    assert get_state(listener, 'rooms') == 'inactive'


def test_two_who_ask_at_once_are_served_one_after_the_other(listener, rooms):
    clients = [listener.node.create_client(ChangeState, '/rooms/change_state') for _ in range(2)]
    assert all(client.wait_for_service(10) for client in clients)
    request = ChangeState.Request(transition=Transition(id=CONFIGURE))
    futures = [client.call_async(request) for client in clients for _ in range(3)]
    wait_until(lambda: all(f.done() for f in futures), 10, 'six answers')
    assert sorted(f.result().success for f in futures) == [False] * 5 + [True]
    assert rooms.done == ['configure']


def test_the_diagnostics_may_ask_at_any_time(listener, rooms):
    asked, ending = [], Event()

    def ask():
        while not ending.is_set():
            facts, _ = rooms.diagnostic_state()
            asked.append((type(facts).__name__, getattr(facts, 'configured', None)))

    thread = Thread(target=ask)
    thread.start()
    for _ in range(5):
        assert all(
            request_transitions(listener, 'rooms', CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP)
        )
    ending.set()
    thread.join(5)
    assert {('InactiveStatus', False), ('InactiveStatus', True), ('CameraStatus', None)} == set(asked)


def test_while_it_is_moved_or_changed_nobody_is_told_to_move_it(listener, rooms, monkeypatch):
    entered, go_on = Event(), Event()

    def slowly(*_):
        entered.set()
        assert go_on.wait(10)

    def during(name, ask):
        """Return what is told while a room is slow."""
        entered.clear()
        go_on.clear()
        with monkeypatch.context() as patch:
            patch.setattr(rooms, name, slowly)
            thread = Thread(target=ask)
            thread.start()
            assert entered.wait(10)
            told = rooms.diagnostic_state()
            go_on.set()
            thread.join(10)
        return told

    for name, ask in (
            ('configure', rooms.trigger_configure), ('activate', rooms.trigger_activate)):
        facts, _ = during(name, ask)
        assert facts == InactiveStatus(name == 'activate', in_transition=True)
    last = rooms.diagnostic_state()
    assert isinstance(last[0], CameraStatus)
    assert during('apply_parameters', lambda: set_parameters(listener, 'rooms', free=5)) == last
    facts, _ = during('request_stop', rooms.trigger_deactivate)
    assert facts == InactiveStatus(True, in_transition=True)
    assert rooms.diagnostic_state() == (InactiveStatus(True), '')


def test_what_begins_as_the_process_ends_is_told_to_end(rooms, monkeypatch):
    begins, go_on = Event(), Event()

    def begin():
        begins.set()
        assert go_on.wait(10)
        rooms.done.append('activate')

    monkeypatch.setattr(rooms, 'activate', begin)
    rooms.trigger_configure()
    beginning = Thread(target=rooms.trigger_activate)
    beginning.start()
    assert begins.wait(10)
    rooms.shutdown.event.set()
    rooms.request_stop()
    closing = Thread(target=rooms.close, args=(10.0,))
    closing.start()
    go_on.set()
    beginning.join(10)
    closing.join(10)
    assert rooms.done == ['configure', 'request_stop', 'activate', 'request_stop', 'deactivate', 'cleanup']
    assert not rooms.active


def test_the_time_of_a_clock_goes_on_through_the_states(listener, rooms):
    clock = listener.node.create_publisher(Clock, '/clock', 10)

    def comes(second):
        def is_it():
            clock.publish(Clock(clock=Time(sec=second)))
            return rooms.get_clock().now().nanoseconds == 1_000_000_000 * second
        wait_until(is_it, 10, f'{second} s')

    assert all(request_transitions(listener, 'rooms', CONFIGURE, ACTIVATE))
    assert set_parameters(listener, 'rooms', use_sim_time=True) == ''
    comes(100)
    before = counts(rooms)
    assert all(request_transitions(listener, 'rooms', DEACTIVATE, CLEANUP))
    comes(200)
    rooms.fail = 'configure'
    assert request_transitions(listener, 'rooms', CONFIGURE) == [False]
    comes(300)
    assert all(request_transitions(listener, 'rooms', CONFIGURE, ACTIVATE))
    comes(400)
    assert counts(rooms) == before


# The real nodes.

@pytest.mark.parametrize('name', OF_PIPELINE)
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
    ('camera', {'source': '/nowhere.mp4'}, "source '/nowhere.mp4' is no file", {
        'source': 'sample'}),
    ('gaze', {'model': 'resnet18'}, 'resnet18.pt', {'model': 'mediapipe'}),
    ('visualizer', {'output': 'a.gif'}, "output 'a.gif'", {'output': ''})])
def test_what_a_manager_cannot_configure_says_why_and_lives_on(
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
def test_who_has_ended_is_gone_at_once(listener, more, code):
    # Else a manager would ask the one that was, which answers no more, for the 20 s of its lease.
    def seen():
        names = [name for name, _ in listener.node.get_service_names_and_types()]
        return [name for name in names if name.startswith(('/camera/', '/gaze/', '/people/'))]

    process = Process('pipeline', 'source:=sample', *more)
    if not code:
        wait_until(lambda: len(seen()) > 30, 40, 'the services')
        process.send(signal.SIGINT)
    assert process.end(40) == code, process.text
    wait_until(lambda: not seen(), 3, 'that nothing of it is seen')


def threads_and_files(process):
    task = Path('/proc') / str(process.pid)
    return len(list((task / 'task').iterdir())), len(list((task / 'fd').iterdir()))


def test_all_nodes_go_through_their_states_again_and_again_and_nothing_is_left(listener):
    gazes = listener.subscribe(GazeArray, '/gaze', lambda m: len(m.gazes))
    with running('pipeline', 'source:=sample') as process:
        def cycle():
            for name in OF_PIPELINE:
                assert request_transitions(listener, name, DEACTIVATE, CLEANUP) == [True, True], (
                    name
                )
            before = len(gazes)
            time.sleep(0.3)
            assert len(gazes) == before, 'nothing is told while nobody is active'
            for name in reversed(OF_PIPELINE):
                assert request_transitions(listener, name, CONFIGURE, ACTIVATE) == [True, True], (
                    name
                )
            wait_until(lambda: len(gazes) > before + 5 and gazes[-1], 20, 'gaze')

        wait_until(lambda: gazes and gazes[-1], 40, 'gaze')
        cycle()

        def grow():
            """Return how many threads and files three rounds leave, when those that end have."""
            before = threads_and_files(process)
            for _ in range(3):
                cycle()
            counts = [threads_and_files(process)]
            until = time.monotonic() + 2
            while counts[-1] > before and time.monotonic() < until:
                time.sleep(0.1)
                counts.append(threads_and_files(process))
            return tuple(min(one) - was for one, was in zip(zip(*counts), before))

        # The executor starts a worker when more callbacks come at once than before, 10 at most:
        # a busy machine sees some of them late, but never three in each of three times three
        # rounds. What a round leaves behind, each does.
        grown = []
        while not grown or grown[-1][0] > 2 or grown[-1][1] > 4:
            assert len(grown) < 3, grown
            grown.append(grow())
        # A second manager, and what is no transition of this state.
        assert request_transitions(listener, 'gaze', ACTIVATE, CONFIGURE, CLEANUP) == [False] * 3
        assert [get_state(listener, name) for name in OF_PIPELINE] == ['active'] * 4
    assert process.text.count('publishing') == 2 + 3 * len(grown)


def test_the_rest_works_while_one_is_not_active(listener):
    gazes = listener.subscribe(GazeArray, '/gaze', lambda m: m.header.stamp.sec)
    shown = listener.subscribe(Image, '/gaze/image_annotated', lambda m: m.header.stamp.sec)
    with running('pipeline', 'source:=sample'):
        wait_until(lambda: shown and gazes, 40, 'pictures')
        assert request_transitions(listener, 'visualizer', DEACTIVATE) == [True]
        time.sleep(0.3)
        before = len(gazes), len(shown)
        wait_until(lambda: len(gazes) > before[0] + 10, 20, 'gaze without the visualizer')
        assert len(shown) == before[1]
        assert request_transitions(listener, 'visualizer', ACTIVATE) == [True]
        wait_until(lambda: len(shown) > before[1] + 5, 20, 'pictures')


@pytest.mark.skipif(not (shutil.which('Xvfb') and shutil.which('xdotool')),
                    reason='needs Xvfb and xdotool: not installed')
def test_a_window_comes_and_goes_with_the_node(listener):
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
                wait_until(lambda: not shown(), 20, 'that there is none')
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
def test_a_signal_during_a_transition_ends_in_order(listener, after):
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
