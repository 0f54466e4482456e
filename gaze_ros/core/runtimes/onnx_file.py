"""ONNX files looked through before a runtime, written in C++, opens them.

Of protobuf only the fields are read that tell what follows, and the weights, by the piece.
ModelProto, GraphProto and the others are those of onnx.proto3.
"""
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: Nodes that a network may have: ResNet-152 has 520. OpenVINO takes minutes for ten thousand.
MOST_NODES = 3000
#: Fields of a message, weights among them.
_MOST_FIELDS = 20_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

#: Numbers of fields: ModelProto's graph and functions; GraphProto's node, initializer and
#: sparse_initializer; NodeProto's attribute; AttributeProto's g and graphs, t and tensors,
#: sparse_tensor and sparse_tensors; SparseTensorProto's values and indices; TensorProto's
#: data_type, float_data, raw_data and data_location.
_GRAPH, _FUNCTIONS = 7, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_ATTRIBUTE, _SUBGRAPHS, _TENSORS, _SPARSE_TENSORS = 5, (6, 11), (5, 10), (22, 23)
_OF_SPARSE = 1, 2
_DATA_TYPE, _FLOAT_DATA, _RAW_DATA, _DATA_LOCATION = 2, 4, 9, 14

#: Types of a TensorProto's floating point numbers: float, float16, double.
_FLOATS = {1: '<f4', 10: '<f2', 11: '<f8'}
#: Bytes of weights that are looked through at one time; whole numbers of all types.
_PIECE = 1 << 22

_BRANCHES = 'it holds a loop or a branch: export it without'
_ELSEWHERE = 'its weights are in another file: save it with all of them inside'


def no_network(path: Path) -> str:
    """Return why a file is no ONNX network of the kind that is run here, or ''.

    Loops may never end, functions hide how much there is, and weights in other files may be any
    file of this machine.
    """
    try:
        with open(path, 'rb') as file:
            return _model(file, path.stat().st_size)
    except EOFError:
        return 'it is cut short, or no ONNX at all: copy or download it anew'


def _model(file: BinaryIO, end: int) -> str:
    graphs = 0
    for number, kind, start, stop in _fields(file, end):
        if number == _FUNCTIONS and kind == _BYTES:
            return 'it holds functions: export it without'
        if number == _GRAPH and kind == _BYTES:
            graphs += 1
            if why := _graph(file, start, stop):
                return why
    return '' if graphs == 1 else f'it holds {graphs or "no"} graphs: is it an ONNX file?'


def _graph(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    nodes = 0
    for number, kind, start, stop in _fields(file, end):
        if number == _NODE and kind == _BYTES:
            nodes += 1
            if nodes > MOST_NODES:
                return f'it holds more than {MOST_NODES} nodes'
            if why := _node(file, start, stop):
                return why
        elif kind == _BYTES and (
                why := number == _INITIALIZER and _tensor(file, start, stop)
                or number == _SPARSE and _sparse(file, start, stop)):
            return why
    return '' if nodes else 'it holds no nodes'


def _node(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    for number, kind, start, stop in _fields(file, end):
        if number == _ATTRIBUTE and kind == _BYTES:
            file.seek(start)
            for n, inner, here, there in _fields(file, stop):
                if n in _SUBGRAPHS:
                    return _BRANCHES
                if inner == _BYTES and (
                        why := n in _TENSORS and _tensor(file, here, there)
                        or n in _SPARSE_TENSORS and _sparse(file, here, there)):
                    return why
    return ''


def _sparse(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    for number, kind, start, stop in _fields(file, end):
        if number in _OF_SPARSE and kind == _BYTES and (why := _tensor(file, start, stop)):
            return why
    return ''


def _tensor(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start)
    form, numbers = '', (0, 0)
    for number, kind, start, stop in _fields(file, end):
        if kind == _VARINT and number == _DATA_LOCATION and start:
            return _ELSEWHERE
        if kind == _VARINT and number == _DATA_TYPE:
            form = _FLOATS.get(start, '')
        elif kind == _BYTES and number in (_FLOAT_DATA, _RAW_DATA):
            numbers = start, stop
    return _not_finite(file, form, *numbers) if form else ''


def _not_finite(file: BinaryIO, form: str, start: int, end: int) -> str:
    """Tell of numbers that are none: what comes of them need not show it, as max(NaN, 0) is 0."""
    width = np.dtype(form).itemsize
    file.seek(start)
    # Infinite alone is the bound of a range.
    wrong = np.isnan if end - start == width else lambda a: ~np.isfinite(a)
    for at in range(start, end, _PIECE):
        piece = file.read(min(_PIECE, end - at))
        if wrong(np.frombuffer(piece, form, len(piece) // width)).any():
            return ('it holds weights that are not finite: is it damaged, or was its training '
                    'broken off?')
    return ''


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, kind, begin and end of each field; of a varint its value and 0.

    :raises EOFError: where it does not end where it should.
    """
    at = file.tell()
    for _ in range(_MOST_FIELDS):
        if at == end:
            return
        key = _varint(file)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, stop = _varint(file), 0
            at = file.tell()
        elif kind == _BYTES:
            length = _varint(file)
            value = file.tell()
            at = stop = value + length
        elif kind in (_FIXED32, _FIXED64):
            value = file.tell()
            at = stop = value + (4 if kind == _FIXED32 else 8)
        else:
            raise EOFError
        if not number or at > end:
            raise EOFError
        yield number, kind, value, stop
        file.seek(at)
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
