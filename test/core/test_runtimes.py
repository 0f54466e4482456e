"""Every runtime gives the same gaze, or reports in one line why it cannot run."""
from functools import partial
from importlib.util import find_spec
import subprocess
import sys

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.evaluation.metrics import angular_errors
from gaze_ros.core.runtimes import available, CHECKPOINTS, onnx_file, open_network, RUNTIMES
from gaze_ros.core.runtimes.conversion import (
    COREML_BATCH,
    OUTPUTS,
    to_coreml,
    to_onnx,
    to_openvino,
)
import numpy as np
import pytest

PT, ONNX = 'mobileone_s0.pt', 'mobileone_s0_gaze.onnx'
PACKAGES = {name: row[2] for name, row in RUNTIMES.items()}
SIZE = 64


@pytest.fixture(scope='module')
def torch():
    return pytest.importorskip('torch')


@pytest.fixture(scope='module')
def small(torch):
    """Return a net with random weights and two heads that differ."""
    class Small(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3, 2)
            self.yaw, self.pitch = torch.nn.Linear(8, 5), torch.nn.Linear(8, 5)

        def forward(self, x):
            x = self.conv(x).relu().mean((2, 3))
            return self.yaw(x), self.pitch(x) + 10

    torch.manual_seed(0)
    return Small().eval()


def batch(count, size=SIZE):
    return np.random.default_rng(count).normal(size=(count, 3, size, size)).astype(np.float32)


def infer(net, x):
    import torch
    with torch.inference_mode():
        return [o.numpy() for o in net(torch.from_numpy(x))]


@pytest.fixture(scope='module')
def faces(shared, four_targets, detector, every):
    """Return images with real faces: twelve near ones, and those of a classroom."""
    seen = [(image, [face]) for image, face, _ in four_targets[::4]]
    for _, image in every(shared / 'videos' / 'classroom_720p.mp4', 150):
        seen.append((image, detector.detect(image)))
    assert sum(len(found) for _, found in seen) >= 20
    return seen


@pytest.fixture(scope='module')
def gazes(shared, faces):
    """Return a function that returns the gazes of the faces, near ones first."""
    known = {}

    def estimate(model, weight, **settings):
        key = (weight, *settings.items())
        if key not in known:
            estimator = create_estimator(model, Settings(
                weight=str(shared / 'models' / weight), device='cpu', threads=2, **settings))
            found = [estimator.estimate(image, those) for image, those in faces]
            estimator.close()
            known[key] = estimator.running, np.array(
                [(e.pitch, e.yaw) for those in found for e in those])
        return known[key]
    return estimate


def apart(gazes, model, weight, reference, **settings):
    """Return the angles in degrees between two runs, and how the first ran."""
    running, found = gazes(model, weight, **settings)
    return np.degrees(angular_errors(found, reference)), running


def bf16_or_skip():
    openvino = pytest.importorskip('openvino')
    if 'BF16' not in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        pytest.skip('this CPU has no bf16')


@pytest.mark.parametrize(('weight', 'runtime'), [
    (PT, 'openvino'), (ONNX, 'openvino'), (PT, 'onnx'), (ONNX, 'onnx')])
def test_every_runtime_gives_the_same_gaze_as_torch(gazes, torch, weight, runtime):
    pytest.importorskip(PACKAGES[runtime])
    if (weight, runtime) == (PT, 'onnx'):
        pytest.importorskip('onnx')
    _, reference = gazes('mobileone_s0', PT, runtime='torch', precision='fp32')
    angles, running = apart(
        gazes, 'mobileone_s0', weight, reference, runtime=runtime, precision='fp32')
    assert running == f'{runtime}, cpu, fp32'
    assert np.ptp(np.degrees(reference), axis=0).min() > 20
    assert angles.mean() <= 0.1
    assert angles.max() <= 0.1


