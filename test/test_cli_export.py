"""gaze_ros models export, as a user types it."""
import re
import subprocess

from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.types import Face
from helpers.processes import BIN
import numpy as np
import pytest

IMAGE = np.random.default_rng(1).integers(
    0, 256, (30, 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)
FACES = [Face((30, 40, 200, 180), 0.9), Face((100, 20, 150, 200), 0.8)]


def export(*words, folder, timeout=300):
    return subprocess.run([BIN / 'gaze_ros', 'models', 'export', *map(str, words)], cwd=folder,
                          capture_output=True, text=True, timeout=timeout)


def results(weight, **settings):
    estimator = create_estimator('mobileone_s0', Settings(
        weight=str(weight), device='cpu', threads=1, **settings))
    found = estimator.estimate(IMAGE, FACES)
    estimator.close()
    return np.array([(e.pitch, e.yaw, e.confidence) for e in found])


@pytest.fixture(scope='module')
def checkpoint(shared):
    """Return a checkpoint whose heads are swapped, and its results in torch."""
    pytest.importorskip('torch')
    weight = shared / 'models' / 'mobileone_s0.pt'
    return weight, results(weight, runtime='torch')


@pytest.mark.parametrize(('form', 'file', 'package', 'settings'), [
    ('onnx', 'mobileone_s0.onnx', 'onnxruntime', {'runtime': 'onnx'}),
    ('openvino', 'mobileone_s0.xml', 'openvino', {'precision': 'fp32'}),
    ('safetensors', 'mobileone_s0.safetensors', 'safetensors', {'runtime': 'torch'})])
def test_exported_file_gives_the_same_results(checkpoint, tmp_path, caplog, form, file, package,
                                              settings):
    pytest.importorskip(package)
    if form == 'onnx':
        pytest.importorskip('onnx')
    weight, expected = checkpoint
    done = export('mobileone_s0', '--format', form, '--weight', weight, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / file)
    assert 'Gaze360 (research only)' in done.stderr
    assert 'on noise images: 0.000 deg' in done.stderr
    # The exported heads are in order, so no warning about head_order is logged.
    assert results(tmp_path / file, **settings) == pytest.approx(expected, abs=1e-4)
    assert not [r for r in caplog.records if r.levelname == 'WARNING']
    left = {file} | ({'mobileone_s0.bin'} if form == 'openvino' else set())
    assert {path.name for path in tmp_path.iterdir()} == left


def test_coreml_package_has_the_expected_inputs_and_outputs(checkpoint, tmp_path):
    coremltools = pytest.importorskip('coremltools')
    done = export('mobileone_s0', '--format', 'coreml', '--precision', 'fp16', '--weight',
                  checkpoint[0], '--output', 'new/gaze', folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'not checked: Core ML runs on macOS only' in done.stderr
    spec = coremltools.utils.load_spec(str(tmp_path / 'new' / 'gaze.mlpackage'))
    assert [i.name for i in spec.description.input] == ['input']
    assert [o.name for o in spec.description.output] == ['yaw', 'pitch']
    assert spec.WhichOneof('Type') == 'mlProgram'
    assert list(spec.description.input[0].type.multiArrayType.shape) == [1, 3, 448, 448]


def test_onnx_is_converted_to_openvino(shared, tmp_path):
    pytest.importorskip('openvino')
    weight = shared / 'models' / 'mobileone_s0_gaze.onnx'
    done = export('mobileone_s0', '--format', 'openvino', '--weight', weight, '--output',
                  tmp_path / 'a.xml', folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / 'a.xml', precision='fp32') == pytest.approx(
        results(weight, precision='fp32'), abs=1e-4)


def test_int8_is_calibrated_on_a_clip_and_its_loss_printed(checkpoint, shared, tmp_path):
    pytest.importorskip('nncf')
    clip = shared / 'labelled' / 'four_targets' / 'video.mp4'
    done = export('mobileone_s0', '--format', 'openvino', '--weight', checkpoint[0], '--int8',
                  clip, '--output', 'q', folder=tmp_path)
    assert done.returncode == 0, done.stderr
    cost = re.search(r'int8 against fp32 on (\d+) other faces of video.mp4: mean ([\d.]+) deg',
                     done.stdout)
    assert int(cost[1]) >= 20
    assert 0.01 < float(cost[2]) < 20
    assert {path.name for path in tmp_path.iterdir()} == {'q.xml', 'q.bin'}
    estimator = create_estimator('mobileone_s0', Settings(
        weight=str(tmp_path / 'q.xml'), precision='int8'))
    assert estimator.running == 'openvino, cpu, int8'
    estimator.close()


@pytest.mark.parametrize(('words', 'reason'), [
    (['adas', '--format', 'onnx'], "model 'adas' has no checkpoint to export"),
    (['resnet99', '--format', 'onnx'], "model 'resnet99' is not one of"),
    (['mobileone_s0', '--format', 'onnx', '--int8', 'x.mp4'], '--int8 is for --format openvino'),
    (['mobileone_s0', '--format', 'onnx', '--precision', 'fp16'], '--precision fp16 is for'),
    (['mobileone_s0', '--format', 'coreml', '--weight', 'ONNX'], 'set weight to the checkpoint'),
    (['mobileone_s0', '--format', 'onnx', '--weight', 'README'], 'neither a checkpoint'),
    (['resnet18', '--format', 'onnx', '--weight', 'PT'], "it fits 'mobileone_s0'"),
    (['mobileone_s0', '--format', 'openvino', '--weight', 'PT', '--int8', '/no/such.mp4'],
     "input '/no/such.mp4' does not exist"),
    (['mobileone_s0', '--format', 'onnx', '--weight', 'PT', '--output', '/proc/x'],
     "'/proc/x.onnx' cannot be written")])
def test_export_error_is_reported_in_one_line(shared, tmp_path, words, reason):
    pytest.importorskip('torch')
    pytest.importorskip('onnx')
    (tmp_path / 'README').write_text('no weights')
    paths = {'PT': shared / 'models' / 'mobileone_s0.pt',
             'ONNX': shared / 'models' / 'mobileone_s0_gaze.onnx'}
    done = export(*(paths.get(w, w) for w in words), folder=tmp_path)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('gaze_ros models')]
    assert len(lines) == 1 and reason in lines[0], done.stderr
    assert 'Traceback' not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['README']


def test_every_architecture_has_a_model_to_export():
    pytest.importorskip('torch')
    from gaze_ros.core.networks import ARCHITECTURES
    names = {m.architecture for m in registry.manifest() if m.family in ('mobilegaze', 'l2cs')}
    assert names == set(ARCHITECTURES)


def test_existing_folder_is_not_overwritten(checkpoint, tmp_path):
    (tmp_path / 'mine.safetensors').mkdir()
    (tmp_path / 'mine.safetensors' / 'keep.txt').write_text('precious')
    done = export('mobileone_s0', '--format', 'safetensors', '--weight', checkpoint[0],
                  '--output', 'mine.safetensors', folder=tmp_path)
    assert done.returncode == 1
    assert "mine.safetensors' cannot be written" in done.stderr
    assert (tmp_path / 'mine.safetensors' / 'keep.txt').read_text() == 'precious'


@pytest.mark.parametrize(('file', 'words'), [
    ('retinaface_mnet025.onnx', 'two of (1, bins)'), ('mobileone_s0_gaze.onnx', 'horizontal')])
def test_failed_export_leaves_no_files(shared, tmp_path, file, words):
    pytest.importorskip('openvino')
    done = export('mobileone_s0', '--format', 'openvino', '--weight', shared / 'models' / file,
                  '--head-order', 'swapped' if 'mobileone' in file else 'auto', folder=tmp_path)
    assert done.returncode == 1
    assert not done.stdout
    assert words in done.stderr or 'is known as' in done.stderr
    assert not [*tmp_path.iterdir()]
