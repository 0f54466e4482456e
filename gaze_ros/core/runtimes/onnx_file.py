"""ONNX files looked through before a runtime, written in C++, opens them.

Only the fields of protobuf are read that tell what follows: no more than some kilobytes, however
large the file is. ModelProto, GraphProto and the others are those of onnx.proto3.
"""
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: Nodes that a network may have: ResNet-152 has 520. OpenVINO takes minutes for ten thousand.
MOST_NODES = 3000
#: Fields of a message, weights among them.
_MOST_FIELDS = 20_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

#: Numbers of fields: ModelProto's graph and functions; GraphProto's node and initializer;
#: NodeProto's attribute; AttributeProto's g and graphs; TensorProto's data_location.
_GRAPH, _FUNCTIONS = 7, 25
_NODE, _INITIALIZER = 1, 5
_ATTRIBUTE, _SUBGRAPHS = 5, (6, 11)
_DATA_LOCATION = 14


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
            if _has_subgraph(file, start, stop):
                return 'it holds a loop or a branch: export it without'
        elif number == _INITIALIZER and kind == _BYTES and _is_elsewhere(file, start, stop):
            return 'its weights are in another file: save it with all of them inside'
    return '' if nodes else 'it holds no nodes'


def _has_subgraph(file: BinaryIO, start: int, end: int) -> bool:
    file.seek(start)
    for number, kind, start, stop in _fields(file, end):
        if number == _ATTRIBUTE and kind == _BYTES:
            file.seek(start)
            if any(n in _SUBGRAPHS for n, *_ in _fields(file, stop)):
                return True
    return False


def _is_elsewhere(file: BinaryIO, start: int, end: int) -> bool:
    file.seek(start)
    return any(n == _DATA_LOCATION and start for n, kind, start, _ in _fields(file, end)
               if kind == _VARINT)


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
