"""Intel's head and gaze networks against labelled faces, and the mean with the mirror image."""
import math

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import Settings
from gaze_ros.core.estimators.adas_networks import AdasEyes, AdasHead, open_checked
from gaze_ros.core.evaluation.labels import read_labels
from gaze_ros.core.face_mesh.head_rotation import angle_between, rotate_in_image
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
import numpy as np
import pytest

pytest.importorskip('openvino')

SETTINGS = Settings(precision='fp32', threads=1)
FORWARD = np.array([0.0, 0.0, 1.0])


def head_of(head, image, center, side, roll=0.0):
    return head(image, [(center, side, roll)])[0]


def gaze_of(eyes, *pair):
    return eyes([pair])[0]


@pytest.fixture(scope='module')
def intel(shared):
    return shared / 'models' / 'intel'


@pytest.fixture(scope='module')
def head(intel):
    return AdasHead(intel / 'head-pose-estimation-adas-0001.xml', SETTINGS)


@pytest.fixture(scope='module')
def eyes(intel):
    return AdasEyes(intel / 'gaze-estimation-adas-0002.xml', SETTINGS)


@pytest.fixture(scope='module')
def faces(shared, detector):
    """Return image, face, and the true pitch and yaw of the head of rendered faces."""
    folder = shared / 'labelled' / 'rendered_faces'
    found = []
    for label in read_labels(folder / 'labels.csv'):
        image = cv2.imread(str(folder / label.image))
        if boxes := detector.detect(image):
            face = max(boxes, key=lambda f: f.box[2] * f.box[3])
            found.append((image, face, (label.head_pitch, label.head_yaw)))
    assert len(found) >= 14
    return found


@pytest.fixture(scope='module')
def pairs():
    """Return pairs of eye crops of noise, so that nothing is symmetric."""
    random = np.random.default_rng(5)
    return [[cv2.GaussianBlur(random.integers(0, 255, (60, 60, 3)).astype(np.uint8), (0, 0), 3)
             for _ in range(2)] for _ in range(4)]


def of_face(head, image, face):
    return head_of(head, image, face.center, max(face.box[2:]))


def test_head_angles_have_the_signs_of_the_labels(head, faces):
    """Pitch > 0 is up, yaw > 0 toward the right of the image."""
    found = np.array([of_face(head, image, face) for image, face, _ in faces])
    true = np.array([angles for *_, angles in faces])
    assert np.ptp(true[:, 1]) > 1.5
    assert np.corrcoef(found[:, 1], true[:, 1])[0, 1] > 0.9
    frontal = np.abs(true[:, 1]) < math.radians(60)
    assert np.corrcoef(found[frontal, 0], true[frontal, 0])[0, 1] > 0.8
    errors = [math.degrees(angle_between(angles_to_unit(*a), angles_to_unit(*b)))
              for a, b in zip(found[frontal], true[frontal])]
    assert np.mean(errors) < 9


def test_yaw_of_a_turned_head_is_not_compressed(head, faces):
    """With crops sized by the spread of landmarks, 60 degrees came out as 22."""
    turned = [(of_face(head, image, face)[1], yaw) for image, face, (_, yaw) in faces
              if math.radians(40) < abs(yaw) < math.radians(75)]
    assert turned
    assert np.mean([found / true for found, true in turned]) > 0.65


def test_head_in_the_mirror_has_the_other_yaw(head, faces):
    apart = []
    for image, face, _ in faces:
        x, y = face.center
        pitch, yaw = of_face(head, image, face)
        side = max(face.box[2:])
        other = head_of(head, cv2.flip(image, 1), (image.shape[1] - x, y), side)
        apart.append(math.degrees(angle_between(
            angles_to_unit(pitch, yaw), angles_to_unit(other[0], -other[1]))))
    assert np.mean(apart) < 9