@pytest.mark.parametrize(('weight', 'runtime'), [(PT, 'torch'), (ONNX, 'openvino')])
def test_half_precision_changes_mobileone_by_about_a_degree(gazes, torch, weight, runtime):
    """As much as rounding the weights does; small faces change by more than a degree."""
    bf16_or_skip()
    _, reference = gazes('mobileone_s0', PT, runtime='torch', precision='fp32')
    angles, running = apart(
        gazes, 'mobileone_s0', weight, reference, runtime=runtime, precision='bf16')
    assert running == f'{runtime}, cpu, bf16'
    assert 0.1 < angles[:12].mean() < 1.7
    assert np.median(angles) < 2.5


def test_half_precision_hardly_changes_adas(gazes):
    bf16_or_skip()
    weight = 'intel/gaze-estimation-adas-0002.xml'
    _, reference = gazes('adas', weight, precision='fp32')
    angles, running = apart(gazes, 'adas', weight, reference, precision='bf16')
    seen = np.isfinite(angles)
    assert running == 'openvino, cpu, bf16'
    assert seen.sum() >= 20
    assert angles[seen].mean() <= 0.5


@pytest.mark.parametrize('runtime', ['openvino', 'onnx', 'torch'])
def test_any_batch_size_gives_the_same_as_one_by_one(shared, torch, runtime):
    pytest.importorskip(PACKAGES[runtime])
    from gaze_ros.core.networks.checkpoints import load_network
    path = shared / 'models' / (PT if runtime == 'torch' else ONNX)
    net, _ = load_network('mobileone_s0', str(shared / 'models' / PT))
    network = open_network(
        path, runtime=runtime, device='cpu', precision='fp32', threads=1, size=448,
        module=(lambda: net) if runtime == 'torch' else None)
    five = batch(5, 448)
    # What is returned may be overwritten by the next call.
    alone = [[o.copy() for o in network(five[i:i + 1])] for i in range(5)]
    for count in (1, 5, 2, 4, 3):
        together = network(five[:count])
        assert [o.shape for o in together] == [(count, 90)] * 2
        for head in (0, 1):
            assert together[head] == pytest.approx(
                np.concatenate([one[head] for one in alone[:count]]), abs=2e-3)


@pytest.mark.parametrize('runtime', ['openvino', 'onnx', 'torch'])
def test_order_of_outputs_is_kept(small, tmp_path, runtime):
    pytest.importorskip(PACKAGES[runtime])
    if runtime == 'onnx':
        pytest.importorskip('onnx')
    network = open_network(
        tmp_path / 'a.pt', runtime=runtime, device='cpu', precision='fp32', threads=1, size=SIZE,
        module=lambda: small)
    assert (network.runtime, network.device, network.precision) == (runtime, 'cpu', 'fp32')
    for count in (1, 3, 2):
        found = network(batch(count))
        for a, b in zip(found, infer(small, batch(count))):
            assert a == pytest.approx(b, abs=1e-4)
        assert found[0].mean() < 5 < found[1].mean()


def test_exported_onnx_has_yaw_first_and_any_batch_size(small, tmp_path):
    onnx = pytest.importorskip('onnx')
    model = onnx.load_from_string(to_onnx(small, SIZE))
    onnx.checker.check_model(model)
    assert [i.name for i in model.graph.input] == ['input']
    assert [o.name for o in model.graph.output] == list(OUTPUTS) == ['yaw', 'pitch']
    sides = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [0, 3, SIZE, SIZE]
    onnxruntime = pytest.importorskip('onnxruntime')
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider'])
    for count in (1, 4):
        for a, b in zip(session.run(['yaw', 'pitch'], {'input': batch(count)}),
                        infer(small, batch(count))):
            assert a == pytest.approx(b, abs=1e-4)


