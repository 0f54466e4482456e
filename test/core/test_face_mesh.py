"""The face mesh on a photograph of a face that looks into the lens."""
import math
from zipfile import ZipFile

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.face_mesh import mesh as mesh_module
from gaze_ros.core.face_mesh.head_rotation import (
    angle_between,
    estimate_head_rotation,
    rotate_in_image,
)
from gaze_ros.core.face_mesh.mesh import (
    FaceMesh,
    Region,
    region_of,
    region_of_box,
    SHAPE_NAMES,
)
from gaze_ros.core.geometry.rotations import head_angles
from helpers.mirrored import other_points, OTHER_SHAPES
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

#: A square box around the face of the photograph, for rotated copies.
SQUARE = (159.0, 65.0, 130.0, 130.0)
CENTER = (224.0, 130.0)


@pytest.fixture(scope='module')
def upright(face_mesh, astronaut):
    """Return the mesh of the photograph."""
    image, box = astronaut
    mesh, = face_mesh.find(image, [region_of_box(box)])
    return mesh


def shape(mesh, name):
    return float(mesh.shapes[SHAPE_NAMES.index(name)])


def rotated(image, degrees):
    """Return an image rotated clockwise around the face."""
    return cv2.warpAffine(image, cv2.getRotationMatrix2D(CENTER, -degrees, 1),
                          image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def apart(a, b):
    """Return the mean distance of the points of two meshes, pixels."""
    return float(np.linalg.norm(a.points[:, :2] - b.points[:, :2], axis=1).mean())


def test_mesh_lies_on_the_face(upright, astronaut):
    _, (x, y, w, h) = astronaut
    assert upright.points.shape == (478, 3) and upright.shapes.shape == (52,)
    assert upright.presence > 15
    assert abs(math.degrees(upright.roll)) < 8
    low, high = upright.points[:, :2].min(axis=0), upright.points[:, :2].max(axis=0)
    assert (low > [x - 0.3 * w, y - 0.3 * h]).all() and (high < [x + 1.3 * w, y + 1.3 * h]).all()
    right_eye, left_eye, nose, chin = upright.points[[33, 263, 1, 152]]
    assert right_eye[0] < nose[0] < left_eye[0], "the subject's right is left in the image"
    assert right_eye[1] < nose[1] < chin[1]
    assert nose[2] < right_eye[2] < upright.points[234, 2], 'z points away from the camera'


def test_irises_are_between_the_corners_of_the_eyes(upright):
    for iris, outer, inner in ((468, 33, 133), (473, 263, 362)):
        at, *corners = upright.points[[iris, outer, inner], 0]
        assert min(corners) < at < max(corners)


def test_blendshapes_of_a_smile_with_open_eyes(upright):
    assert ((upright.shapes >= 0) & (upright.shapes <= 1)).all()
    for side in ('Left', 'Right'):
        assert shape(upright, f'mouthSmile{side}') > 0.5
        assert shape(upright, f'eyeBlink{side}') < 0.3
    assert shape(upright, 'jawOpen') < 0.3


def test_region_of_a_mesh_finds_the_same_mesh_in_one_pass(face_mesh, astronaut, upright):
    again, = face_mesh.find(astronaut[0], [upright.region])
    assert upright.region.from_mesh
    assert apart(upright, again) < 1.5
    assert again.presence == pytest.approx(upright.presence, abs=5)


@pytest.mark.parametrize('scale', [0.8, 1.25])
def test_mesh_hardly_depends_on_the_size_of_the_box(face_mesh, astronaut, upright, scale):
    """The pitch of the eyes in the blendshapes depends on the scale of the crop."""
    image, (x, y, w, h) = astronaut
    box = x + (1 - scale) * w / 2, y + (1 - scale) * h / 2, scale * w, scale * h
    mesh, = face_mesh.find(image, [region_of_box(box)])
    assert apart(upright, mesh) < 1.5
    for name in ('eyeLookUpLeft', 'eyeLookDownLeft', 'eyeLookInLeft', 'eyeLookOutLeft'):
        assert shape(mesh, name) == pytest.approx(shape(upright, name), abs=0.08)


def test_mirrored_image_gives_the_mirrored_mesh_with_exchanged_shapes(
        face_mesh, astronaut, upright):
    image, (x, y, w, h) = astronaut
    width = image.shape[1]
    mirrored, = face_mesh.find(cv2.flip(image, 1), [region_of_box((width - x - w, y, w, h))])
    back = mirrored.points[other_points(face_mesh.canonical), :2] * (-1, 1) + (width - 1, 0)
    assert np.linalg.norm(back - upright.points[:, :2], axis=1).mean() < 2
    assert np.abs(mirrored.shapes[OTHER_SHAPES] - upright.shapes).max() < 0.25


def test_shapes_do_not_depend_on_roll(face_mesh, astronaut, upright):
    mesh, = face_mesh.find(rotated(astronaut[0], 60), [region_of_box(SQUARE)])
    assert np.abs(mesh.shapes - upright.shapes).mean() < 0.03


@pytest.mark.parametrize(
    'degrees', [30, 45, 60, 90, 120, 135, 150, 180, -20, -45, -70, -90, -120, -150])
def test_rotated_face_has_a_rotated_mesh(face_mesh, astronaut, upright, degrees):
    mesh, = face_mesh.find(rotated(astronaut[0], degrees), [region_of_box(SQUARE)])
    before, after = (estimate_head_rotation(
        m.points, m.presence, face_mesh.canonical).rotation for m in (upright, mesh))
    roll = math.degrees(head_angles(after)[2] - head_angles(before)[2])
    assert abs((roll - degrees + 180) % 360 - 180) < 4
    expected = rotate_in_image(before[:, 2], math.radians(degrees))
    assert math.degrees(angle_between(after[:, 2], expected)) < 5


def test_search_is_needed_for_a_face_upside_down(face_mesh, astronaut):
    image = rotated(astronaut[0], 180)
    found, missed = face_mesh.find(
        image, [region_of_box(SQUARE), region_of_box(SQUARE, search=False)])
    assert abs(math.degrees(found.roll)) > 170
    assert abs(math.degrees(missed.roll)) < 170 and missed.presence < found.presence


@pytest.mark.parametrize('value', [0, 128, 255])
def test_image_without_a_face_has_a_low_presence(face_mesh, value):
    mesh, = face_mesh.find(np.full((480, 640, 3), value, np.uint8), [region_of_box(
        (200.0, 100.0, 150.0, 180.0))])
    assert mesh.presence < 0
    assert np.isfinite(mesh.points).all() and np.isfinite(mesh.shapes).all()


def test_each_region_has_its_mesh_in_order(face_mesh, astronaut, upright):
    image, box = astronaut
    assert face_mesh.find(image, []) == []
    found = face_mesh.find(image, [
        Region((10.0, 10.0), 0.0), region_of_box(box), Region((math.nan, 1.0), 5.0),
        Region((5.0, 5.0), -1.0), Region((5.0, 5.0), math.inf), Region((5.0, 5.0), 9.0, math.nan)])
    assert [mesh is None for mesh in found] == [True, False, True, True, True, True]
    np.testing.assert_array_equal(found[1].points, upright.points)


@pytest.mark.parametrize('count', [2, 3, 4, 5, 9])
def test_mesh_does_not_depend_on_the_other_regions(face_mesh, astronaut, upright, count):
    """Batches are compiled by themselves; some batches of bf16 networks return wrong values."""
    image, box = astronaut
    others = [region_of_box((x, 40.0, 90.0, 90.0), search=False) for x in range(0, 400, 50)]
    *_, mesh = face_mesh.find(image, [*others[:count - 1], upright.region])
    alone, = face_mesh.find(image, [upright.region])
    assert apart(alone, mesh) < 0.3
    assert np.abs(mesh.shapes - alone.shapes).max() < 0.03


def test_earlier_meshes_are_not_overwritten(face_mesh, astronaut, upright):
    before = upright.points.copy(), upright.shapes.copy()
    face_mesh.find(np.zeros((480, 640, 3), np.uint8), [region_of_box((9.0, 9.0, 99.0, 99.0))])
    np.testing.assert_array_equal(upright.points, before[0])
    np.testing.assert_array_equal(upright.shapes, before[1])


@given(st.floats(-math.pi, math.pi), st.floats(20, 400), st.floats(0.5, 1.0),
       st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_region_is_the_upright_box_of_the_points(roll, height, aspect, center):
    """A grid of 478 points, of which the corners of the eyes are on a level line."""
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, 239) * height * aspect,
                       np.array([-0.5, 0.5]) * height)
    flat = np.stack([u.ravel(), v.ravel()], axis=1)
    flat[33], flat[263] = (-0.2 * height, 0), (0.2 * height, 0)
    c, s = math.cos(roll), math.sin(roll)
    points = flat @ np.array([[c, s], [-s, c]]) + center
    region = region_of(points)
    assert region.center == pytest.approx(center, abs=1e-6)
    assert region.side == pytest.approx(height)
    assert math.cos(region.roll - roll) == pytest.approx(1)
    assert region.from_mesh


