"""Shutdown by signals, keys and failures. Exit code 0 means an orderly end within 2 s."""
from contextlib import suppress
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
from gaze_ros.ros.process.shutdown import GRACE_PERIOD
from helpers.processes import BIN, handles_sigterm, Process, running, wait_until
from helpers.virtual_cameras import network_camera
import psutil
import pytest
from sensor_msgs.msg import Image


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('moment', [0.0, 0.5, 1.0, 'running'])
def test_signal_at_any_moment_shuts_down_in_order(number, moment, tmp_path):
    output = tmp_path / 'out.mp4'
    process = Process('pipeline', 'source:=sample', f'output:={output}')
    if moment == 'running':
        process.wait_for('Overall FPS')
    else:
        wait_until(lambda: handles_sigterm(process.pid), 30, 'signal handlers')
        time.sleep(moment)
    process.send(number)
    assert process.end() == 0, process.text
    assert 'Traceback' not in process.text
    assert 'not ended' not in process.text
    if moment == 'running':
        video = cv2.VideoCapture(str(output))
        assert video.isOpened()
        assert video.read()[0]


def test_hanging_camera_read_does_not_block_shutdown(listener):
    images = listener.subscribe(Image, '/camera/image_raw', lambda m: m.width)
    with network_camera() as camera:
        process = Process('pipeline', f'source:=http://127.0.0.1:{camera.port}/')
        wait_until(lambda: images, 40, 'an image')
        camera.mode = 'stall'
        time.sleep(1.0)  # until the read hangs
        process.send(signal.SIGINT)
        assert process.end() == 0, process.text
    assert 'not ended' not in process.text


@pytest.mark.parametrize('words,reason', [
    (['sample'], "unknown argument 'sample'"), (['--help'], '--ros-args -p NAME:=VALUE'),
    (['--ros-args', '--params-file', '/nowhere.yaml'], '/nowhere.yaml'),
    (['--ros-args', '-p', 'source'], 'source')])