def test_exported_openvino_has_yaw_first_and_any_batch_size(small, tmp_path):
    openvino = pytest.importorskip('openvino')
    openvino.save_model(to_openvino(small, SIZE), tmp_path / 'a.xml', compress_to_fp16=False)
    model = openvino.Core().read_model(tmp_path / 'a.xml')
    assert [i.get_any_name() for i in model.inputs] == ['input']
    assert [o.get_any_name() for o in model.outputs] == ['yaw', 'pitch']
    assert model.inputs[0].partial_shape.to_string() == f'[?,3,{SIZE},{SIZE}]'
    network = open_network(tmp_path / 'a.xml', precision='fp32', device='cpu', threads=1)
    for count in (1, 4):
        for a, b in zip(network(batch(count)), infer(small, batch(count))):
            assert a == pytest.approx(b, abs=1e-4)


@pytest.mark.parametrize(('precision', 'kind'), [('fp16', 10), ('fp32', 11)])
def test_exported_core_ml_has_yaw_first_and_the_precision(small, precision, kind):
    """Only its description: prediction needs macOS, where these tests are not run."""
    pytest.importorskip('coremltools')
    spec = to_coreml(small, SIZE, precision).get_spec()
    given, = spec.description.input
    assert given.name == 'input'
    assert list(given.type.multiArrayType.shape) == [1, 3, SIZE, SIZE]
    ranges = given.type.multiArrayType.shapeRange.sizeRanges
    assert [(r.lowerBound, r.upperBound) for r in ranges] == [
        (1, COREML_BATCH), (3, 3), (SIZE, SIZE), (SIZE, SIZE)]
    assert [o.name for o in spec.description.output] == ['yaw', 'pitch']
    function, = spec.mlProgram.functions.values()
    block, = function.block_specializations.values()
    made = {op.type: op.outputs[0].type.tensorType.dataType for op in block.operations}
    assert made['conv'] == kind  # MIL's FLOAT16 and FLOAT32
    # The head of the second output is the one that ten is added to.
    assert list(block.outputs) == ['yaw', 'pitch']
    by_output = {output.name: op for op in block.operations for output in op.outputs}

    def before(name):
        op = by_output[name]
        if op.type != 'cast':
            return op.type
        return before(next(iter(op.inputs['x'].arguments)).name)
    assert [before(name) for name in ('yaw', 'pitch')] == ['linear', 'add']


@pytest.mark.parametrize(('wanted', 'words'), [
    ({'path': 'a.txt'}, ["'.txt'", *CHECKPOINTS, '.onnx', '.xml', '.mlpackage']),
    ({'path': 'a'}, ["ends in ''"]),
    ({'path': 'a.onnx', 'runtime': 'torch'}, ["'torch' does not read", 'openvino or onnx']),
    ({'path': 'a.xml', 'runtime': 'onnx'}, ["'onnx' does not read", 'auto or to openvino']),
    ({'path': 'a.xml', 'runtime': 'torch'}, ["'torch' does not read"]),
    ({'path': 'a.onnx', 'runtime': 'coreml'}, ["'coreml' does not read"]),
    ({'path': 'a.mlpackage', 'runtime': 'openvino'}, ["'openvino' does not read", 'coreml']),
    ({'path': 'a.pt', 'device': 'cuda'}, ["'cuda' is not available", 'openvino or onnx', 'cpu']),
    ({'path': 'a.pt', 'device': 'cuda', 'runtime': 'torch'},
     ["'cuda' is not available for torch"]),
    ({'path': 'a.onnx', 'device': 'cuda', 'runtime': 'onnx'},
     ["'cuda' is not available for onnx"]),
    ({'path': 'a.onnx', 'device': 'cuda', 'runtime': 'openvino'}, ["'cuda' is not available"]),
    ({'path': 'a.onnx', 'device': 'mps'}, ["'mps' is not available"]),
    ({'path': 'a.pt', 'device': 'mps', 'runtime': 'torch'}, ["'mps' is not available for torch"]),
    ({'path': 'a.xml', 'device': 'npu'}, ["'npu' is not available for openvino"]),
    ({'path': 'a.pt', 'device': 'npu', 'runtime': 'torch'}, ["'npu' is not available for torch"]),
    ({'path': 'a.pt', 'runtime': 'coreml'}, ["'coreml'", 'macOS only']),
    ({'path': 'a.mlpackage'}, ["'coreml'", 'macOS only'])])
