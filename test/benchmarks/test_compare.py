"""python -m benchmarks compare, as a developer runs it: shapes and plausibility, not speed."""
import json
import os
import signal
import time

from benchmarks import compare
from helpers.processes import processes_with, save_sample, wait_until
import pytest

CONFIGURATIONS = {'sequential', 'reference', 'pipeline', 'processes'}


@pytest.fixture
def clip(tmp_path):
    """Return a clip whose name is unique among all processes."""
    return save_sample(tmp_path / f'compare_{os.getpid()}.mp4', 'mp4v', 30.0, 30)


def test_all_configurations_are_compared_with_the_reference(run, clip):
    done = run(
        'compare', '--source', clip, '--model', 'mediapipe', '--detector', 'mediapipe',
        '--camera-fps', 20, '--seconds', 2, '--rounds', 1, '--warm-up', 0.5, '--json')
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [*result] == [
        'machine', 'source', 'size', 'model', 'detector', 'camera_fps', 'images', 'seconds',
        'rounds',
        'runs', 'paired', 'ratios', 'notes']
    assert set(result['paired']) == CONFIGURATIONS
    assert result['paired']['sequential']['fps'] == 1
    assert result['model'] == result['detector'] == 'mediapipe'
    assert set(result['runs']) == set(result['ratios']) == CONFIGURATIONS
    for one in result['runs'].values():
        assert 0 < one['fps'] <= 30  # of 20: the window is short
        for ages in (one['latency_ms'], one['displayed_ms'], one['computed_ms']):
            assert 0 < ages['p50'] <= ages['p95'] <= ages['p99'] < 20_000
        assert set(one['dropped']) == {'camera', 'inference', 'display'}
        assert one['faces'] == pytest.approx(1, abs=0.1)
    assert result['ratios']['reference'] == {'fps': 1, 'latency_p50': 1}
    assert len(result['notes']) == 1 and 'one face per call' in result['notes'][0]
    assert 'latency : ref' in done.stderr and 'reference: start and 0.5 s' in done.stderr
    assert not processes_with('_worker', clip.name)


def test_the_reference_runs_the_checkpoint_in_torch(run, shared, tmp_path):
    pytest.importorskip('torch')
    out = tmp_path / 'more' / 'result.json'
    done = run(
        'compare', '--model', 'mobileone_s0', '--only', 'reference', 'sequential', '--size',
        '320x240', '--seconds', 2, '--rounds', 1, '--warm-up', 0, '--faces', 1, '--json', out,
        GAZE_ROS_MODELS=str(shared / 'models'))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert set(result['runs']) == {'sequential', 'reference'}
    assert all(one['fps'] > 0 and one['faces'] > 0.9 for one in result['runs'].values())
    assert 'torch' in result['runs']['reference']['running']
    assert result['notes'] == [] and result['size'] == [320, 240]
    assert 'latency : ref' in done.stdout and 'reference' in done.stdout


def test_without_torch_the_other_configurations_run(monkeypatch, capsys):
    monkeypatch.setattr(compare, 'find_spec', lambda name: None)
    names, notes = compare.check_reference(
        ['sequential', 'reference', 'pipeline'], {'model': 'mobileone_s0', 'weight': ''})
    assert names == ['sequential', 'pipeline']
    assert len(notes) == 1 and 'pip install torch safetensors' in notes[0]
    assert capsys.readouterr().err == notes[0] + '\n'


def test_a_signal_leaves_no_process_behind(start, clip):
    process = start('compare', '--source', clip, '--model', 'mediapipe', '--only', 'reference',
                    '--seconds', 60)
    wait_until(lambda: processes_with('_worker', clip.name), 60, 'the start of its child')
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert time.monotonic() - begin < 30  # not the measured minute
    assert 'Traceback' not in errors
    wait_until(lambda: not processes_with('_worker', clip.name), 30, 'the end of its child')


def test_an_unknown_configuration_is_refused(run):
    done = run('compare', '--only', 'fast')
    assert done.returncode == 2 and "invalid choice: 'fast'" in done.stderr
