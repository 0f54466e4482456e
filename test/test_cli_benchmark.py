"""gaze_ros benchmark, as a user runs it: shapes and plausibility, not speed."""
import json
import os
import signal
import subprocess
import time

import cv2
from gaze_ros.benchmark.replayed_camera import ReplayedCamera
from helpers.processes import BIN, processes_with, save_sample, wait_until
import numpy as np
import pytest

CONFIGURATIONS = {'sequential', 'pipeline', 'processes'}
WORKERS = 'gaze_ros.benchmark.workers'


def words(*more):
    return [str(BIN / 'gaze_ros'), 'benchmark', *map(str, more)]


def benchmark(*more, timeout=100, **kwargs):
    return subprocess.run(words(*more), capture_output=True, text=True, timeout=timeout, **kwargs)


@pytest.fixture
def clip(tmp_path):
    """Return a clip whose name is unique among all processes."""
    return save_sample(tmp_path / f'benchmark_{os.getpid()}.mp4', 'mp4v', 30.0, 30)


def plausible(run, camera_fps):
    assert 0 < run['fps'] <= 1.5 * camera_fps  # the window is short
    for ages in (run['latency_ms'], run['displayed_ms'], run['computed_ms']):
        assert set(ages) == {'p50', 'p95', 'p99'}
        assert 0 < ages['p50'] <= ages['p95'] <= ages['p99'] < 20_000
    assert set(run['dropped']) == {'camera', 'inference', 'display'}
    assert all(count >= 0 for count in run['dropped'].values()) and run['lost'] >= 0
    assert 0 < run['cpu'] <= 1.2 * os.cpu_count()
    assert 20 < run['peak_mb'] < 20_000
    assert run['faces'] == pytest.approx(1, abs=0.1)
    assert 0 < run['core_ms'] < 20_000
    if os.path.isdir('/proc/self/task'):
        assert {'decode', 'detect', 'estimate', 'draw'} <= set(run['core_ms_by_work'])
        assert all(value >= 0 for value in run['core_ms_by_work'].values())
        assert 0.5 < sum(run['core_ms_by_work'].values()) / run['core_ms'] < 1.5
    assert [set(one) >= {'fps', 'core_ms', 'latency_ms'} for one in run['rounds']] == [True]


def test_all_configurations_are_measured(clip):
    done = benchmark(
        '--source', clip, '--model', 'mediapipe', '--detector', 'mediapipe', '--camera-fps', 20,
        '--seconds', 2, '--rounds', 1, '--warm-up', 0.5, '--json')
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr
    result = json.loads(done.stdout)
    assert result['model'] == result['detector'] == 'mediapipe'
    assert (result['source'], result['camera_fps']) == (str(clip), 20)
    assert set(result['runs']) == CONFIGURATIONS
    assert result['ratios'] == {} and result['notes'] == []
    for run in result['runs'].values():
        plausible(run, 20)
    assert result['machine']['cores'] >= 1 and result['machine']['cpu']
    assert 'numpy' in result['machine']['versions']
    for name in CONFIGURATIONS:  # progress, then the row
        assert f'{name}: start and 0.5 s of warm-up' in done.stderr
        assert f'\n{name} ' in done.stderr
    assert 'round 1 of 1: 2 s each' in done.stderr
    assert 'ref' not in done.stderr.split('cores', 2)[2].splitlines()[0]
    assert not processes_with(WORKERS, clip.name)


def test_faces_size_and_file(clip, tmp_path):
    out = tmp_path / 'more' / 'result.json'
    done = benchmark(
        '--source', clip, '--model', 'mediapipe', '--only', 'sequential', '--size', '320x240',
        '--seconds', 1, '--rounds', 1, '--warm-up', 0, '--faces', 1, '--images', 7, '--json', out)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert set(result['runs']) == {'sequential'} and result['size'] == [320, 240]
    assert result['images'] == 7
    assert 'configuration' in done.stdout and 'ref' not in done.stdout


def test_camera_that_always_has_a_next_image(clip):
    done = benchmark(
        '--source', clip, '--model', 'mediapipe', '--detector', 'mediapipe', '--camera-fps', 0,
        '--only', 'sequential', 'pipeline', '--seconds', 2, '--rounds', 2, '--warm-up', 0.5,
        '--json')
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    for run in result['runs'].values():
        assert len(run['rounds']) == 2 and all(one['fps'] > 0 for one in run['rounds'])
    assert result['runs']['pipeline']['dropped']['inference'] > 0
    assert set(result['paired']['pipeline']) == {
        'fps', 'latency_p50', 'latency_p99', 'cpu', 'core_ms'}
    assert result['paired']['sequential'] == dict.fromkeys(result['paired']['pipeline'], 1)


def test_replayed_camera_repeats_the_first_images(tmp_path):
    for number in range(5):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((8, 8, 3), 40 * number, np.uint8))
    camera = ReplayedCamera(str(tmp_path), 0, images=3)
    assert [int(camera.read()[0, 0, 0]) for _ in range(7)] == [0, 40, 80, 0, 40, 80, 0]
    camera.close()


@pytest.mark.parametrize('more,code,reason', [
    (['--source', '/nowhere.mp4'], 1, "source '/nowhere.mp4' is not a file"),
    (['--source', 'IMAGE'], 1, 'a single image'),
    (['--only', 'sequential', '--model', 'resnet18'], 1, 'licence: Gaze360'),
    (['--only', 'pipeline', '--model', 'resnet18'], 1, 'licence: Gaze360'),
    (['--only', 'processes', '--model', 'mobileone_s0', '--weight', '/no.onnx'], 1,
     "weight '/no.onnx' is not a network: No such file"),
    (['--json', '/proc/nowhere/x'], 1, '/proc/nowhere/x'),
    (['--only', 'reference'], 2, "invalid choice: 'reference'"),
    (['--size', '640'], 2, "'640' is not WxH"),
    (['--seconds', '0'], 2, '0 is not in 0.5..3600'),
    (['--model', 'resnet99'], 2, "model 'resnet99' is not one of"),
])
def test_wrong_input_is_reported_in_one_line(tmp_path, more, code, reason):
    image = tmp_path / 'image.ppm'
    image.write_bytes(b'P6 32 32 255\n' + bytes(32 * 32 * 3))
    done = benchmark(*(image if word == 'IMAGE' else word for word in more))
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('gaze_ros benchmark: ')]
    assert len(lines) == 1 and reason in lines[0], done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('name,number,code', [
    ('processes', signal.SIGINT, 130), ('sequential', signal.SIGTERM, 130),
    ('pipeline', signal.SIGKILL, -signal.SIGKILL)])
def test_a_signal_leaves_no_process_behind(clip, name, number, code):
    process = subprocess.Popen(
        words('--source', clip, '--model', 'mediapipe', '--only', name, '--seconds', 60),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: processes_with(WORKERS, clip.name), 60, 'the start of its children')
    time.sleep(1)
    process.send_signal(number)
    start = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert time.monotonic() - start < 30  # not the measured minute
    assert 'Traceback' not in errors
    wait_until(lambda: not processes_with(WORKERS, clip.name), 30, 'the end of its children')
