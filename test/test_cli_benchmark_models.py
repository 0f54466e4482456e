"""gaze_ros benchmark models, as a user runs it; no value is judged."""
import json
import os
import subprocess

from gaze_ros.core.estimators import Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.types import Face
from helpers.processes import BIN
import numpy as np
import pytest


def benchmark(*words, folders=''):
    done = subprocess.run(
        [BIN / 'gaze_ros', 'benchmark', *map(str, words)], capture_output=True, text=True,
        timeout=300, env={**os.environ, 'GAZE_ROS_MODELS': str(folders)})
    assert 'Traceback' not in done.stderr, done.stderr
    return done


def measured(*words, folders='') -> dict:
    """Return the JSON: nothing else is on standard output, and the table is on standard error."""
    done = benchmark(*words, '--json', folders=folders)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result['machine']['cpu'] in done.stderr
    assert result['machine']['cores'] >= 1
    return result


def test_models(shared):
    pytest.importorskip('torch')
    result = measured('models', '--model', 'mobileone_s0', '--model', 'adas', '--model',
                      'resnet18', '--batches', '1,8', '--rounds', 1, '--device', 'cpu',
                      folders=shared / 'models')
    assert result['missing'] == {'resnet18': 'gaze_ros models fetch resnet18 --accept-license'}
    assert {'mobileone_s0', 'adas'} == {one['model'] for one in result['runs']}
    runs = [(one['runtime'], one['precision'], one['threads'])
            for one in result['runs'] if one['model'] == 'mobileone_s0']
    assert {'openvino', 'onnx', 'torch'} == {runtime for runtime, *_ in runs}
    assert ('torch', 'fp32', 1) in runs
    assert len(runs) == len({*runs})
    for one in result['runs']:
        assert one['device'] == 'cpu' and not one['random_weights'] and 'note' not in one
        assert one['face_ms']['8'] == one['call_ms']['8'] / 8 > 0
        assert one['further_face_share'] == pytest.approx(
            (one['call_ms']['8'] - one['call_ms']['1']) / 7 / one['call_ms']['1'])
        assert one['arithmetic_floor'] is None  # of CUDA
    for one in result['refused']:
        assert one['why'] and one['precision'] == 'bf16'


def test_random_weights_are_marked(tmp_path):
    pytest.importorskip('torch')
    from gaze_ros.benchmark.models import open_run, save_random, time_calls
    from gaze_ros.cli.benchmark.models import summary
    entry = registry.entry('mobilenetv2')
    run = open_run(entry, Settings(
        weight=str(save_random(entry, tmp_path)), runtime='torch', device='cpu',
        precision='fp32', threads=1), random_weights=True)
    time_calls(run, np.zeros((480, 640, 3), np.uint8), Face((200, 100, 200, 200), 1.0), 2)
    run.estimator.close()
    one = summary(run, None)
    assert one['random_weights'] and one['note'] == 'random weights: speed only'
    assert one['weight'] is None and one['further_face_share'] is None
    assert one['face_ms'].keys() == {'2'} and one['face_ms']['2'] > 0


def test_operations_of_known_networks():
    pytest.importorskip('torch')
    from gaze_ros.benchmark.models import operations
    # Torchvision: 4.09e9 and 1.81e9 multiplications at 224 x 224, with 1000 classes. Here the
    # input is 448 x 448.
    assert operations('resnet50') == pytest.approx(2 * 4 * 4.09e9, rel=0.01)
    assert operations('resnet18') == pytest.approx(2 * 4 * 1.81e9, rel=0.01)


@pytest.mark.parametrize('words,reason', [
    (['models', '--batches', '1,0'], '0 is not in 1..256'),
    (['models', '--device', 'gpu'], "invalid choice: 'gpu'"),
    (['models', '--weight', 'a.onnx'], 'give one --model'),
])
def test_wrong_usage(words, reason):
    done = benchmark(*words)
    assert done.returncode == 2
    assert reason in done.stderr.splitlines()[-1]


@pytest.mark.parametrize('words,reason', [
    (['models', '--json', '/proc/none/x.json'], "'/proc/none/x.json' cannot be written"),
    (['models', '--input', 'nowhere.mp4'], "input 'nowhere.mp4' does not exist"),
    (['models', '--model', 'eyes'], "model 'eyes' is not one of"),
    (['models', '--model', 'resnet18'], 'resnet18: gaze_ros models fetch resnet18'),
])
def test_errors_are_reported_in_one_line(words, reason):
    done = benchmark(*words)
    line, = [row for row in done.stderr.splitlines() if row.startswith('gaze_ros benchmark: ')]
    assert done.returncode == 1 and reason in line


def test_commands_that_install_missing_models(monkeypatch):
    from gaze_ros.benchmark.models import how_to_install
    from gaze_ros.core.model_zoo import store
    monkeypatch.setattr(store, 'locate', lambda *_, **__: None)
    how = {name: how_to_install(registry.entry(name)) for name in registry.model_names()}
    assert how['mediapipe'] == ''
    assert how['adas'].startswith('gaze_ros models fetch adas')
    assert how['mobileone_s0'] == 'gaze_ros models fetch mobileone_s0 --accept-license'
    assert how['l2cs_resnet50'].startswith('by hand: ')
    assert how['mobileone_s1'].startswith('by hand: ')


@pytest.mark.parametrize(('words', 'code', 'error'), [
    (('--seconds', 3, 'models'), 2, '--seconds must follow models'),
    (('--rounds', 8, 'models'), 2, '--rounds must follow models'),  # the default
    (('--source', 'sample', 'models'), 2, '--source must follow models'),
    (('--json', 'models'), 1, 'put --json after the verb')])
def test_options_before_a_verb_are_refused(words, code, error):
    done = benchmark(*words)
    assert (done.returncode, done.stdout) == (code, '')
    assert error in done.stderr


@pytest.mark.parametrize('verb', ['transport', 'stages', 'soak', 'compare'])
def test_benchmarks_for_developers_are_not_installed(verb):
    done = benchmark(verb)
    assert done.returncode == 2 and f"invalid choice: '{verb}'" in done.stderr