def test_incompatible_options_are_reported(tmp_path, wanted, words):
    for package in ('openvino', 'onnxruntime', 'torch', 'coremltools'):
        pytest.importorskip(package)
    device = wanted.get('device', 'cpu')
    if device != 'cpu' and any(available(name, device) for name in RUNTIMES):
        pytest.skip(f'this machine has {device}')
    if sys.platform == 'darwin' and 'macOS only' in words:
        pytest.skip('this is macOS')
    with pytest.raises(ModelError) as error:
        open_network(tmp_path / wanted.pop('path'), **wanted, module=None)
    assert [w for w in words if w not in str(error.value)] == []
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('weight', 'runtime', 'precision', 'words'), [
    (ONNX, 'openvino', 'int8', ['quantised', ONNX, 'models export']),
    (PT, 'openvino', 'int8', ['quantised', "checkpoint's", 'models export']),
    (ONNX, 'onnx', 'fp16', ["'fp16'", "'onnx'", 'auto or fp32']),
    (ONNX, 'onnx', 'bf16', ["'bf16'", "'onnx'"]), (PT, 'onnx', 'int8', ["'int8'", "'onnx'"]),
    (PT, 'torch', 'int8', ["'int8'", 'fp32, fp16, bf16', 'models export'])])
def test_precision_that_the_runtime_lacks_is_reported(shared, weight, runtime, precision, words):
    for package in (PACKAGES[runtime], 'torch'):
        pytest.importorskip(package)
    with pytest.raises(ModelError) as error:
        create_estimator('mobileone_s0', Settings(
            weight=str(shared / 'models' / weight), runtime=runtime, precision=precision,
            device='cpu'))
    assert [w for w in words if w not in str(error.value)] == []
    assert '\n' not in str(error.value)


def test_precision_that_the_cpu_lacks_is_reported(shared, monkeypatch):
    openvino = pytest.importorskip('openvino')
    real = openvino.Core.get_property
    monkeypatch.setattr(
        openvino.Core, 'get_property', lambda core, *what:
        ['FP32', 'INT8'] if what[-1] == 'OPTIMIZATION_CAPABILITIES' else real(core, *what))
    for precision in ('bf16', 'fp16'):
        with pytest.raises(ModelError, match=f"'{precision}' is not native.*FP32, INT8.*fp32"):
            open_network(shared / 'models' / ONNX, runtime='openvino', precision=precision)


@pytest.mark.parametrize(('suffix', 'runtime', 'gone', 'words'), [
    ('.onnx', 'auto', ['openvino', 'onnxruntime'],
     ['openvino or onnxruntime', 'pip install openvino or pip install onnxruntime onnx']),
    ('.onnx', 'onnx', ['onnxruntime'], ['pip install onnxruntime onnx']),
    ('.xml', 'auto', ['openvino'], ['pip install openvino']),
    ('.pt', 'auto', ['torch'], ['pip install torch safetensors']),
    ('.safetensors', 'openvino', ['torch'], ['pip install torch safetensors']),
    ('.mlpackage', 'auto', ['coremltools'], ['pip install coremltools'])])
def test_missing_package_is_reported_with_the_install_command(
        tmp_path, monkeypatch, suffix, runtime, gone, words):
    for package in gone:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError) as error:
        open_network(tmp_path / f'a{suffix}', runtime=runtime)
    assert [w for w in [*gone, *words] if w not in str(error.value)] == []


