"""Eyes of a face mesh: crops, openness, what covers them, and where they look."""
import math

import cv2
from gaze_ros.core.face_mesh.eyes import (
    CORNERS,
    equalize_dark,
    eye_distance,
    EYE_SIZE,
    Eyes,
    gaze_from_blendshapes,
    gaze_from_irises,
    IRISES,
    read_eyes,
    SHUT,
)
from gaze_ros.core.face_mesh.head_rotation import (
    angle_between,
    estimate_head_rotation,
    rotate_in_image,
)
from gaze_ros.core.face_mesh.mesh import region_of_box, SHAPE_NAMES
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
from hypothesis import assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

#: Suffixes of the eyeLook* blendshapes, by direction; left and right are the subject's.
RIGHT_IN_IMAGE = 'OutLeft', 'InRight'
LEFT_IN_IMAGE = 'InLeft', 'OutRight'
UP = 'UpLeft', 'UpRight'
DOWN = 'DownLeft', 'DownRight'

SMALL = st.floats(-0.5, 0.5)


@pytest.fixture(scope='module')
def read(face_mesh, astronaut):
    """Return a function that returns the eyes in an image with the face of the photograph."""
    image, box = astronaut
    mesh, = face_mesh.find(image, [region_of_box(box)])
    head = estimate_head_rotation(mesh.points, mesh.presence, face_mesh.canonical)

    def function(changed=image, left=0):
        """Take the mesh of the photograph, of which the left columns are cut off."""
        cut = type(mesh)(mesh.points - np.float32([left, 0, 0]), mesh.presence, mesh.shapes)
        return read_eyes(np.ascontiguousarray(changed[:, left:]), cut, head.scale,
                         face_mesh.canonical)
    function.mesh = mesh
    return function


def shapes(*names, value=0.5):
    found = np.zeros(len(SHAPE_NAMES), np.float32)
    for name in names:
        found[SHAPE_NAMES.index(f'eyeLook{name}')] = value
    return found


def middle(points, side):
    return points[list(CORNERS[side]), :2].mean(axis=0)


def test_open_eyes_are_open_and_visible(read):
    eyes = read()
    assert min(eyes.openness) > 0.8
    assert eyes.inside == eyes.clearness == eyes.visible == (1, 1)
    assert eyes.face_inside == 1
    assert 40 < min(eyes.brightness) <= max(eyes.brightness) < 220


def test_crops_are_the_subjects_left_and_right_eye(read, astronaut):
    image, _ = astronaut
    eyes = read()
    assert [crop.shape for crop in eyes.crops] == [(EYE_SIZE, EYE_SIZE, 3)] * 2
    for side, crop in enumerate(eyes.crops):
        u, v = middle(read.mesh.points, side)
        scene = image[int(v) - 12:int(v) + 12, int(u) - 12:int(u) + 12]
        own, other = (cv2.matchTemplate(
            cv2.resize(scene, (EYE_SIZE, EYE_SIZE)), c[12:48, 12:48],
            cv2.TM_CCOEFF_NORMED).max() for c in (crop, eyes.crops[1 - side]))
        assert own > 0.8 and own > other


@pytest.mark.parametrize('side', [0, 1])
def test_eye_outside_the_image_is_unknown(read, astronaut, side):
    """Side 0 is the subject's left eye, which is on the right in the image."""
    image, _ = astronaut
    nose = int(read.mesh.points[1, 0])
    eyes = read(np.ascontiguousarray(image[:, :nose])) if side == 0 else read(left=nose)
    assert eyes.inside[side] == eyes.visible[side] == 0
    assert math.isnan(eyes.openness[side])
    assert eyes.inside[1 - side] == 1 and eyes.openness[1 - side] > 0.8
    assert 0.3 < eyes.face_inside < 0.7


