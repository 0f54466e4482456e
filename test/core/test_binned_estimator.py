"""MobileGaze and L2CS-Net: weights are random unless a file of ../shared is named."""
import math
import os
from pathlib import Path
import pickle
import sys

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.estimators.binned_estimator import decode, face_input
from gaze_ros.core.evaluation.mirror_test import mirror_angles
from gaze_ros.core.geometry.crops import InputBatch
from gaze_ros.core.types import Face
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

IMAGE = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
FACES = [Face((30, 40, 100, 120), 0.9), Face((-20, 100, 300, 250), 0.8), Face((9, 9, 1, 1), 0.7)]


@pytest.fixture(scope='module')
def torch():
    return pytest.importorskip('torch')


def random_net(architecture='mobileone_s0', bins=90):
    """Return a network with random, untrained weights."""
    from gaze_ros.core.networks import build
    import torch
    torch.manual_seed(0)
    net = build(architecture, bins).eval()
    for name, tensor in net.named_parameters():
        if name.endswith('conv.weight'):  # keeps the signal alive without normalisation
            torch.nn.init.kaiming_normal_(tensor, nonlinearity='relu')
        if name.startswith('fc_'):  # makes the faces differ
            torch.nn.init.normal_(tensor, std=0.1)
    return net


@pytest.fixture
def saved(tmp_path, torch):
    """Return a function that saves an object with torch and returns its path."""
    def save(thing, name='a.pt'):
        torch.save(thing, tmp_path / name)
        return str(tmp_path / name)
    return save


@pytest.fixture(scope='module')
def s0(torch, tmp_path_factory):
    """Return a file with random weights for MobileOne-S0."""
    path = tmp_path_factory.mktemp('s0') / 's0.pt'
    torch.save(random_net().state_dict(), path)
    return str(path)


@pytest.fixture(scope='module')
def real(shared, torch):
    """Return the estimator with the real weights, in torch."""
    return mobileone(shared / 'models' / 'mobileone_s0.pt')


def mobileone(weight, model='mobileone_s0', **settings):
    settings = {'runtime': 'torch', 'device': 'cpu', 'threads': 1, **settings}
    return create_estimator(model, Settings(weight=str(weight), **settings))


def angles(estimates):
    return np.array([(e.pitch, e.yaw) for e in estimates])


def test_batch_result_equals_single_results(s0):
    estimator = mobileone(s0)
    together = estimator.estimate(IMAGE, FACES)
    alone = [estimator.estimate(IMAGE, [face])[0] for face in FACES]
    for a, b in zip(together, alone):
        assert (a.pitch, a.yaw, a.confidence) == pytest.approx(
            (b.pitch, b.yaw, b.confidence), abs=1e-3)
        assert 0 < a.confidence <= 1
    assert abs(alone[0].yaw - alone[1].yaw) > 0.01
    assert estimator.estimate(IMAGE, []) == []


def test_faces_may_be_cropped_into_one_buffer():
    faces = [Face((10, 10, 0, 9), 0.9), *FACES]
    apart = [c for f in faces if (c := face_input(IMAGE, f)) is not None]
    assert [c.shape for c in apart] == [(448, 448, 3)] * 3
    expected = InputBatch().fill(apart).copy()
    into = np.empty((448, 448, 3), np.uint8)
    made = (c for f in faces if (c := face_input(IMAGE, f, into=into)) is not None)
    assert np.array_equal(InputBatch().fill(made, len(faces)), expected)
    assert face_input(IMAGE, FACES[0], into=into) is into