def test_rotated_crop_gives_the_rotated_head(head, faces):
    errors = []
    for image, face, _ in faces[::3]:
        x, y = face.center
        turned = cv2.warpAffine(image, cv2.getRotationMatrix2D((x, y), -90, 1),
                                image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        side = max(face.box[2:])
        before = angles_to_unit(*head_of(head, image, (x, y), side))
        after = angles_to_unit(*head_of(head, turned, (x, y), side, math.radians(90)))
        errors.append(math.degrees(angle_between(
            after, rotate_in_image(before, math.radians(90)))))
    assert np.mean(errors) < 4


def test_gaze_is_the_mean_of_the_crops_and_their_mirror_image(eyes, pairs):
    for left, right in pairs:
        direction = angles_to_unit(0.1, -0.2)
        gaze = gaze_of(eyes, left, right, direction, 0.0)
        assert np.linalg.norm(gaze) == pytest.approx(1)
        in_mirror = gaze_of(
            eyes, cv2.flip(right, 1), cv2.flip(left, 1), direction * [-1, 1, 1], 0.0)
        assert in_mirror == pytest.approx(gaze * [-1, 1, 1], abs=1e-5)


def test_mirror_image_takes_part(eyes, pairs):
    (left, right), *_ = pairs
    given = []
    network = eyes._network
    eyes._network = lambda *inputs: given.append([x.copy() for x in inputs]) or network(*inputs)
    gaze_of(eyes, left, right, angles_to_unit(0.1, -0.2), 0.0)
    eyes._network = network
    (first, second, angles), = given
    np.testing.assert_array_equal(first[1], second[0, ..., ::-1])
    np.testing.assert_array_equal(second[1], first[0, ..., ::-1])
    # Yaw, pitch (> 0 down) and roll in degrees.
    assert angles[0] == pytest.approx(np.degrees([-0.2, -0.1, 0]), abs=1e-4)
    assert angles[1] == pytest.approx(angles[0] * [-1, 1, 1])


@pytest.mark.parametrize('degrees', [25, -90, 180])
def test_upright_crops_of_a_rotated_head_give_a_rotated_gaze(eyes, pairs, degrees):
    roll = math.radians(degrees)
    (left, right), *_ = pairs
    direction = angles_to_unit(0.2, 0.3)
    upright = gaze_of(eyes, left, right, direction, 0.0)
    turned = gaze_of(eyes, left, right, rotate_in_image(direction, roll), roll)
    assert turned == pytest.approx(rotate_in_image(upright, roll), abs=1e-5)


def test_gaze_follows_the_head(eyes, pairs):
    """Of the same crops: the network adds the head to the eyes."""
    for left, right in pairs:
        yaws = [unit_to_angles(gaze_of(eyes, left, right, angles_to_unit(0.0, yaw), 0.0))[1]
                for yaw in (-0.3, 0.0, 0.3)]
        assert yaws == sorted(yaws)
        pitches = [unit_to_angles(gaze_of(eyes, left, right, angles_to_unit(pitch, 0.0), 0.0))[0]
                   for pitch in (-0.3, 0.0, 0.3)]
        assert pitches == sorted(pitches)


@pytest.mark.parametrize('value', [0, 128, 255])
def test_gaze_of_blank_crops_is_finite(eyes, value):
    blank = np.full((60, 60, 3), value, np.uint8)
    assert np.isfinite(gaze_of(eyes, blank, blank, FORWARD, 0.0)).all()


def test_another_network_is_reported(intel):
    path = intel / 'open-closed-eye-0001.xml'
    with pytest.raises(ModelError, match=r'open-closed-eye-0001\.xml.*inputs of the shapes'):
        open_checked(path, [(1, 3, 60, 60)], SETTINGS)
    for kind in (AdasHead, AdasEyes):
        with pytest.raises(ModelError, match='inputs of the shapes'):
            kind(path, SETTINGS)


@pytest.mark.parametrize('count', [0, 2, 3, 5, 9])
def test_several_people_at_once_get_the_same_as_one_by_one(head, eyes, faces, pairs, count):
    image, face, _ = faces[0]
    boxes = [((face.center[0] + 3.0 * i, face.center[1]), max(face.box[2:]), 1.0 * (i % 2))
             for i in range(count)]
    assert np.array(head(image, boxes)) == pytest.approx(
        np.array([head(image, [box])[0] for box in boxes]), abs=1e-4)
    people = [(*pairs[i % len(pairs)], angles_to_unit(0.1 * i, -0.1 * i), 0.1 * i)
              for i in range(count)]
    found = eyes(people)
    assert len(found) == count
    for one, person in zip(found, people):
        assert one == pytest.approx(gaze_of(eyes, *person), abs=1e-4)