def test_unknown_arguments_are_reported(words, reason):
    done = subprocess.run([BIN / 'camera_node', *words], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode in (1, 2)
    assert reason in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('node', [
    'camera_node', 'gaze_node', 'visualizer_node', 'people_node'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_each_node_exits_on_two_signals(node, number):
    process = Process(node, 'source:=sample')
    time.sleep(2.5)
    process.send(number)
    process.send(number)
    assert process.end() == 0, process.text
    assert 'Traceback' not in process.text


@pytest.mark.parametrize('words,reason', [
    (('camera_node', 'source:=/nowhere.mp4'), "source '/nowhere.mp4' is not a file, folder"),
    (('camera_node', 'source:=97'), "source '97' cannot be opened"),
    (('camera_node', 'source:=sample', 'camera_info_url:=/nowhere.yaml'), '/nowhere.yaml'),
    (('camera_node', 'rate:=-1.0'), 'rate'),
    (('gaze_node', 'model:=resnet99'), "model 'resnet99' is not one of: auto, fused"),
    (('gaze_node', 'model:=resnet18'), 'resnet18.pt'),
    (('gaze_node', 'model:=resnet18', 'weight:=/nowhere.pt'), "weight '/nowhere.pt'"),
    (('gaze_node', 'weight:=123'), '''must be a text, not 123: quote it, weight:="'123'"'''),
    (('gaze_node', 'weight:=/nowhere.pt'), 'set model to the one the file belongs to'),
    (('gaze_node', 'detector:=yunet'), 'detector_weight'),
    (('gaze_node', 'track_prefix:="1"'), 'track_prefix'),
    (('visualizer_node', 'output:=image.gif'), "output 'image.gif'"),
    (('visualizer_node', 'output:=/proc/nowhere/out.mp4'), "output '/proc/nowhere/out.mp4'"),
    (('pipeline', 'source:=/nowhere.mp4'), "source '/nowhere.mp4' is not a file, folder"),
])
def test_invalid_settings_end_with_one_clear_line(words, reason):
    process = Process(*words)
    assert process.end(40) == 1, process.text
    fatal = [line for line in process.lines if '[FATAL]' in line]
    assert len(fatal) == 1 and reason in fatal[0], process.text
    assert 'Traceback' not in process.text


def test_missing_display_is_reported_and_the_rest_runs():
    env = {'DISPLAY': '', 'WAYLAND_DISPLAY': ''}
    with running('pipeline', 'source:=sample', 'view:=true', env=env) as process:
        process.wait_for('there is no display')
        process.wait_for('Overall FPS')


def test_unreachable_display_is_reported_and_the_rest_runs():
    with running('pipeline', 'source:=sample', 'view:=true', env={'DISPLAY': ':97'}) as process:
        process.wait_for("no window could be opened on ':97'")
        process.wait_for('Overall FPS')


@pytest.mark.skipif(not (shutil.which('Xvfb') and shutil.which('xdotool')),
                    reason='needs Xvfb and xdotool: not installed')
def test_q_in_the_window_ends_everything():
    with open(os.devnull, 'w') as null:
        screen = subprocess.Popen(['Xvfb', ':96'], stdout=null, stderr=null)
    try:
        time.sleep(1)
        env = {'DISPLAY': ':96'}
        process = Process('pipeline', 'source:=sample', 'view:=true', env=env)
        process.wait_for('Overall FPS')
        tool = ['xdotool', 'search', '--sync', '--name', 'gaze_ros', 'windowfocus', 'key', 'q']
        # A window that is being created changes its id shortly after: xdotool fails then.
        for _ in range(10):
            with suppress(subprocess.TimeoutExpired):
                if not subprocess.run(tool, env={**os.environ, **env}, timeout=5).returncode:
                    break
            if not process.running:
                break
            time.sleep(0.5)
        assert process.end() == 0, process.text
        assert '=== Pipeline Statistics ===' in process.text
    finally:
        screen.terminate()
        screen.wait()


#: Starts as the executables do, and then calls a library for half a minute.
LONG_CALL = """
import hashlib
from gaze_ros.ros.process.shutdown import Shutdown
shutdown = Shutdown()
shutdown.install_signal_handlers()
{}
print('in it', flush=True)
hashlib.pbkdf2_hmac('sha256', b'', b'', 50_000_000)
"""


@pytest.mark.parametrize(('started', 'code'), [('pass', 0), ('shutdown.startup_done()', 1)])
def test_uninterruptible_call_does_not_block_shutdown(started, code):
    process = subprocess.Popen([sys.executable, '-c', LONG_CALL.format(started)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == 'in it\n'
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=GRACE_PERIOD + 5)
    assert process.returncode == code
    assert stderr == ('' if code == 0 else (
        f'not ended within {GRACE_PERIOD} s of the shutdown request; exiting now\n'))


#: A pipeline whose model takes half a minute to load.
LONG_LOAD = """
import hashlib, sys
sys.argv[1:] = ['--ros-args', '-p', 'source:=sample']
from gaze_ros.ros.nodes import gaze_node
def load(values):
    print('in it', flush=True)
    hashlib.pbkdf2_hmac('sha256', b'', b'', 50_000_000)
gaze_node.create_engine = load
from gaze_ros.ros.process.entry_points import pipeline
pipeline()
"""


def test_nodes_of_an_abandoned_startup_disappear_at_once(listener):
    def names():
        return {'camera', 'gaze', 'visualizer'}.intersection(listener.node.get_node_names())

    process = subprocess.Popen([sys.executable, '-c', LONG_LOAD], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == 'in it\n'
    wait_until(lambda: len(names()) == 3, 20, 'the nodes')
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    # Nodes of a process that was killed disappear after 20 s.
    wait_until(lambda: not names(), 15, 'that its nodes disappear')


#: A half-constructed object whose finaliser fails, as that of MediaPipe's Image.
HALF_CONSTRUCTED = """
from time import sleep
from gaze_ros.ros.process.shutdown import Shutdown
class Half:
    def __init__(self):
        print('in it', flush=True)
        sleep(60)
        self.handle = 1
    def __del__(self):
        self.handle
shutdown = Shutdown()
shutdown.install_signal_handlers()
Half()
"""


def test_interrupted_startup_prints_no_finaliser_errors():
    process = subprocess.Popen([sys.executable, '-c', HALF_CONSTRUCTED], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == 'in it\n'
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=GRACE_PERIOD + 5)
    assert (process.returncode, stderr) == (0, '')


#: An endless call that holds the interpreter lock, as one in Fast DDS did: no Python code runs.
STUCK = """
import re
from gaze_ros.ros.process import shutdown
shutdown.STUCK_CPU_TIME = 1.0
here = shutdown.Shutdown()
here.install_signal_handlers()
here.heartbeat()
print('in it', flush=True)
re.match('(a+)+$', 'a' * 60 + 'b')
"""


def test_process_stuck_in_a_busy_library_is_ended():
    process = subprocess.Popen([sys.executable, '-c', STUCK], text=True, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == 'in it\n'
        process.send_signal(signal.SIGSTOP)  # the time while it is stopped does not count
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGVTALRM
    finally:
        process.kill()


#: Python code that runs for longer than the limit, and then a call that blocks forever while it
#: holds the interpreter lock, as one in Fast DDS did.
HELD = """
import ctypes
import time
from gaze_ros.ros.process import shutdown
shutdown.STUCK_TIME = 2.0
here = shutdown.Shutdown()
here.install_signal_handlers()
time.sleep(4)
print('in it', flush=True)
ctypes.PyDLL(None).sleep(60)
"""


def test_process_in_which_no_python_runs_is_ended():
    process = subprocess.Popen([sys.executable, '-c', HELD], text=True, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == 'in it\n'
        assert process.wait(timeout=30) == -signal.SIGALRM
    finally:
        process.kill()


#: An import of the nodes that turns an interruption into another error, as some C modules do.
IMPORT_ERROR = """
import sys
import time
from types import ModuleType
from gaze_ros.ros.process import entry_points
def run(nodes, shutdown):
    print('importing', flush=True)
    try:
        time.sleep(60)
    except SystemExit as e:
        raise ImportError(e)
sys.modules['gaze_ros.ros.process.runtime'] = ModuleType('runtime')
sys.modules['gaze_ros.ros.process.runtime'].run = run
entry_points.people_node()
"""


def test_signal_that_an_import_turns_into_another_error_shuts_down_in_order():
    process = subprocess.Popen([sys.executable, '-c', IMPORT_ERROR], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == 'importing\n'
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ('', '')
    assert process.returncode == 0


def started_by_another(launch):
    """Start a node from a process that sets the id of its launch process; return both."""
    other = subprocess.Popen(
        ['sh', '-c', f'GAZE_ROS_LAUNCH={launch} "$0" >/dev/null 2>&1 & echo $!; wait',
         BIN / 'people_node'], stdout=subprocess.PIPE, text=True)
    return other, psutil.Process(int(other.stdout.readline()))


@pytest.mark.parametrize('moment', ['starting', 'running'])
def test_node_ends_with_its_launch_process(moment):
    launch, node = started_by_another('$$')
    wait_until(lambda: handles_sigterm(node.pid), 30, 'signal handlers')
    if moment == 'running':
        time.sleep(3)
    launch.kill()
    launch.wait()
    wait_until(lambda: not node.is_running() or node.status() == psutil.STATUS_ZOMBIE, 10,
               'the end of the node')


def test_node_started_through_a_prefix_outlives_the_prefix():
    prefix, node = started_by_another(os.getpid())  # as with launch's prefix
    wait_until(lambda: handles_sigterm(node.pid), 30, 'signal handlers')
    prefix.kill()
    prefix.wait()
    time.sleep(1)
    assert node.is_running()
    node.send_signal(signal.SIGINT)
    wait_until(lambda: not node.is_running() or node.status() == psutil.STATUS_ZOMBIE, 10,
               'the end of the node')


def test_node_exits_at_once_if_its_launch_process_has_ended():
    ended = subprocess.Popen(['true'])
    ended.wait()
    process = Process('people_node', env={'GAZE_ROS_LAUNCH': str(ended.pid)})
    assert process.end() == 0, process.text


#: Prints the malloc arenas of glibc at the start of the nodes, after a thread allocated memory.
ARENAS = """
import ctypes
import sys
from threading import Thread
from types import ModuleType
from gaze_ros.ros.process import entry_points
def run(nodes, shutdown):
    libc = ctypes.CDLL(None)
    thread = Thread(target=libc.malloc, args=(100_000,))
    thread.start()
    thread.join()
    libc.malloc_stats()
    return 0
sys.modules['gaze_ros.ros.process.runtime'] = ModuleType('runtime')
sys.modules['gaze_ros.ros.process.runtime'].run = run
entry_points.people_node()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='needs glibc')
def test_all_threads_share_one_malloc_arena():
    env = {name: value for name, value in os.environ.items()
           if name != 'GLIBC_TUNABLES' and not name.startswith('MALLOC_')}
    done = subprocess.run([sys.executable, '-c', ARENAS], env=env, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 0
    assert re.findall(r'^Arena (\d+)', done.stderr, re.MULTILINE) == ['0'], done.stderr
