"""Writes mcap files record by record, so that they may be invalid: https://mcap.dev/spec."""
from pathlib import Path
import struct
from typing import NamedTuple

MAGIC = b'\x89MCAP0\r\n'
TOPIC, TYPE = '/camera/image_raw', 'sensor_msgs/msg/Image'


class Chunk(NamedTuple):
    """A chunk's data and what its header and index declare."""

    data: bytes
    claimed: int
    compression: str = 'zstd'
    start: int = 1
    end: int = 1


def record(kind: int, body: bytes, size: int = -1) -> bytes:
    return struct.pack('<BQ', kind, len(body) if size < 0 else size) + body


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack('<I', len(data)) + data


def message(data: bytes, time: int = 1) -> bytes:
    return record(5, struct.pack('<HIQQ', 1, 0, time, time) + data)


def topic(qos: str = '') -> bytes:
    """Return a schema and a channel."""
    metadata = text('offered_qos_profiles') + text(qos)
    return (record(3, struct.pack('<H', 1) + text(TYPE) + text('ros2msg') + text(''))
            + record(4, struct.pack('<HH', 1, 1) + text(TOPIC) + text('cdr')
                     + struct.pack('<I', len(metadata)) + metadata))


def mcap(*chunks: Chunk, qos: str = '', indexed: bool = True, loose: bytes = b'') -> bytes:
    """Return the bytes of a file.

    :param loose: records before the first chunk.
    """
    data = MAGIC + record(1, text('ros2') + text('test')) + topic(qos) + loose
    index = topic(qos)
    for c in chunks:
        times = struct.pack('<QQ', c.start, c.end)
        packed = text(c.compression) + struct.pack('<Q', len(c.data))
        chunk = record(6, times + struct.pack('<QI', c.claimed, 0) + packed + c.data)
        messages = record(7, struct.pack('<HIQQ', 1, 16, c.start, 0))
        at = len(data)
        index += record(8, times + struct.pack('<QQIHQQ', at, len(chunk), 10, 1, at + len(chunk),
                                               len(messages))
                        + packed + struct.pack('<Q', c.claimed))
        data += chunk + messages
    index += record(11, struct.pack(
        '<QHIIIIQQIHQ', len(chunks), 1, 1, 0, 0, len(chunks), 1, 1, 10, 1, len(chunks)))
    at = len(data) if indexed else 0
    return data + (index if indexed else b'') + record(2, struct.pack('<QQI', at, 0, 0)) + MAGIC


def bag(folder: Path, name: str, content: bytes, mode: str) -> Path:
    """Write a rosbag2 folder with one file, declared as compressed by file or by message."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information: {version: 9, storage_identifier: mcap, '
        f'relative_file_paths: [{name}], compression_format: zstd, compression_mode: {mode}}}')
    return folder