@pytest.mark.parametrize('side', [0, 1])
@pytest.mark.parametrize('colour', [(0, 0, 0), (128, 128, 128), (140, 170, 220)])
def test_covered_eye_is_not_visible(read, astronaut, side, colour):
    image = astronaut[0].copy()
    u, v = middle(read.mesh.points, side).astype(int).tolist()
    cv2.rectangle(image, (u - 20, v - 14), (u + 20, v + 14), colour, -1)
    eyes = read(image)
    assert eyes.visible[side] == 0 and math.isnan(eyes.openness[side])
    assert eyes.visible[1 - side] == 1


def test_dark_glasses_hide_the_eyes(read, astronaut):
    image = astronaut[0].copy()
    glass = np.full_like(image, 16)
    for side in (0, 1):
        u, v = middle(read.mesh.points, side).astype(int).tolist()
        part = slice(v - 14, v + 14), slice(u - 20, u + 20)
        image[part] = cv2.addWeighted(image[part], 0.07, glass[part], 0.93, 0)
    assert read(image).visible == (0, 0)


def test_clearness_falls_with_the_light(read, astronaut):
    shares = [min(read(np.round(astronaut[0] * light).astype(np.uint8)).clearness)
              for light in (1.0, 0.5, 0.2, 0.1, 0.03)]
    assert shares[:2] == [1, 1]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0


def test_crops_are_upright_in_a_rotated_image(read, face_mesh, astronaut):
    image, _ = astronaut
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D((224, 130), -60, 1), (512, 512),
                            borderMode=cv2.BORDER_REPLICATE)
    mesh, = face_mesh.find(turned, [region_of_box((159.0, 65.0, 130.0, 130.0))])
    head = estimate_head_rotation(mesh.points, mesh.presence, face_mesh.canonical)
    eyes = read_eyes(turned, mesh, head.scale, face_mesh.canonical)
    for crop, upright in zip(eyes.crops, read().crops):
        assert cv2.matchTemplate(
            upright, crop[8:52, 8:52], cv2.TM_CCOEFF_NORMED).max() > 0.85
    assert eyes.openness == pytest.approx(read().openness, abs=0.15)


def test_openness_follows_the_blink_shape(read, astronaut, face_mesh):
    image, _ = astronaut
    for blink, expected in ((0.0, 1), (0.1, 1), (0.375, 0.5), (0.65, 0), (1.0, 0)):
        changed = read.mesh.shapes.copy()
        changed[SHAPE_NAMES.index('eyeBlinkLeft')] = blink
        mesh = type(read.mesh)(read.mesh.points, read.mesh.presence, changed)
        left, right = read_eyes(image, mesh, 7.0, face_mesh.canonical).openness
        assert left == pytest.approx(expected, abs=1e-6)
        assert right > 0.8 > SHUT


def test_visible_is_the_product_of_inside_and_clearness():
    eyes = Eyes((None, None), (1.0, 1.0), (0.5, 1.0), (0.4, 0.25), (90.0, 90.0), 60.0)
    assert eyes.visible == (0.2, 0.25)


def test_distance_between_the_eyes_of_the_mean_face(face_mesh):
    assert 5.5 < eye_distance(face_mesh.canonical) < 7


@pytest.mark.parametrize(('names', 'axis', 'sign'), [
    (RIGHT_IN_IMAGE, 1, 1), (LEFT_IN_IMAGE, 1, -1), (UP, 0, 1), (DOWN, 0, -1),
    (('OutLeft',), 1, 1), (('OutRight',), 1, -1)])
def test_blendshapes_move_the_gaze_along_their_axis(names, axis, sign):
    found = unit_to_angles(gaze_from_blendshapes(shapes(*names), np.eye(3), 52.0, 36.0, 0.0, 0.0))
    assert sign * found[axis] > 0.1
    assert found[1 - axis] == pytest.approx(0, abs=1e-6)


