"""Weights that are not finite are refused, anywhere in a real network, with every runtime.

The outputs may hide them: OpenVINO's Relu turns NaN into 0.
"""
import shutil

from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Settings
import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
pytest.importorskip('openvino')
pytest.importorskip('onnxruntime')

#: Which weights of a network; how many values of each.
PLACES = [(slice(0, 1), 1), (slice(-1, None), 1), (slice(None), None)]


def estimator(model, **more):
    return lambda path: create_estimator(
        model, Settings(weight=str(path), device='cpu', threads=1, **more))


def detector(name):
    return lambda path: create_detector(name, weight=str(path), threads=1)


def small(path, value, form=np.float32, packed=True):
    """Write a network with the outputs of a gaze network, and set one weight to a value."""
    h, float32 = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.full((90, 3), 0.1, form)
    weight[40, 1] = value
    kernel = (onnx.numpy_helper.from_array(weight, 'w') if packed else
              h.make_tensor('w', float32, weight.shape, weight.ravel()))
    nodes = [h.make_node('GlobalAveragePool', ['x'], ['a']), h.make_node('Flatten', ['a'], ['f']),
             h.make_node('Cast', ['w'], ['v'], to=float32),
             h.make_node('Gemm', ['f', 'v'], ['g'], transB=1), h.make_node('Relu', ['g'], ['yaw']),
             h.make_node('Clip', ['g', '', 'most'], ['pitch'])]
    graph = h.make_graph(
        nodes, 'g', [h.make_tensor_value_info('x', float32, ['n', 3, 448, 448])],
        [h.make_tensor_value_info(name, float32, ['n', 90]) for name in ('yaw', 'pitch')],
        [kernel, h.make_tensor('most', float32, [], [np.inf])])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid('', 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize('runtime', ['openvino', 'onnx'])
@pytest.mark.parametrize(('form', 'packed'), [
    (np.float32, True), (np.float32, False), (np.float16, True), (np.float64, True)])
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_weights_of_every_type_and_layout(tmp_path, value, form, packed, runtime):
    opened = estimator('mobileone_s0', runtime=runtime)
    opened(small(tmp_path / 'n.onnx', 0.5, form, packed)).close()  # a bound may be infinite
    with pytest.raises(ModelError, match=r"weight '.*n.onnx'.*not finite"):
        opened(small(tmp_path / 'n.onnx', value, form, packed))


@pytest.mark.parametrize(('which', 'count'), PLACES)
@pytest.mark.parametrize(('name', 'opened'), [
    ('mobileone_s0_gaze.onnx', estimator('mobileone_s0', runtime='openvino')),
    ('mobileone_s0_gaze.onnx', estimator('mobileone_s0', runtime='onnx')),
    ('retinaface_mnet025.onnx', detector('retinaface')),
    ('face_detection_yunet_2026may.onnx', detector('yunet'))])
def test_weights_of_real_networks(tmp_path, shared, name, opened, which, count):
    network = onnx.load(shared / 'models' / name)
    weights = [w for w in network.graph.initializer if w.data_type == 1 and len(w.dims) > 1]
    for weight in weights[which]:
        numbers = onnx.numpy_helper.to_array(weight).copy()
        numbers.flat[:count] = np.nan
        weight.CopyFrom(onnx.numpy_helper.from_array(numbers, weight.name))
    onnx.save(network, tmp_path / name)
    with pytest.raises(ModelError, match=rf"{name}'.*not finite"):
        opened(tmp_path / name)


@pytest.mark.parametrize(('which', 'count'), PLACES)
@pytest.mark.parametrize(('name', 'asked', 'opened'), [
    ('gaze-estimation-adas-0002', 'gaze-estimation-adas-0002', estimator('adas')),
    ('head-pose-estimation-adas-0001', 'gaze-estimation-adas-0002', estimator('adas')),
    ('landmarks-regression-retail-0009', 'gaze-estimation-adas-0002', estimator('adas')),
    ('open-closed-eye-0001', 'gaze-estimation-adas-0002', estimator('adas')),
    ('face-detection-adas-0001', 'face-detection-adas-0001', detector('adas-0001')),
    ('face-detection-retail-0004', 'face-detection-retail-0004', detector('retail-0004'))])
def test_weights_of_intel_networks(tmp_path, shared, name, asked, opened, which, count):
    for path in (shared / 'models' / 'intel').iterdir():
        shutil.copy(path, tmp_path)
    path = tmp_path / f'{name}.bin'
    data = path.read_bytes()
    numbers = np.frombuffer(data, '<f4', len(data) // 4).copy()
    # Integers and shapes are among them; read as floats they are zero, tiny or NaN.
    weights = np.flatnonzero((1e-4 < np.abs(numbers)) & (np.abs(numbers) < 10))
    numbers[weights[which]] = np.nan
    path.write_bytes(numbers.tobytes() + data[4 * len(numbers):])
    with pytest.raises(ModelError, match=rf"{name}.xml'.*not finite"):
        opened(tmp_path / f'{asked}.xml')


def test_weights_of_a_real_checkpoint(tmp_path, shared):
    torch = pytest.importorskip('torch')
    state = torch.load(shared / 'models' / 'mobileone_s0.pt', weights_only=True)
    key = next(k for k, v in state.items() if v.ndim == 4)
    state[key].view(-1)[7] = torch.nan
    torch.save(state, tmp_path / 'n.pt')
    with pytest.raises(ModelError, match=rf"n.pt' holds {key} .*not finite"):
        estimator('mobileone_s0')(tmp_path / 'n.pt')
