"""gaze_ros benchmark transport, stages and models, as a user types them; no figure is judged."""
import json
import os
import subprocess

import cv2
from gaze_ros.core.estimators import Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.types import Face
from helpers.processes import BIN
import numpy as np
import pytest


def benchmark(*words, folders=''):
    done = subprocess.run(
        [BIN / 'gaze_ros', 'benchmark', *map(str, words)], capture_output=True, text=True,
        timeout=120, env={**os.environ, 'GAZE_ROS_MODELS': str(folders)})
    assert 'Traceback' not in done.stderr, done.stderr
    return done


def measured(*words, folders='') -> dict:
    """Return the JSON; it is all of standard output, and the table is not lost."""
    done = benchmark(*words, '--json', folders=folders)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result['machine']['cpu'] in done.stderr
    assert result['machine']['cores'] >= 1
    return result


def test_transport(tmp_path):
    path = tmp_path / 'new' / 'transport.json'
    done = benchmark('transport', '--sizes', '320x240', '--seconds', 1.5, '--rounds', 1,
                     '--fps', 20, '--ways', 'ours,ours compressed,rclpy', '--json', path)
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert result['picture'] == 'drawn: gradients and text' and 'drawn' in done.stdout
    assert [(one['where'], one['way']) for one in result['runs']] == [
        (place, way) for place in ('one process', 'two processes') for way in result['ways']]
    assert [*result['ways']] == ['ours', 'ours compressed', 'rclpy']
    for one in result['runs']:
        assert one['size'] == '320x240' and one['size'] in done.stdout
        assert 0 < one['sent'] <= 15
        assert one['received'] <= one['sent']
        assert one['received_share'] == one['received'] / one['sent']
        assert len(one['cpu_cores_of_rounds']) == 1 and one['cpu_cores'] > 0
        if one['received']:
            ages = one['latency_ms']
            assert 0 < ages['p50'] <= ages['p95'] <= ages['p99'] < 3000
    # Small pictures on a free machine: whatever the way, some arrive.
    assert all(one['received'] for one in result['runs'] if one['way'].startswith('ours'))


def test_rounds_of_a_way_are_pooled():
    from gaze_ros.benchmark.transport import summary
    told = summary([
        {'sent': 10, 'seconds': 1.0, 'latencies': [1.0] * 9, 'cpu': 0.2},
        {'sent': 30, 'seconds': 1.0, 'latencies': [3.0], 'cpu': 0.4}])
    assert (told['sent'], told['received'], told['received_share']) == (40, 10, 0.25)
    assert told['sent_per_second'] == 20
    assert told['latency_ms']['p50'] == 1.0 and told['latency_ms']['p99'] > 2.0
    assert told['cpu_cores'] == pytest.approx(0.3) and told['cpu_cores_of_rounds'] == [0.2, 0.4]
    lost = summary([{'sent': 3, 'seconds': 1.0, 'latencies': [], 'cpu': 0.1}])
    assert lost['received_share'] == 0 and lost['latency_ms'] == {
        'p50': None, 'p95': None, 'p99': None}


def test_the_picture_is_drawn_or_given():
    from gaze_ros.benchmark.transport import picture
    for source in ('', 'sample'):
        bgr = picture(source, 320, 240)
        assert bgr.shape == (240, 320, 3) and bgr.dtype == 'uint8'
        # JPEG of noise is as large as the picture, and of one colour it is nothing.
        jpeg = cv2.imencode('.jpg', bgr)[1]
        assert 0.02 < jpeg.size / bgr.size < 0.3


def stages_consistent(stages: dict) -> None:
    for name, one in stages.items():
        left = one['came'] - one['done'] - sum(one['dropped'].values())
        # What was inside when the count began or ended: one in work, and what waited.
        assert abs(left) <= 6, (name, one)


def test_stages_that_wait_for_the_camera():
    result = measured('stages', '--camera-ms', 50, '--inference-ms', 10, '--display-ms', 5,
                      '--seconds', 2)
    assert (result['slowest_stage'], result['slowest_per_second']) == ('camera', 20.0)
    stages_consistent(result['stages'])
    for name, sum_ms in (('result', 10), ('displayed', 15)):
        ages = result[f'latency_{name}_ms']
        assert ages['stages'] == sum_ms <= ages['p50'] <= ages['p95'] < 2000
        assert ages['more'] == pytest.approx(ages['p50'] - sum_ms)
    assert 0 < result['displayed_per_second'] < 22
    assert result['displayed_share'] == pytest.approx(result['displayed_per_second'] / 20)


def test_stages_slower_than_the_camera_drop_pictures(tmp_path):
    path = tmp_path / 'stages.json'
    done = benchmark('stages', '--camera-ms', 0, '--inference-ms', 40, '--display-ms', 100,
                     '--seconds', 2, '--json', path)
    assert done.returncode == 0, done.stderr
    assert 'the slowest stage is the display: 10.00 pictures a second' in done.stdout
    result = json.loads(path.read_text())
    stages_consistent(result['stages'])
    assert result['stages']['inference']['dropped']['newer'] > 0
    assert result['stages']['window']['dropped']['newer'] > 0
    assert result['stages']['camera']['done'] > result['stages']['inference']['done']
    assert result['computed_per_second'] > result['displayed_per_second']