def test_exporting_a_checkpoint_to_onnx_needs_onnx(small, monkeypatch, tmp_path):
    pytest.importorskip('onnxruntime')
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(ModelError, match='package onnx: pip install onnx'):
        open_network(tmp_path / 'a.pt', runtime='onnx', module=lambda: small, size=SIZE)


@pytest.mark.parametrize(('gone', 'expected'), [
    ([], 'openvino'), (['openvino'], 'onnx'), (['openvino', 'onnxruntime'], 'torch')])
def test_auto_runtime_is_the_first_installed(small, monkeypatch, tmp_path, gone, expected):
    for package in (PACKAGES[expected], 'onnx'):
        pytest.importorskip(package)
    monkeypatch.setattr('gaze_ros.core.runtimes.find_spec',
                        lambda name: None if name in gone else find_spec(name))
    network = open_network(
        tmp_path / 'a.pt', device='cpu', module=lambda: small, size=SIZE, threads=1)
    assert network.runtime == expected


@pytest.mark.parametrize('content', [b'', b'<!DOCTYPE html><html>Not Found</html>' * 99, None])
@pytest.mark.parametrize(('name', 'runtime'), [
    ('a.onnx', 'openvino'), ('a.onnx', 'onnx'), ('a.xml', 'openvino')])
def test_invalid_network_file_is_reported(shared, tmp_path, name, runtime, content):
    pytest.importorskip(PACKAGES[runtime])
    if content is None:  # truncated
        real = ONNX if name == 'a.onnx' else 'intel/gaze-estimation-adas-0002.xml'
        content = (shared / 'models' / real).read_bytes()
        content = content[:len(content) // 2]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"weight '.*{name}' is not a network") as error:
        open_network(tmp_path / name, runtime=runtime)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('where', ['initializer', 'constant', 'sparse constant', 'sparse'])
def test_onnx_with_external_weights_is_refused(tmp_path, where):
    onnx = pytest.importorskip('onnx')
    h, kinds = onnx.helper, onnx.TensorProto
    there = kinds(name='w', data_type=1, dims=[1], data_location=kinds.EXTERNAL)
    there.external_data.add(key='location', value='w.bin')
    (tmp_path / 'w.bin').write_bytes(bytes(4))
    sparse = h.make_sparse_tensor(there, h.make_tensor('i', kinds.INT64, [1], [0]), [1])
    constant = {'constant': {'value': there}, 'sparse constant': {'sparse_value': sparse}}
    nodes = [h.make_node('Constant', [], ['w'], **constant.get(where, {}))] * (where in constant)
    (tmp_path / 'a.onnx').write_bytes(h.make_model(h.make_graph(
        [*nodes, h.make_node('Mul', ['x', 'w'], ['y'])], 'g',
        [h.make_tensor_value_info('x', kinds.FLOAT, [1])],
        [h.make_tensor_value_info('y', kinds.FLOAT, [1])],
        [there] * (where == 'initializer'),
        sparse_initializer=[sparse] * (where == 'sparse'))).SerializeToString())
    assert 'another file' in onnx_file.network_problem(tmp_path / 'a.onnx')


@pytest.mark.parametrize('what', ['nothing', 'html', 'an empty manifest'])
def test_invalid_core_ml_package_is_reported(tmp_path, what):
    """Reading it fails on every machine, before it is run on macOS."""
    pytest.importorskip('coremltools')
    from gaze_ros.core.runtimes.coreml_runtime import CoreMLNetwork
    path = tmp_path / 'a.mlpackage'
    if what == 'html':
        path.write_text('<html>Not Found</html>')
    else:
        path.mkdir()
    if what == 'an empty manifest':
        (path / 'Manifest.json').write_text('{}')
    with pytest.raises(ModelError, match=r'a\.mlpackage.*not a Core ML program') as error:
        CoreMLNetwork(path, device='cpu', precision='auto')
    assert '\n' not in str(error.value)


def test_core_ml_has_two_precisions(small):
    pytest.importorskip('coremltools')
    from gaze_ros.core.runtimes.coreml_runtime import CoreMLNetwork
    with pytest.raises(ModelError, match="'bf16'.*fp16, fp32"):
        CoreMLNetwork(small, device='cpu', precision='bf16', size=SIZE)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('runtime', ['openvino', 'onnx'])
@pytest.mark.parametrize(('change', 'words'), [
    ('one output', ['[(1, 5)]', 'two of (1, bins)']), ('other sizes', ['(1, 5), (1, 6)']),
    ('smaller input', ['448 x 448'])])
def test_wrong_network_is_refused_before_the_first_image(
        torch, tmp_path, runtime, change, words):
    for package in ('onnx', PACKAGES[runtime]):
        pytest.importorskip(package)

    class Other(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3 * 7 * 7, 11)

        def forward(self, x):
            if change == 'smaller input':
                x = x.reshape(-1, 3, 7, SIZE // 7 + 1, 7, SIZE // 7 + 1).mean((3, 5))
            else:
                x = torch.nn.functional.adaptive_avg_pool2d(x, 7)
            x = self.head(x.flatten(1))
            return x[:, :5] if change == 'one output' else (x[:, :5], x[:, 5:])

    size = 70 if change == 'smaller input' else 448
    names = ['a'] if change == 'one output' else ['a', 'b']
    dynamic = {} if change == 'smaller input' else {n: {0: 'batch'} for n in ('input', *names)}
    path = tmp_path / 'a.onnx'
    torch.onnx.export(Other().eval(), (torch.zeros(1, 3, size, size),), path, dynamo=False,
                      input_names=['input'], output_names=names, dynamic_axes=dynamic)
    with pytest.raises(ModelError, match=r'a\.onnx') as error:
        create_estimator('mobileone_s0', Settings(
            weight=str(path), runtime=runtime, device='cpu', threads=1))
    assert [w for w in words if w not in str(error.value)] == []
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', [
    'retinaface_mnet025.onnx', 'intel/head-pose-estimation-adas-0001.xml',
    'intel/gaze-estimation-adas-0002.xml'])
