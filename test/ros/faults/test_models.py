"""Model files that change while a node runs, models that hang, and too little memory."""
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
    """Return a folder with copies of the models, which a test may corrupt."""
    for name in NAMES:
        for suffix in ('.xml', '.bin'):
            shutil.copyfile(
                shared / 'models' / 'intel' / f'{name}{suffix}', tmp_path / f'{name}{suffix}')
    for name in ('face_detection_yunet_2026may.onnx', 'mobileone_s0_gaze.onnx'):
        shutil.copyfile(shared / 'models' / name, tmp_path / name)
    return tmp_path


def test_model_files_truncated_or_replaced_while_in_use(listener, models):
    pytest.importorskip('openvino')
    heard = listener.subscribe(GazeArray, '/gaze', lambda m: (m.model, len(m.gazes)))

    def wait_for_gaze(model):
        before = len(heard)
        wait_until(lambda: len(heard) > before + 3 and heard[-1][0] == model and heard[-1][1],
                   60, f'gaze by {model}')

    weight = models / 'mobileone_s0_gaze.onnx'
    whole = weight.read_bytes()
    with running('pipeline', 'source:=sample', 'model:=adas', 'detector:=yunet',
                 env={'GAZE_ROS_MODELS': str(models)}) as process:
        wait_for_gaze('adas')
        # As while a file is downloaded or copied over: memory maps of it would be truncated.
        for name in NAMES:
            os.truncate(models / f'{name}.bin', 100)
        os.truncate(models / 'face_detection_yunet_2026may.onnx', 0)
        wait_for_gaze('adas')
        weight.write_bytes(whole[:len(whole) // 2])
        reason = set_parameters(listener, 'gaze', model='mobileone_s0', weight=str(weight))
        assert str(weight) in reason, reason
        reason = set_parameters(listener, 'gaze', model='mobileone_s0')
        assert 'expected' in reason or 'none was found' in reason, reason
        assert 'it has sha256' in process.text, 'the digest is not logged'
        wait_for_gaze('adas')
        other = models / 'new'
        other.write_bytes(whole)
        other.replace(weight)
        assert not set_parameters(listener, 'gaze', model='mobileone_s0', weight=str(weight))
        wait_for_gaze('mobileone_s0')
        os.truncate(weight, 0)
        wait_for_gaze('mobileone_s0')


def test_model_file_truncated_while_loading_ends_no_process(models):
    """With a memory map it did (SIGBUS) between reading and compiling."""
    pytest.importorskip('openvino')
    code = ('import os, sys\n'
            'from gaze_ros.core.runtimes.openvino_runtime import CORE\n'
            "graph = CORE.read_model(sys.argv[1] + '.xml')\n"
            "os.truncate(sys.argv[1] + '.bin', 0)\n"
            "CORE.compile_model(graph, 'CPU')\n")
    done = subprocess.run(
        [sys.executable, '-c', code, str(models / NAMES[0])], capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)


#: A gaze node whose model hangs while the file named by the first argument exists; diagnostics
#: span 1 s instead of 5 s.
HANGING_NODE = """
from pathlib import Path
import sys
from threading import Event
from gaze_ros.core.diagnostics import checks
from gaze_ros.core.pipeline import engine
from gaze_ros.ros.base import diagnostics
from gaze_ros.ros.process.entry_points import gaze_node

def create(*how):
    estimator = make(*how)
    for name in ('estimate', 'estimate_located'):
        if hasattr(estimator, name):
            setattr(estimator, name, hanging(getattr(estimator, name)))
    return estimator

def hanging(real):
    return lambda *what: Event().wait() if hang.exists() else real(*what)

hang = Path(sys.argv[1])
make, engine.create_estimator = engine.create_estimator, create
checks.STARTUP_GRACE, diagnostics._PERIOD = 0.6, 0.2
del sys.argv[1:3]
gaze_node()
"""


def test_hanging_model_is_reported_and_does_not_block_shutdown(
        listener, tmp_path, rounds):
    """A hanging GPU, simulated by a call of the model that never returns."""
    statuses = listener.subscribe(DiagnosticArray, '/diagnostics', lambda m: m.status[0])
    heard = listener.subscribe(GazeArray, '/gaze', lambda m: len(m.gazes))

    def reported(level, text):
        return any(s.name == 'gaze: Inference' and s.level == level and text in s.message
                   for s in [*statuses])

    with running('camera_node', 'source:=sample'):
        for parallel in rounds(('auto',), ('auto', '2')):
            hang = tmp_path / parallel
            with running('gaze_node', f'parallel:={parallel}',
                         prefix=(sys.executable, '-c', HANGING_NODE, str(hang))) as process:
                del statuses[:], heard[:]
                wait_until(lambda: len(heard) > 5, 30, 'gaze')
                hang.touch()
                wait_until(lambda: reported(DiagnosticStatus.ERROR, 'the node may hang'), 10,
                           'the report that it hangs')
                process.send(signal.SIGINT)
                # In order: after the grace period it would exit with code 1.
                assert process.end(2) == 0, process.text
            assert 'not ended' not in process.text


@pytest.mark.parametrize('megabytes', [600, 1100, 1400])
def test_too_little_memory_at_startup_is_one_line(shared, rounds, megabytes):
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
