"""Read MediaPipe's canonical face (Apache-2.0) from face_landmarker.task."""
from collections.abc import Iterator
from dataclasses import dataclass
import struct
from typing import Union

import numpy as np


@dataclass(frozen=True, eq=False)
class CanonicalFace:
    """A mean face: x to the subject's left, y up, z out of the face, centimeters.

    :ivar vertices: (468, 3) points of the mesh without the irises.
    :ivar rigid: (33,) indices of the points that move least with the expression.
    :ivar weights: (33,) their weights, with a sum of 1.
    """

    vertices: np.ndarray
    rigid: np.ndarray
    weights: np.ndarray


def read_canonical_face(data: bytes) -> CanonicalFace:
    """Return the face of a geometry_pipeline_metadata_landmarks.binarypb.

    :param data: a serialized GeometryPipelineMetadata, as declared in MediaPipe's
        tasks/cc/vision/face_geometry/proto.
    :raises ValueError: if it is not one.
    """
    try:
        buffer, basis = b'', []
        for number, value in _fields(data):
            if number == 1:
                buffer = b''.join(v for n, v in _fields(value) if n == 3)
            elif number == 2:
                point = dict(_fields(value))
                basis.append((point.get(1, 0), struct.unpack('<f', point[2])[0]))
        # Five numbers a vertex: x, y, z and two of the texture.
        vertices = np.frombuffer(buffer, '<f4').reshape(468, 5)[:, :3].astype(np.float64)
        rigid, weights = (np.array(column) for column in zip(*basis))
        if rigid.max() >= len(vertices) or not np.isfinite(vertices).all():
            raise ValueError('its points are not a face')
        if not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError('its weights are not above 0')
    except (IndexError, KeyError, TypeError, struct.error) as e:
        raise ValueError(f'it is not a GeometryPipelineMetadata: {e}') from e
    return CanonicalFace(vertices, rigid, weights / weights.sum())


def _fields(data: bytes) -> Iterator[tuple[int, Union[int, bytes]]]:
    """Yield number and value of each field of a protobuf message; floats as their 4 bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f'it has a field of wire type {kind}')
        size = varint() if kind == 2 else 8 if kind == 1 else 4
        if at + size > len(data):
            raise ValueError('it ends inside a field')
        yield key >> 3, data[at:at + size]
        at += size
