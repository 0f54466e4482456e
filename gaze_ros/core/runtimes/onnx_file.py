"""Checking ONNX files before a runtime, written in C++, opens them.

Only the protobuf fields that describe the structure are parsed, and the weights, in chunks.
ModelProto, GraphProto and the others are defined in onnx.proto3.
"""
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: Maximum nodes of a network: ResNet-152 has 520. OpenVINO takes minutes for ten thousand.
MAX_NODES = 3000
#: Maximum fields of a protobuf message, including weights.
_MAX_FIELDS = 20_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

#: Field numbers: ModelProto's graph and functions; GraphProto's node, initializer and
#: sparse_initializer; NodeProto's attribute; AttributeProto's g and graphs, t and tensors,
#: sparse_tensor and sparse_tensors; SparseTensorProto's values and indices; TensorProto's
#: data_type, float_data, raw_data and data_location.
_GRAPH, _FUNCTIONS = 7, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_ATTRIBUTE, _SUBGRAPHS, _TENSORS, _SPARSE_TENSORS = 5, (6, 11), (5, 10), (22, 23)
_SPARSE_PARTS = 1, 2
_DATA_TYPE, _FLOAT_DATA, _RAW_DATA, _DATA_LOCATION = 2, 4, 9, 14

#: Floating point types of a TensorProto: float, float16, double.
_FLOATS = {1: '<f4', 10: '<f2', 11: '<f8'}
#: Bytes of weights checked at a time; a multiple of the size of every type.
_CHUNK = 1 << 22

_BRANCHES = 'it holds a loop or a branch: export it without'
_EXTERNAL = 'its weights are in another file: save it with all weights inside'


def network_problem(path: Path) -> str:
    """Return why a file is not an ONNX network that can be run here, or ''.

    Refused are loops, which may never end; functions, which hide the size of the network; and
    external weights, which could be any file of this machine.
    """
    try:
        with open(path, 'rb') as file:
            return _model(file, path.stat().st_size)
    except EOFError:
        return 'it is truncated, or not an ONNX file: copy or download it again'


def _model(file: BinaryIO, end: int) -> str:
    graphs = 0
    for number, kind, start, stop in _fields(file, end):
        if number == _FUNCTIONS and kind == _BYTES:
            return 'it holds functions: export it without'
        if number == _GRAPH and kind == _BYTES:
            graphs += 1
            if problem := _graph(file, start, stop):
                return problem
    return '' if graphs == 1 else f'it holds {graphs or "no"} graphs: is it an ONNX file?'


def _graph(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    nodes = 0
    for number, kind, start, stop in _fields(file, end):
        if number == _NODE and kind == _BYTES:
            nodes += 1
            if nodes > MAX_NODES:
                return f'it holds more than {MAX_NODES} nodes'
            if problem := _node(file, start, stop):
                return problem
        elif kind == _BYTES and (
                problem := number == _INITIALIZER and _tensor(file, start, stop)
                or number == _SPARSE and _sparse(file, start, stop)):
            return problem
    return '' if nodes else 'it holds no nodes'


def _node(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    for number, kind, start, stop in _fields(file, end):
        if number == _ATTRIBUTE and kind == _BYTES:
            file.seek(start)
            for n, inner_kind, inner_start, inner_stop in _fields(file, stop):
                if n in _SUBGRAPHS:
                    return _BRANCHES
                if inner_kind == _BYTES and (
                        problem := n in _TENSORS and _tensor(file, inner_start, inner_stop)
                        or n in _SPARSE_TENSORS and _sparse(file, inner_start, inner_stop)):
                    return problem
    return ''


def _sparse(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    for number, kind, start, stop in _fields(file, end):
        if number in _SPARSE_PARTS and kind == _BYTES and (
                problem := _tensor(file, start, stop)):
            return problem
    return ''


def _tensor(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    dtype, data = '', (0, 0)
    for number, kind, start, stop in _fields(file, end):
        if kind == _VARINT and number == _DATA_LOCATION and start:
            return _EXTERNAL
        if kind == _VARINT and number == _DATA_TYPE:
            dtype = _FLOATS.get(start, '')
        elif kind == _BYTES and number in (_FLOAT_DATA, _RAW_DATA):
            data = start, stop
    return _not_finite(file, dtype, *data) if dtype else ''


def _not_finite(file: BinaryIO, dtype: str, start: int, end: int) -> str:
    """Return that weights are not finite, or ''; the outputs may hide it, as max(NaN, 0) is 0."""
    width = np.dtype(dtype).itemsize
    file.seek(start)
    # A single infinite value is allowed: it may be the limit of a range.
    is_bad = np.isnan if end - start == width else lambda a: ~np.isfinite(a)
    for position in range(start, end, _CHUNK):
        chunk = file.read(min(_CHUNK, end - position))
        if is_bad(np.frombuffer(chunk, dtype, len(chunk) // width)).any():
            return ('it holds weights that are not finite: is it damaged, or did its training '
                    'diverge?')
    return ''


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, start and end of each field; for a varint its value and 0.

    :raises EOFError: if the data is truncated or malformed.
    """
    position = file.tell()
    for _ in range(_MAX_FIELDS):
        if position == end:
            return
        key = _varint(file)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, stop = _varint(file), 0
            position = file.tell()
        elif kind == _BYTES:
            length = _varint(file)
            value = file.tell()
            position = stop = value + length
        elif kind in (_FIXED32, _FIXED64):
            value = file.tell()
            position = stop = value + (4 if kind == _FIXED32 else 8)
        else:
            raise EOFError
        if not number or position > end:
            raise EOFError
        yield number, kind, value, stop
        file.seek(position)
    raise EOFError


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise EOFError