@pytest.mark.parametrize('crop', ['square', 'raw'])
def test_faces_outside_the_image_have_no_gaze_and_do_not_affect_others(s0, crop):
    estimator = mobileone(s0, crop=crop)
    nowhere = [Face(box, 0.9) for box in (
        (10, 10, 0, 9), (10, 10, 9, 0), (10, 10, -9, 9), (-90, 10, 80, 90), (400, 10, 80, 90),
        (10, 300, 80, 90))]
    good = FACES[:2]
    found = estimator.estimate(IMAGE, [*nowhere[:3], good[0], *nowhere[3:], good[1]])
    for i in (0, 1, 2, 4, 5, 6):
        assert math.isnan(found[i].pitch) and math.isnan(found[i].yaw)
        assert found[i].confidence == 0
    assert angles([found[3], found[7]]) == pytest.approx(
        angles(estimator.estimate(IMAGE, good)), abs=1e-3)
    assert [math.isnan(e.pitch) for e in estimator.estimate(IMAGE, nowhere)] == [True] * 6


def upstream(net, image, size=448):
    """Return pitch and yaw of a face crop as yakhyo/gaze-estimation computes them."""
    import torch
    rgb = cv2.resize(image, (size, size))[:, :, ::-1] / 255
    rgb = (rgb - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    with torch.inference_mode():
        heads = net(torch.tensor(rgb.transpose(2, 0, 1)[None], dtype=torch.float32))
    return [math.radians(4 * float(h.softmax(1) @ torch.arange(90.0)) - 180) for h in heads]


def test_input_and_outputs_match_upstream(s0):
    """RGB, normalised by ImageNet; 90 bins of 4 degrees from -180; yaw to the left."""
    for crop, size in (('square', 224), ('raw', 448)):  # the first is enlarged then
        image = cv2.resize(IMAGE, (size, size))
        yaw, pitch = upstream(random_net(), image)
        whole = [Face((0, 0, size, size), 0.9)]
        estimate, = mobileone(s0, crop=crop, crop_scale=1.0).estimate(image, whole)
        assert (estimate.pitch, estimate.yaw) == pytest.approx((pitch, -yaw), abs=1e-3)
    assert min(abs(pitch), abs(yaw)) > 0.01
    other, = mobileone(s0, crop_scale=0.8).estimate(image, whole)
    assert angles([other])[0] != pytest.approx((pitch, -yaw), abs=1e-3)


@pytest.mark.parametrize('runtime', ['torch', 'openvino', 'onnx'])
@pytest.mark.parametrize('size', [224, 320])
def test_input_size_is_applied(s0, runtime, size):
    for package in {'onnx': ('onnx', 'onnxruntime')}.get(runtime, (runtime,)):
        pytest.importorskip(package)
    # The first crop is enlarged if the input is larger.
    for crop, side in (('square', 224), ('raw', size)):
        image = cv2.resize(IMAGE, (side, side))
        yaw, pitch = upstream(random_net(), image, size)
        estimate, = mobileone(
            s0, crop=crop, crop_scale=1.0, runtime=runtime, precision='fp32', input_size=size,
        ).estimate(image, [Face((0, 0, side, side), 0.9)])
        assert (estimate.pitch, estimate.yaw) == pytest.approx((pitch, -yaw), abs=1e-3)


def test_openvino_reshapes_a_fixed_size_file(shared, real, four_targets):
    pytest.importorskip('openvino')
    onnx, pt = (shared / 'models' / name for name in ('mobileone_s0_gaze.onnx', 'mobileone_s0.pt'))
    changed = mobileone(onnx, runtime='openvino', precision='fp32', input_size=320)
    reference = mobileone(pt, input_size=320)
    for image, face, _ in four_targets[::15]:
        expected = angles(reference.estimate(image, [face]))
        assert angles(changed.estimate(image, [face])) == pytest.approx(expected, abs=1e-3)
        assert np.abs(expected - angles(real.estimate(image, [face]))).max() > 1e-3


def test_fixed_size_file_with_another_input_size_is_reported(shared):
    pytest.importorskip('onnxruntime')
    with pytest.raises(ModelError) as error:
        mobileone(shared / 'models' / 'mobileone_s0_gaze.onnx', runtime='onnx', input_size=320)
    for words in ('320 x 320', 'set input_size', 'openvino', 'checkpoint', 'Expected: 448'):
        assert words in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize(('runtime', 'sides'), [('onnx', 'open'), ('openvino', 'fixed')])
def test_exported_file_accepts_another_size(s0, tmp_path, torch, runtime, sides):
    for package in ('onnx', 'onnxruntime', 'openvino'):
        pytest.importorskip(package)
    axes = {name: {0: 'batch'} for name in ('input', 'yaw', 'pitch')}
    axes['input'] |= {2: 'height', 3: 'width'} if sides == 'open' else {}
    torch.onnx.export(random_net(), (torch.zeros(1, 3, 448, 448),), tmp_path / 'a.onnx',
                      input_names=['input'], output_names=['yaw', 'pitch'], dynamo=False,
                      dynamic_axes=axes)
    found, expected = (
        angles(mobileone(weight, runtime=kind, precision='fp32', input_size=224, head_order=order)
               .estimate(IMAGE, FACES))
        for weight, kind, order in ((tmp_path / 'a.onnx', runtime, 'auto'),
                                    (s0, 'torch', 'as_named')))
    assert found == pytest.approx(expected, abs=1e-3)


def test_raw_crop_matches_upstream_on_real_faces(shared, real, four_targets):
    """Except for rounding: a tenth of a grey level moves the output of these weights by 1 deg."""
    from gaze_ros.core.networks.checkpoints import load_network
    path = shared / 'models' / 'mobileone_s0.pt'
    net, _ = load_network('mobileone_s0', str(path))
    raw = mobileone(path, crop='raw')
    apart = {raw: [], real: []}
    for image, face, _ in four_targets[::4]:
        x, y, w, h = face.box
        # In these weights the second head is the horizontal one.
        pitch, yaw = upstream(net, image[int(y):int(y + h), int(x):int(x + w)])
        for estimator, angle in apart.items():
            angle.append(angles(estimator.estimate(image, [face]))[0] - (pitch, -yaw))
    by_raw, by_square = (np.degrees(np.abs(angle).mean()) for angle in apart.values())
    assert by_raw < 1.5
    assert by_square > 2 * by_raw


@given(st.integers(0, 89), st.floats(5, 50), st.floats(-30, 30))
def test_confident_output_decodes_to_the_bins_angle(best, height, level):
    """Without a half-bin offset, and independent of the level of the logits."""
    logits = np.full((1, 90), level, np.float32)
    logits[0, best] += height
    angle, sure = decode(logits, np.arange(90, dtype=np.float32), 4.0, 180.0)
    others = (89 * 90 / 2 - best) * math.exp(-height)
    expected = 4 * (best + others) / (1 + 89 * math.exp(-height)) - 180
    assert np.degrees(angle[0]) == pytest.approx(expected, abs=0.01)
    assert 0 <= sure[0] <= 1
    assert sure[0] > 0.99 or height < 12


def test_uniform_output_has_no_confidence():
    logits = np.zeros((2, 28), np.float32)
    logits[1, 3:5] = 90
    angle, sure = decode(logits, np.arange(28, dtype=np.float32), 3.0, 42.0)
    assert np.degrees(angle) == pytest.approx([13.5 * 3 - 42, 3.5 * 3 - 42], abs=1e-3)
    assert sure == pytest.approx([0, 1 - math.log(2) / math.log(28)], abs=1e-4)


def test_swapped_heads_exchange_the_axes(s0):
    named, swapped = (
        mobileone(s0, head_order=order).estimate(IMAGE, FACES) for order in (
            'as_named', 'swapped'))
    for a, b in zip(named, swapped):
        assert (b.pitch, b.yaw) == pytest.approx((-a.yaw, -a.pitch), abs=1e-5)
        assert abs(a.pitch + a.yaw) > 1e-3


def test_unknown_file_logs_a_warning(s0, caplog):
    mobileone(s0)
    assert s0 in caplog.text
    assert 'head_order' in caplog.text
    caplog.clear()
    mobileone(s0, head_order='as_named')
    assert not caplog.records


def test_known_file_logs_no_warning_under_any_name(shared, torch, caplog, tmp_path):
    path = tmp_path / 'x.pt'
    path.symlink_to(shared / 'models' / 'mobileone_s0.pt')
    auto, swapped = (angles(mobileone(path, head_order=o).estimate(IMAGE, FACES))
                     for o in ('auto', 'swapped'))
    assert np.array_equal(auto, swapped)
    assert not caplog.records


@pytest.mark.parametrize('order', ['as_named', 'swapped'])
def test_safetensors_metadata_sets_the_head_order(s0, tmp_path, caplog, order):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'a.safetensors'
    safetensors.save_file(random_net().state_dict(), path, {'head_order': order})
    found = angles(mobileone(path).estimate(IMAGE, FACES))
    assert not caplog.records
    assert found == pytest.approx(
        angles(mobileone(s0, head_order=order).estimate(IMAGE, FACES)), abs=1e-5)


@pytest.mark.parametrize('names', [('pitch', 'yaw'), ('yaw', 'pitch'), ('a', 'b')])
@pytest.mark.parametrize('runtime', ['onnx', 'openvino'])
def test_first_onnx_output_is_horizontal_under_any_name(
        shared, real, tmp_path, caplog, four_targets, names, runtime):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime' if runtime == 'onnx' else 'openvino')
    model = onnx.load(shared / 'models' / 'mobileone_s0_gaze.onnx')
    renamed = {o.name: name for o, name in zip(model.graph.output, names)}
    for node in model.graph.node:
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for output in model.graph.output:
        output.name = renamed[output.name]
    onnx.save(model, tmp_path / 'a.onnx')
    estimator = mobileone(tmp_path / 'a.onnx', runtime=runtime, precision='fp32')
    assert not caplog.records
    for image, face, _ in four_targets[::15]:
        assert angles(estimator.estimate(image, [face])) == pytest.approx(
            angles(real.estimate(image, [face])), abs=1e-3)


def test_head_order_swapped_applies_to_onnx(shared):
    pytest.importorskip('onnxruntime')
    weight = shared / 'models' / 'mobileone_s0_gaze.onnx'
    auto, swapped = (
        angles(mobileone(weight, runtime='onnx', head_order=order).estimate(IMAGE, FACES))
        for order in ('auto', 'swapped'))
    assert swapped == pytest.approx(-auto[:, ::-1], abs=1e-5)


def test_28_bins_mean_mpiigaze(saved):
    path = saved(random_net(bins=28).state_dict())
    with pytest.raises(ModelError, match="28 bins.*'gaze360' has 90.*'mpiigaze'"):
        mobileone(path, dataset='gaze360')
    error = mobileone(path, dataset='mpiigaze').estimate(IMAGE, FACES)
    assert np.abs(angles(error)).max() <= math.radians(42)
    assert mobileone(path).estimate(IMAGE, FACES) == error


def test_unknown_number_of_bins_is_reported(saved):
    with pytest.raises(ModelError, match=r'30 bins.*gaze360 \(90\), mpiigaze \(28\)'):
        mobileone(saved(random_net(bins=30).state_dict()))


def test_l2cs_net_is_read_as_it_is_saved(saved, torch, caplog):
    net = random_net('resnet18')
    theirs = {key.replace('fc_yaw', 'fc_yaw_gaze').replace('fc_pitch', 'fc_pitch_gaze'): tensor
              for key, tensor in net.state_dict().items()}
    theirs |= {'fc_finetune.weight': torch.zeros(3, 515), 'fc_finetune.bias': torch.zeros(3)}
    assert 'fc_yaw_gaze.weight' in theirs
    path = saved(theirs, 'L2CSNet_gaze360.pkl')
    l2cs = mobileone(path, 'l2cs_resnet18', head_order='as_named')
    ours = mobileone(saved(net.state_dict()), 'resnet18', head_order='as_named')
    assert l2cs.name == 'l2cs_resnet18'
    found = angles(l2cs.estimate(IMAGE, FACES))
    assert np.array_equal(found, angles(ours.estimate(IMAGE, FACES)))
    assert np.ptp(found, axis=0).min() > 1e-3


def test_a_training_checkpoint_is_its_weights(saved, s0):
    state = random_net().state_dict()
    packed = saved({'epoch': 3, 'model_state_dict': state}, 'b.ckpt')
    assert mobileone(packed).estimate(IMAGE, FACES) == mobileone(s0).estimate(IMAGE, FACES)


def test_weights_of_another_model_are_told(s0):
    with pytest.raises(ModelError, match="s0.pt.*'resnet18'.*90 tensors.*it fits 'mobileone_s0'"):
        mobileone(s0, 'resnet18')


@pytest.mark.parametrize(('content', 'why'), [
    (b'', 'it is empty'), (b'<!DOCTYPE html><html>Not Found</html>', 'it is a web page'),
    (b'PK\x03\x04 no zip', '11 bytes'), (None, '2000000 bytes')])
@pytest.mark.parametrize('runtime', ['auto', 'torch'])
def test_a_file_that_is_no_checkpoint_is_told(s0, tmp_path, content, why, runtime):
    path = tmp_path / 'a.pt'
    content = Path(s0).read_bytes()[:2_000_000] if content is None else content  # cut short
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf'a\.pt.*{why}'):
        mobileone(path, runtime=runtime)


