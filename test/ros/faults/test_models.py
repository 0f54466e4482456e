"""Files of models that change under a node that runs, and memory that it does not get."""
import os
import shutil
import signal
import subprocess
import sys

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from gaze_ros.msg import GazeArray
from helpers.processes import BIN, running, wait_until
from helpers.ros_client import set_parameters
import pytest

NAMES = ('gaze-estimation-adas-0002', 'head-pose-estimation-adas-0001',
         'landmarks-regression-retail-0009', 'open-closed-eye-0001')


@pytest.fixture
def models(shared, tmp_path):
    """Return a folder with copies of the models that may be spoiled."""
    for name in NAMES:
        for suffix in ('.xml', '.bin'):
            shutil.copyfile(
                shared / 'models' / 'intel' / f'{name}{suffix}', tmp_path / f'{name}{suffix}')
    for name in ('face_detection_yunet_2026may.onnx', 'mobileone_s0_gaze.onnx'):
        shutil.copyfile(shared / 'models' / name, tmp_path / name)
    return tmp_path


def test_files_cut_short_or_exchanged_under_a_running_model(listener, models):
    pytest.importorskip('openvino')
    heard = listener.subscribe(GazeArray, '/gaze', lambda m: (m.model, len(m.gazes)))

    def later(model):
        before = len(heard)
        wait_until(lambda: len(heard) > before + 3 and heard[-1][0] == model and heard[-1][1],
                   20, f'gaze by {model}')

    weight = models / 'mobileone_s0_gaze.onnx'
    whole = weight.read_bytes()
    with running('pipeline', 'source:=sample', 'model:=adas', 'detector:=yunet',
                 env={'GAZE_ROS_MODELS': str(models)}) as process:
        later('adas')
        # A download that goes on, and a copy into the file: the maps of both would be cut short.
        for name in NAMES:
            os.truncate(models / f'{name}.bin', 100)
        os.truncate(models / 'face_detection_yunet_2026may.onnx', 0)
        later('adas')
        weight.write_bytes(whole[:len(whole) // 2])
        reason = set_parameters(listener, 'gaze', model='mobileone_s0', weight=str(weight))
        assert str(weight) in reason, reason
        reason = set_parameters(listener, 'gaze', model='mobileone_s0')
        assert 'expected' in reason or 'none was found' in reason, reason
        assert 'it has sha256' in process.text, 'what the digest is, and should be, is not told'
        later('adas')
        other = models / 'new'
        other.write_bytes(whole)
        other.replace(weight)
        assert not set_parameters(listener, 'gaze', model='mobileone_s0', weight=str(weight))
        later('mobileone_s0')
        os.truncate(weight, 0)
        later('mobileone_s0')


def test_a_file_cut_short_while_it_is_loaded_ends_no_process(models):
    """Mapped, it did (SIGBUS) between reading and compiling, a moment nobody hits by chance."""
    pytest.importorskip('openvino')
    code = ("import os, sys\n"
            "from gaze_ros.core.runtimes.openvino_runtime import CORE\n"
            "graph = CORE.read_model(sys.argv[1] + '.xml')\n"
            "os.truncate(sys.argv[1] + '.bin', 0)\n"
            "CORE.compile_model(graph, 'CPU')\n")
    done = subprocess.run(
        [sys.executable, '-c', code, str(models / NAMES[0])], capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)


#: A gaze node whose model comes back from no call while there is a file, its first word; figures
#: are of 1 s instead of 5.
HANGS = """
from pathlib import Path
import sys
from threading import Event
from gaze_ros.core.diagnostics import checks
from gaze_ros.core.pipeline import engine
from gaze_ros.ros.base import diagnostics
from gaze_ros.ros.process.entry_points import gaze_node

def create(*how):
    estimator = make(*how)
    def estimate(*what):
        return Event().wait() if hang.exists() else real(*what)
    real, estimator.estimate = estimator.estimate, estimate
    return estimator

hang = Path(sys.argv[1])
make, engine.create_estimator = engine.create_estimator, create
checks.STARTUP_GRACE, diagnostics._PERIOD = 0.6, 0.2
del sys.argv[1:3]
gaze_node()
"""


def test_a_model_that_hangs_is_told_and_does_not_keep_the_node(
        listener, tmp_path, rounds):
    """A GPU that is stuck: none can be made to here, so the model's call waits for ever."""
    told = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: m.status[0])
    heard = listener.subscribe(GazeArray, '/gaze', lambda m: len(m.gazes))

    def said(level, words):
        return any(s.name == 'gaze: Inference' and s.level == level and words in s.message
                   for s in [*told])

    with running('camera_node', 'source:=sample'):
        for overlap in rounds(('auto',), ('auto', 'always')):
            hang = tmp_path / overlap
            with running('gaze_node', f'overlap:={overlap}',
                         prefix=(sys.executable, '-c', HANGS, str(hang))) as process:
                del told[:], heard[:]
                wait_until(lambda: len(heard) > 5, 30, 'gaze')
                hang.touch()
                wait_until(lambda: said(DiagnosticStatus.ERROR, 'does it hang?'), 10,
                           'that it hangs')
                process.send(signal.SIGINT)
                # In order: after GRACE it would be ended with code 1, and say so.
                assert process.end(2) == 0, process.text
            assert 'not ended' not in process.text


@pytest.mark.parametrize('megabytes', [600, 1100, 1400])
def test_too_little_memory_to_start_is_one_line(shared, rounds, megabytes):
    if megabytes not in rounds((600,), (600, 1100, 1400)):
        pytest.skip('in the full suite')
    done = subprocess.run(
        ['sh', '-c', f'ulimit -v {1024 * megabytes} && exec "$@"', 'sh', str(BIN / 'gaze_node'),
         '--ros-args', '-p', 'model:=mobileone_s0', '-p', 'detector:=yunet', '-p',
         f'weight:={shared}/models/none.onnx'],
        capture_output=True, text=True, timeout=30)
    text = done.stdout + done.stderr
    assert done.returncode == 1, (done.returncode, text)
    assert 'Traceback' not in text, text
    if megabytes < 1280:
        assert text.count('\n') == 1, text
        assert f'limited to {megabytes} MB (ulimit -v)' in text
