"""Size limits for untrusted bags: a few kilobytes may unpack to more than the memory."""
from collections.abc import Collection
from functools import lru_cache
from importlib import import_module
from pathlib import Path
import sys
from typing import Any

from gaze_ros.core.output.disk_guard import free_bytes, RESUME_BYTES
from gaze_ros.core.system.safe_files import MAX_SETTINGS_BYTES, parse_yaml

#: Maximum bytes of a message, a chunk or another record; the largest supported image has 200 MB.
MAX_RECORD_BYTES = 1 << 28
#: Maximum bytes of unpacked chunks in memory at one time; chunks that overlap in time add up.
MAX_HELD_BYTES = 1 << 29
#: A bag compressed by file may unpack to these bytes, or to this multiple of its size if that is
#: more. Camera bags compress to between a tenth and a half.
MAX_DECOMPRESSED_BYTES, MAX_COMPRESSION_RATIO = 1 << 30, 100

#: Bytes that are unpacked into a file at one time.
_BLOCK_BYTES = 1 << 22


class LimitExceededError(ValueError):
    """A bag exceeds a size limit; it need not be broken."""


def decompress(data: bytes, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
    """Return unpacked zstd data.

    :raises LimitExceededError: if it unpacks to more than ``max_bytes``; no more are unpacked.
    :raises Exception: the library's own, if the data is not zstd or truncated.
    """
    library = zstd()
    parts: list[bytes] = []
    size = 0
    while data or not parts:
        declared = library.get_frame_info(data).decompressed_size or 0
        if size + declared > max_bytes:
            raise LimitExceededError(
                f'it unpacks to {size + declared} bytes, at most {max_bytes} are allowed')
        decompressor = library.ZstdDecompressor()
        parts.append(decompressor.decompress(data, max_bytes + 1 - size))
        size += len(parts[-1])
        _check_unpacked(size, max_bytes)
        if not decompressor.eof:
            raise ValueError('its compressed data is truncated')
        data = decompressor.unused_data
    return parts[0] if len(parts) == 1 else b''.join(parts)


def decompress_file(path: Path, target: Path, max_bytes: int) -> int:
    """Unpack a zstd file; return the number of unpacked bytes.

    :raises LimitExceededError: if it unpacks to more than ``max_bytes``, or the disk has too
        little space.
    :raises Exception: the library's own, if the file is not zstd or truncated.
    """
    library = zstd()
    with open(path, 'rb') as file:
        declared = library.get_frame_info(file.read(32)).decompressed_size or 0
    if declared > max_bytes:
        raise LimitExceededError(
            f'it unpacks to {declared} bytes, at most {max_bytes} are allowed')
    size = 0
    with library.open(path, 'rb') as source, open(target, 'xb') as file:
        while block := source.read(_BLOCK_BYTES):
            if free_bytes(target.parent, size) < max(declared - size, len(block)) + RESUME_BYTES:
                raise LimitExceededError(
                    f"there is too little disk space to unpack it into '{target.parent}': free "
                    'some, or set $TMPDIR to a folder on another disk')
            size += file.write(block)
            _check_unpacked(size, max_bytes)
    return size


def chunks_problem(chunks: Collection[Any]) -> str:
    """Return which chunks of an mcap file would exceed the memory limits, or ''.

    A chunk stays in memory until its last message, so chunks that overlap in time add up.

    :param chunks: rosbags' ChunkInfo of the file's index. A chunk larger than declared there is
        detected when it is unpacked.
    """
    events = []
    for c in chunks:
        size = max(c.uncompressed_size, c.compressed_size)
        if size > MAX_RECORD_BYTES:
            return (f'its chunk at byte {c.chunk_start_offset} has {size} bytes, at most '
                    f'{MAX_RECORD_BYTES} are allowed')
        events += [(c.message_start_time, 0, size, c.chunk_start_offset),
                   (c.message_end_time, 1, -size, c.chunk_start_offset)]
    held = 0
    for _, _, size, start in sorted(events):
        held += size
        if held > MAX_HELD_BYTES:
            return (f'its chunk at byte {start} and those that overlap it in time have {held} '
                    f'bytes, at most {MAX_HELD_BYTES} are allowed')
    return ''


@lru_cache(maxsize=1)
def limit_rosbags() -> None:
    """Patch rosbags' readers to respect these limits and to reject YAML with aliases.

    rosbags unpacks chunks, reads records and loads the YAML in ``offered_qos_profiles`` before
    its caller can check them, so the functions it uses for that are replaced in its modules.
    """
    mcap = import_module('rosbags.rosbag2.storage_mcap')
    lz4 = import_module('lz4.frame')

    def decompress_lz4(data: bytes, size: int) -> bytes:
        decompressor = lz4.LZ4FrameDecompressor()
        raw = decompressor.decompress(data, _checked_chunk_size(size) + 1)
        _check_unpacked(len(raw), size)
        return raw

    def read_exact(file: Any, size: int, read=mcap.read_exact) -> bytes:
        if size > MAX_RECORD_BYTES:
            raise LimitExceededError(f'its record at byte {file.tell()} has {size} bytes, at most '
                                     f'{MAX_RECORD_BYTES} are allowed')
        return read(file, size)

    mcap.DECOMPRESSORS['zstd'] = lambda data, size: decompress(data, _checked_chunk_size(size))
    mcap.DECOMPRESSORS['lz4'] = decompress_lz4
    mcap.read_exact = read_exact
    for module in (mcap, import_module('rosbags.rosbag2.storage_sqlite3')):
        def parse_qos(text: Any, parse=module.parse_qos) -> list:
            return parse(_load_qos(text) if isinstance(text, str) else text)

        module.parse_qos = parse_qos


def _load_qos(text: str) -> Any:
    """Return the content of a topic's offered_qos_profiles."""
    if len(text) > MAX_SETTINGS_BYTES:
        raise LimitExceededError(f"a topic's offered_qos_profiles have {len(text)} bytes, at most "
                                 f'{MAX_SETTINGS_BYTES} were expected')
    try:
        return parse_yaml(text)
    except ValueError as e:
        raise LimitExceededError(f"a topic's offered_qos_profiles are rejected: {e}") from None


def _checked_chunk_size(size: int) -> int:
    if size > MAX_RECORD_BYTES:
        raise LimitExceededError(
            f'a chunk unpacks to {size} bytes, at most {MAX_RECORD_BYTES} are allowed')
    return size


def _check_unpacked(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise LimitExceededError(
            f'it unpacks to more than {max_bytes} bytes, the size it declares or the limit')


def zstd() -> Any:
    """Return the zstd module, which rosbags needs as well."""
    return import_module('compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd')