class Evil:

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.system, (f'touch {self.mark}',)


@pytest.mark.parametrize(('way', 'name'), [
    ('torch', 'a.pt'), ('pickle', 'a.pt'), ('pickle', 'L2CSNet_gaze360.pkl')])
def test_code_in_a_checkpoint_is_not_run(saved, tmp_path, way, name):
    thing = {'fc_yaw.weight': Evil(tmp_path / 'ran')}
    path = saved(thing, name)
    if way == 'pickle':
        (tmp_path / name).write_bytes(pickle.dumps(thing, 2))
    with pytest.raises(ModelError, match='without running code'):
        mobileone(path, runtime='auto')
    assert not (tmp_path / 'ran').exists()
    assert pickle.loads(pickle.dumps(Evil(tmp_path / 'ran'))) == 0  # it would have
    assert (tmp_path / 'ran').exists()


def test_weights_that_are_not_finite_are_refused(saved, torch):
    state = random_net().state_dict()
    state['fc_yaw.bias'] *= torch.nan
    with pytest.raises(ModelError, match='fc_yaw.bias.*not finite'):
        mobileone(saved(state))


@pytest.mark.parametrize('runtime', ['auto', 'torch', 'openvino', 'onnx'])
def test_checkpoint_without_torch_error_names_what_to_install(s0, monkeypatch, runtime):
    if runtime != 'auto':
        pytest.importorskip({'onnx': 'onnxruntime'}.get(runtime, runtime))
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(ModelError, match='torch.*pip install torch safetensors'):
        mobileone(s0, runtime=runtime)


def test_mirrored_real_gaze_negates_yaw_and_keeps_pitch(real, four_targets):
    found = np.concatenate([
        mirror_angles(real, image, [face]) for image, face, _ in four_targets[::3]])
    assert np.corrcoef(found[:, 0], found[:, 2])[0, 1] > 0.8
    assert np.corrcoef(found[:, 1], found[:, 3])[0, 1] < -0.8


def test_known_file_of_another_model_is_refused(shared):
    weight = shared / 'models' / 'mobileone_s0_gaze.onnx'
    with pytest.raises(ModelError, match="known as mobileone_s0_gaze.onnx.*'resnet18'"):
        create_estimator('resnet18', Settings(weight=str(weight)))