@given(st.floats(-1, 1), st.floats(-1, 1), SMALL, SMALL)
def test_blendshapes_are_angles_in_the_frame_of_the_head(up, right, pitch, yaw):
    found = shapes(*(UP if up > 0 else DOWN), value=abs(up))
    found += shapes(*(RIGHT_IN_IMAGE if right > 0 else LEFT_IN_IMAGE), value=abs(right))
    head = cv2.Rodrigues(np.array([-pitch, yaw, 0.3]))[0]
    expected = head @ angles_to_unit(math.radians(50 * up + 7), math.radians(36 * right - 4))
    gaze = gaze_from_blendshapes(found, head, 50.0, 36.0, 7.0, -4.0)
    assert angle_between(gaze, expected) < 1e-5


@settings(max_examples=60)
@given(SMALL, SMALL, SMALL, SMALL, SMALL, st.floats(2, 60))
def test_irises_on_eyeballs_give_their_gaze(
        face_mesh, pitch, yaw, head_pitch, head_yaw, head_roll, scale):
    """The irises are put where eyes with this gaze have them; 8 degrees are subtracted."""
    head = cv2.Rodrigues(np.array([-head_pitch, head_yaw, head_roll]))[0]
    gaze = head @ angles_to_unit(pitch, yaw)
    assume(gaze[2] > 0.3)
    points = np.vstack([face_mesh.canonical.vertices, np.zeros((10, 3))]) @ head.T
    for corners, iris in zip(CORNERS, IRISES):
        points[iris] = points[list(corners)].mean(axis=0) - 0.75 * head[:, 2] + 0.92 * gaze
    points = points * [scale, -scale, -scale] + [300, 200, 0]
    found = gaze_from_irises(points, head, scale)
    expected = head @ angles_to_unit(pitch - math.radians(8), yaw)
    assert angle_between(found, expected) < 1e-5


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 100))
def test_gaze_of_any_irises_is_a_unit_vector(face_mesh, seed, scale):
    points = np.random.default_rng(seed).normal(0, 500, (478, 3))
    assert np.linalg.norm(gaze_from_irises(points, np.eye(3), scale)) == pytest.approx(1)


def test_irises_moved_right_in_the_image_move_the_gaze(read, face_mesh):
    head = estimate_head_rotation(read.mesh.points, 20.0, face_mesh.canonical)
    found = []
    for dx, dy in ((0, 0), (2, 0), (0, -2)):
        points = read.mesh.points.copy()
        points[list(IRISES), :2] += dx, dy
        found.append(np.degrees(unit_to_angles(
            gaze_from_irises(points, head.rotation, head.scale))))
    assert found[1][1] - found[0][1] > 10 and found[2][0] - found[0][0] > 10


def test_gaze_of_irises_rotates_with_the_image(read, face_mesh):
    points = read.mesh.points.astype(np.float64)
    head = estimate_head_rotation(points, 20.0, face_mesh.canonical)
    straight = gaze_from_irises(points, head.rotation, head.scale)
    roll = math.radians(70)
    c, s = math.cos(roll), math.sin(roll)
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.array([[c, s], [-s, c]])
    rotation = np.column_stack([rotate_in_image(v, roll) for v in head.rotation.T])
    found = gaze_from_irises(turned, rotation, head.scale)
    np.testing.assert_allclose(found, rotate_in_image(straight, roll), atol=1e-6)


def test_dark_eyes_are_equalised():
    dark = np.random.default_rng(0).integers(0, 40, (60, 60, 3)).astype(np.uint8)
    before = dark.copy()
    assert equalize_dark(dark).std() > 2 * dark.std()
    np.testing.assert_array_equal(dark, before)


def test_bright_eyes_are_returned_as_they_are():
    bright = np.full((60, 60, 3), 150, np.uint8)
    assert equalize_dark(bright) is bright


def test_equalising_fades_in(read):
    """A video whose light changes must not jump."""
    eye = read().crops[0]
    outputs = [equalize_dark(np.round(eye * light).astype(np.uint8)).astype(float).mean()
               for light in np.linspace(0.2, 1.3, 40) * 80 / eye.mean()]
    assert np.abs(np.diff(outputs)).max() < 12