def test_region_of_a_box_is_square_and_upright():
    region = region_of_box((10.0, 20.0, 30.0, 50.0))
    assert (region.center, region.side, region.roll) == ((25, 45), 50, 0)
    assert region.search and not region.from_mesh


@pytest.mark.parametrize('damage', ['text', 'empty', 'cut', 'no networks', 'other network',
                                    'other geometry', 'too large', 'missing'])
def test_file_that_is_not_the_bundle_is_reported_by_name(
        tmp_path, task_file, monkeypatch, damage):
    pytest.importorskip('openvino')
    path = tmp_path / 'a.task'
    content = task_file.read_bytes()
    with ZipFile(task_file) as bundle:
        parts = {name: bundle.read(name) for name in bundle.namelist()}
    if damage == 'text':
        path.write_text('nothing')
    elif damage == 'empty':
        path.write_bytes(b'')
    elif damage == 'cut':
        path.write_bytes(content[:len(content) // 2])
    elif damage == 'too large':
        monkeypatch.setattr(mesh_module, '_MAX_BYTES', 1 << 19)
        path.write_bytes(content)
    elif damage != 'missing':
        landmarks = 'face_landmarks_detector.tflite'
        changes = {
            'no networks': {landmarks: None},
            'other network': {landmarks: parts['face_blendshapes.tflite']},
            'other geometry': {
                'geometry_pipeline_metadata_landmarks.binarypb': b'\x08\x01'}}[damage]
        with ZipFile(path, 'w') as bundle:
            for name, part in (parts | changes).items():
                if part is not None:
                    bundle.writestr(name, part)
    with pytest.raises(ModelError, match=r'a\.task') as error:
        FaceMesh(path)
    assert '\n' not in str(error.value)