def test_models(shared):
    result = measured('models', '--model', 'mobileone_s0', '--model', 'adas', '--model',
                      'resnet18', '--batches', '1,8', '--rounds', 1, '--device', 'cpu',
                      folders=shared / 'models')
    assert result['missing'] == {'resnet18': 'gaze_ros models fetch resnet18 --accept-license'}
    assert {'mobileone_s0', 'adas'} == {one['model'] for one in result['runs']}
    ways = [(one['runtime'], one['precision'], one['threads'])
            for one in result['runs'] if one['model'] == 'mobileone_s0']
    assert {'openvino', 'onnx', 'torch'} == {runtime for runtime, *_ in ways}
    assert ('torch', 'fp32', 1) in ways
    assert len(ways) == len({*ways})
    for one in result['runs']:
        assert one['device'] == 'cpu' and not one['random_weights'] and 'note' not in one
        assert one['face_ms']['8'] == one['call_ms']['8'] / 8 > 0
        assert one['further_face_share'] == pytest.approx(
            (one['call_ms']['8'] - one['call_ms']['1']) / 7 / one['call_ms']['1'])
        assert one['arithmetic_floor'] is None  # of CUDA
    for one in result['refused']:
        assert one['why'] and one['precision'] == 'bf16'


def test_random_weights_are_told_as_such(tmp_path):
    from gaze_ros.benchmark.models import open_run, save_random, time_turn
    from gaze_ros.cli.benchmark.models import told
    entry = registry.entry('mobilenetv2')
    run = open_run(entry, Settings(
        weight=str(save_random(entry, tmp_path)), runtime='torch', device='cpu',
        precision='fp32', threads=1), random_weights=True)
    time_turn(run, np.zeros((480, 640, 3), np.uint8), Face((200, 100, 200, 200), 1.0), 2)
    run.estimator.close()
    one = told(run, None)
    assert one['random_weights'] and one['note'] == 'random weights: speed only'
    assert one['weight'] is None and one['further_face_share'] is None
    assert one['face_ms'].keys() == {'2'} and one['face_ms']['2'] > 0


def test_operations_of_known_networks():
    from gaze_ros.benchmark.models import operations
    # Torchvision's 4.09 and 1.81 thousand million multiplications are at 224 x 224, with 1000
    # classes; here it is 448 x 448.
    assert operations('resnet50') == pytest.approx(2 * 4 * 4.09e9, rel=0.01)
    assert operations('resnet18') == pytest.approx(2 * 4 * 1.81e9, rel=0.01)


@pytest.mark.parametrize('words,reason', [
    (['transport', '--sizes', '640x'], "'640x' is not WxH in pixels"),
    (['transport', '--sizes', '640x480,8x8'], "'8x8' is not WxH in pixels"),
    (['transport', '--ways', 'theirs'], "'theirs' is not one of: ours"),
    (['transport', '--seconds', 1], '1 is not in 1.5..3600'),
    (['transport', '--rounds', 0], '0 is not in 1..100'),
    (['stages', '--inference-ms', -1], '-1 is not in 0..10000'),
    (['stages', '--seconds', 'long'], "invalid float value: 'long'"),
    (['models', '--batches', '1,0'], '0 is not in 1..256'),
    (['models', '--device', 'gpu'], "invalid choice: 'gpu'"),
    (['models', '--weight', 'a.onnx'], 'give one --model'),
])
def test_wrong_usage(words, reason):
    done = benchmark(*words)
    assert done.returncode == 2
    assert reason in done.stderr.splitlines()[-1]


@pytest.mark.parametrize('words,reason', [
    (['transport', '--source', 'nowhere.mp4'], "source 'nowhere.mp4' is no file"),
    (['stages', '--json', '/proc/none/x.json'], "'/proc/none/x.json' cannot be written"),
    (['models', '--input', 'nowhere.mp4'], "input 'nowhere.mp4' does not exist"),
    (['models', '--model', 'eyes'], "model 'eyes' is not one of"),
    (['models', '--model', 'resnet18'], 'resnet18: gaze_ros models fetch resnet18'),
])
def test_what_cannot_be_measured_is_told_in_one_line(words, reason):
    done = benchmark(*words)
    line, = [row for row in done.stderr.splitlines() if row.startswith('gaze_ros benchmark: ')]
    assert done.returncode == 1 and reason in line


def test_how_missing_models_are_got(monkeypatch):
    from gaze_ros.benchmark.models import missing
    from gaze_ros.core.model_zoo import store
    monkeypatch.setattr(store, 'locate', lambda *_, **__: None)
    told = {name: missing(registry.entry(name)) for name in registry.model_names()}
    assert told['mediapipe'] == ''
    assert told['adas'].startswith('gaze_ros models fetch adas')
    assert told['mobileone_s0'] == 'gaze_ros models fetch mobileone_s0 --accept-license'
    assert told['l2cs_resnet50'].startswith('by hand: ')
    assert told['mobileone_s1'].startswith('by hand: ')


@pytest.mark.parametrize(('words', 'code', 'said'), [
    (('--seconds', 3, 'stages'), 2, '--seconds goes after stages'),
    (('--json', 'transport'), 1, 'put --json after the verb')])
def test_options_of_a_verb_are_not_lost_before_it(words, code, said):
    done = benchmark(*words)
    assert (done.returncode, done.stdout) == (code, '')
    assert said in done.stderr