def test_real_network_of_another_kind_is_refused(shared, name):
    pytest.importorskip('openvino')
    with pytest.raises(ModelError, match=f"{name}.*model 'mobileone_s0'"):
        create_estimator('mobileone_s0', Settings(
            weight=str(shared / 'models' / name), device='cpu', threads=1))


def test_openvino_telemetry_is_disabled():
    pytest.importorskip('openvino')
    code = ('import gaze_ros.core.runtimes, openvino, sys, multiprocessing; '
            'assert openvino.tools.ovc.telemetry_utils.tm.__name__.endswith("stub"); '
            'assert not multiprocessing.active_children()')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=60)


def test_openvino_reads_what_the_input_holds_now(shared):
    """The tensor of an input is kept, while its content, place and layout change."""
    pytest.importorskip('openvino')
    file = shared / 'models' / 'intel' / 'landmarks-regression-retail-0009.xml'
    open_one = partial(
        open_network, file, runtime='openvino', device='cpu', threads=1, batches=(2,))
    network = open_one()
    rng = np.random.default_rng(3)
    buffer = np.empty((3, 3, 48, 48), np.float32)
    for number in range(12):
        if number % 4 == 3:
            buffer = np.empty((3, 48, 48, 3), np.float32).transpose(0, 3, 1, 2)
        elif number % 4 == 0:
            buffer = np.empty((3, 3, 48, 48), np.float32)  # often where the last one was
        buffer[:] = rng.uniform(0, 255, buffer.shape)
        count = 1 + number % 3
        found = [o.copy() for o in network(buffer[:count])]
        expected = open_one()(np.ascontiguousarray(buffer[:count]))
        read_only = buffer[:count].copy()
        read_only.flags.writeable = False
        np.testing.assert_array_equal(network(read_only)[0], found[0])
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_openvino_does_not_pin_its_threads(shared):
    # Pinned, the threads of two networks share one core while the others idle.
    pytest.importorskip('openvino')
    network = open_network(
        shared / 'models' / 'face_detection_yunet_2026may.onnx', runtime='openvino',
        device='cpu', threads=1, size=64)
    compiled = network._requests[1].request.get_compiled_model()
    assert compiled.get_property('ENABLE_CPU_PINNING') is False


