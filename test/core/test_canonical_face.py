"""The mean face in face_landmarker.task, and bytes that do not hold one."""
import struct
from zipfile import ZipFile

from gaze_ros.core.face_mesh.canonical_face import read_canonical_face
from helpers.mirrored import other_points
from hypothesis import example, given
from hypothesis import strategies as st
import numpy as np
import pytest


@pytest.fixture(scope='module')
def content(task_file):
    with ZipFile(task_file) as bundle:
        return bundle.read('geometry_pipeline_metadata_landmarks.binarypb')


@pytest.fixture(scope='module')
def face(content):
    return read_canonical_face(content)


def length_delimited(number, data):
    """Return a protobuf field of at most 127 bytes."""
    return bytes([number << 3 | 2, len(data)]) + data


def test_vertices_are_a_head_in_centimeters(face):
    assert face.vertices.shape == (468, 3)
    width, height, depth = np.ptp(face.vertices, axis=0)
    assert 12 < width < 18 and 14 < height < 20 and 6 < depth < 14
    nose, chin, forehead = face.vertices[[1, 152, 10]]
    assert nose[2] > chin[2] + 2 and nose[2] > forehead[2] + 2, 'z points out of the face'
    assert chin[1] < nose[1] < forehead[1], 'y points up'
    right_eye, left_eye = face.vertices[[33, 263]]
    assert right_eye[0] < 0 < left_eye[0], "x points to the subject's left"


def test_rigid_points_have_weights_with_a_sum_of_1(face):
    assert face.rigid.shape == face.weights.shape == (33,)
    assert len({*face.rigid.tolist()}) == 33
    assert face.weights.sum() == pytest.approx(1)
    assert (face.weights > 0).all()


def test_face_is_symmetric(face):
    mirror = other_points(face)
    assert [mirror[i] for i in (33, 133, 61, 1, 468)] == [263, 362, 291, 1, 473]
    mirrored = face.vertices[mirror[:468]] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, face.vertices, atol=0.1)


@pytest.mark.parametrize('data', [
    b'', b'\x0a', b'\x0a\x05abc', b'\xff' * 30, b'\x08\x01', b'<html>Not Found</html>',
    length_delimited(1, length_delimited(3, bytes(40)))])
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError):
        read_canonical_face(data)


def test_every_truncated_file_is_refused_or_lacks_only_points_of_the_basis(content):
    for size in range(0, len(content), 97):
        try:
            face = read_canonical_face(content[:size])
        except ValueError:
            continue
        assert len(face.rigid) < 33


@example(b'\x0b')
@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_but_a_value_error(data):
    with pytest.raises(ValueError):
        read_canonical_face(data)


@given(st.data())
def test_any_changed_byte_gives_a_face_or_a_value_error(content, data):
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        face = read_canonical_face(bytes(changed))
    except ValueError:
        return
    assert np.isfinite(face.vertices).all() and np.isfinite(face.weights).all()
    assert 0 <= face.rigid.min() and face.rigid.max() < 468


@pytest.mark.parametrize('weight', [np.nan, np.inf, -1e9])
def test_weights_that_are_not_weights_are_refused(content, weight):
    point = length_delimited(2, b'\x15' + struct.pack('<f', weight))
    with pytest.raises(ValueError, match='weights'):
        read_canonical_face(content + point)
