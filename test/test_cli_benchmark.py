"""gaze_ros benchmark, as a user types it: shapes and plausibility, never how fast it is."""
import json
import os
import signal
import subprocess
import time

from gaze_ros.cli.benchmark import pipeline
from helpers.processes import BIN, save_sample, wait_until
import psutil
import pytest

WAYS = {'sequential', 'reference', 'pipeline', 'processes'}
WORKERS = 'gaze_ros.benchmark.workers'


def words(*more):
    return [str(BIN / 'gaze_ros'), 'benchmark', *map(str, more)]


def benchmark(*more, timeout=100, **kwargs):
    return subprocess.run(words(*more), capture_output=True, text=True, timeout=timeout, **kwargs)


def workers_of(token):
    """Return the processes of a benchmark whose settings hold a word of the test's own."""
    found = []
    for process in psutil.process_iter():
        try:
            line = ' '.join(process.cmdline())
        except psutil.Error:
            continue
        if WORKERS in line and token in line:
            found.append(process)
    return found


@pytest.fixture
def clip(tmp_path):
    """Return a clip by a name that no other process knows."""
    return save_sample(tmp_path / f'benchmark_{os.getpid()}.mp4', 'mp4v', 30.0, 30)


def plausible(run, camera_fps):
    assert 1 < run['fps'] <= 1.2 * camera_fps
    for ages in (run['latency_ms'], run['displayed_ms'], run['computed_ms']):
        assert set(ages) == {'p50', 'p95', 'p99'}
        assert 0 < ages['p50'] <= ages['p95'] <= ages['p99'] < 20_000
    assert set(run['dropped']) == {'camera', 'inference', 'display'}
    assert all(count >= 0 for count in run['dropped'].values()) and run['lost'] >= 0
    assert 0 < run['cpu'] <= 1.2 * os.cpu_count()
    assert 20 < run['peak_mb'] < 20_000
    assert run['faces'] == pytest.approx(1, abs=0.1)


def test_all_ways_are_compared_on_the_same_work(clip):
    done = benchmark(
        '--source', clip, '--model', 'mediapipe', '--detector', 'mediapipe', '--camera-fps', 20,
        '--seconds', 2, '--rounds', 1, '--warm-up', 0.5, '--json')
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr
    result = json.loads(done.stdout)
    assert result['model'] == result['detector'] == 'mediapipe'
    assert (result['source'], result['camera_fps']) == (str(clip), 20)
    assert set(result['runs']) == set(result['ratios']) == WAYS
    for run in result['runs'].values():
        plausible(run, 20)
    assert result['ratios']['reference'] == {'fps': 1, 'latency_p50': 1}
    assert result['machine']['cores'] >= 1 and result['machine']['cpu']
    assert 'numpy' in result['machine']['versions']
    assert len(result['notes']) == 1 and 'one face a call' in result['notes'][0]
    for way in WAYS:  # progress, then the row
        assert f'{way}, 0.5 + 2 s' in done.stderr
        assert f'\n{way} ' in done.stderr
    assert not workers_of(clip.name)


def test_the_reference_runs_the_checkpoint_in_torch(shared, tmp_path):
    pytest.importorskip('torch')
    out = tmp_path / 'more' / 'result.json'
    done = benchmark(
        '--model', 'mobileone_s0', '--only', 'reference', 'sequential', '--size', '320x240',
        '--seconds', 2, '--rounds', 1, '--warm-up', 0, '--faces', 1, '--json', out,
        env={**os.environ, 'GAZE_ROS_MODELS': str(shared / 'models')})
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert set(result['runs']) == {'sequential', 'reference'}
    for run in result['runs'].values():
        plausible(run, 30)
    assert 'torch' in result['runs']['reference']['running']
    assert result['notes'] == [] and result['size'] == [320, 240]
    assert 'latency : ref' in done.stdout and 'reference' in done.stdout


def test_without_torch_the_other_ways_run(monkeypatch, capsys):
    monkeypatch.setattr(pipeline, 'find_spec', lambda name: None)
    ways = ['sequential', 'reference', 'pipeline']
    notes = pipeline._notes(ways, {'model': 'mobileone_s0', 'weight': ''})
    assert ways == ['sequential', 'pipeline']
    assert len(notes) == 1 and "pip install 'gaze_ros[torch]'" in notes[0]
    assert capsys.readouterr().err == notes[0] + '\n'


@pytest.mark.parametrize('more,code,reason', [
    (['--source', '/nowhere.mp4'], 1, "source '/nowhere.mp4' is no file"),
    (['--source', 'PICTURE'], 1, 'one picture'),
    (['--only', 'sequential', '--model', 'resnet18'], 1, 'licence: Gaze360'),
    (['--only', 'pipeline', '--model', 'resnet18'], 1, 'licence: Gaze360'),
    (['--only', 'processes', '--model', 'mobileone_s0', '--weight', '/no.onnx'], 1,
     "weight '/no.onnx' is no network: No such file"),
    (['--json', '/proc/nowhere/x'], 1, '/proc/nowhere/x'),
    (['--only', 'fast'], 2, "invalid choice: 'fast'"),
    (['--size', '640'], 2, "'640' is not WxH"),
    (['--seconds', '0'], 2, '0 is not in 0.5..3600'),
    (['--model', 'resnet99'], 2, "model 'resnet99' is not one of"),
])
def test_wrong_input_is_told_in_one_line(tmp_path, more, code, reason):
    picture = tmp_path / 'picture.ppm'
    picture.write_bytes(b'P6 32 32 255\n' + bytes(32 * 32 * 3))
    done = benchmark(*(picture if word == 'PICTURE' else word for word in more))
    assert done.returncode == code, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith('gaze_ros benchmark: ')]
    assert len(told) == 1 and reason in told[0], done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('way,number,code', [
    ('processes', signal.SIGINT, 130), ('reference', signal.SIGTERM, 130),
    ('pipeline', signal.SIGKILL, -signal.SIGKILL)])
def test_however_it_ends_it_leaves_nobody_behind(clip, way, number, code):
    process = subprocess.Popen(
        words('--source', clip, '--model', 'mediapipe', '--only', way, '--seconds', 60),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: workers_of(clip.name), 20, 'its children')
    time.sleep(1)
    process.send_signal(number)
    start = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert process.returncode == code, said
    assert time.monotonic() - start < 4
    assert 'Traceback' not in said
    wait_until(lambda: not workers_of(clip.name), 5, 'the end of its children')