def _refuse(*_):
    raise RuntimeError('refused')


def test_openvino_copies_a_network_in_use(small, tmp_path, monkeypatch):
    openvino = pytest.importorskip('openvino')
    file = tmp_path / 'a.xml'
    openvino.save_model(to_openvino(small, SIZE), file, compress_to_fp16=False)
    open_one = partial(open_network, file, precision='fp32', device='cpu', batches=(2,))
    original = open_one(threads=2)
    expected = [o.copy() for o in original(batch(3))]
    with monkeypatch.context() as patch:
        patch.setattr(openvino.Core, 'compile_model', _refuse)
        copy = open_one(threads=1)
        for other in ({'size': 32}, {'batches': ()}, {'precision': 'auto'}):
            with pytest.raises(ModelError, match='refused'):
                open_one(**other)
    assert [compiled.get_property('INFERENCE_NUM_THREADS') for network in (original, copy)
            for compiled in network._compiled.values()] == [2, 2, 1, 1]
    for a, b in zip(copy(batch(3)), expected, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    outputs = original(batch(3))
    copy(batch(2))
    for a, b in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    # The copy survives its original; without it, the file is compiled again.
    del original, outputs
    for a, b in zip(copy(batch(3)), open_one(threads=1)(batch(3)), strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_openvino_compiles_a_network_that_cannot_be_copied(small, tmp_path, monkeypatch):
    openvino = pytest.importorskip('openvino')
    file = tmp_path / 'a.xml'
    openvino.save_model(to_openvino(small, SIZE), file, compress_to_fp16=False)
    open_one = partial(open_network, file, precision='fp32', device='cpu', threads=1)
    original = open_one()
    with monkeypatch.context() as patch:
        patch.setattr(openvino.Core, 'import_model', _refuse)
        second = open_one()
    for a, b in zip(original(batch(1)), second(batch(1)), strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    del original
    monkeypatch.setattr(openvino.Core, 'compile_model', _refuse)
    open_one()  # a copy of the second


def test_openvino_reads_a_file_that_was_replaced(small, torch, tmp_path):
    openvino = pytest.importorskip('openvino')
    file = tmp_path / 'a.xml'
    openvino.save_model(to_openvino(small, SIZE), file, compress_to_fp16=False)
    network = open_network(file, precision='fp32', device='cpu', threads=1)
    other = torch.nn.Sequential(small)
    other.forward = lambda x: tuple(5 - o for o in small(x))
    openvino.save_model(to_openvino(other, SIZE), file, compress_to_fp16=False)
    for first, second in zip(network(batch(1)), open_network(
            file, precision='fp32', device='cpu', threads=1)(batch(1)), strict=True):
        assert second == pytest.approx(5 - first, abs=1e-4)


@pytest.mark.parametrize('name', ['intel/gaze-estimation-adas-0002.xml', ONNX])
def test_copy_of_a_real_network_has_the_same_outputs(shared, name):
    """In the precision that is the fastest here, which may be bf16."""
    pytest.importorskip('openvino')
    networks = [open_network(shared / 'models' / name, runtime='openvino', device='cpu',
                             threads=1) for _ in range(2)]
    assert networks[0].precision == networks[1].precision
    rng = np.random.default_rng(5)
    inputs = [rng.uniform(0, 1, shape).astype(np.float32) for shape in networks[0].shapes]
    for a, b in zip(*(network(*inputs) for network in networks), strict=True):
        np.testing.assert_array_equal(a, b)
