"""How much of a stranger's bag is unpacked: a few kilobytes may stand for more than any memory."""
from collections.abc import Collection
from functools import lru_cache
from importlib import import_module
from pathlib import Path
import sys
from typing import Any

from gaze_ros.core.output.disk_guard import free_bytes, RESUME_BYTES
from gaze_ros.core.system.safe_files import MAX_SETTINGS_BYTES, parse_yaml

#: Bytes of a message, a chunk or another record: the largest picture that is taken has 200 MB.
MAX_RECORD_BYTES = 1 << 28
#: Bytes of chunks that are held at one time, as those are that overlap in time.
MAX_HELD_BYTES = 1 << 29
#: Bytes that all files of a bag that are compressed as such may unpack to, or so many times what
#: they have: those of cameras have a tenth to a half of it.
MAX_DECOMPRESSED_BYTES, MAX_COMPRESSION_RATIO = 1 << 30, 100

#: Bytes that are unpacked into a file at one time.
_PIECE = 1 << 22


class ExcessError(ValueError):
    """What is more than is read; the file need not be broken."""


def decompress(data: bytes, most: int = MAX_RECORD_BYTES) -> bytes:
    """Return what zstd packed.

    :raises ExcessError: if it is more than so many bytes; that many are taken at most.
    :raises Exception: of the library's, if it is no zstd, or cut short.
    """
    library = zstd()
    parts: list[bytes] = []
    done = 0
    while data or not parts:
        claimed = library.get_frame_info(data).decompressed_size or 0
        if done + claimed > most:
            raise ExcessError(f'it unpacks to {done + claimed} bytes, at most {most} are taken')
        decompressor = library.ZstdDecompressor()
        parts.append(decompressor.decompress(data, most + 1 - done))
        done += len(parts[-1])
        _demand(done, most)
        if not decompressor.eof:
            raise ValueError('what is packed in it is cut short')
        data = decompressor.unused_data
    return parts[0] if len(parts) == 1 else b''.join(parts)


def decompress_file(path: Path, target: Path, most: int) -> int:
    """Unpack a file of zstd; return how many bytes it has.

    :raises ExcessError: if it is more than so many, or the disk has no room for them.
    :raises Exception: of the library's, if it is no zstd, or cut short.
    """
    library = zstd()
    with open(path, 'rb') as file:
        claimed = library.get_frame_info(file.read(32)).decompressed_size or 0
    if claimed > most:
        raise ExcessError(f'it unpacks to {claimed} bytes, at most {most} are taken')
    done = 0
    with library.open(path, 'rb') as source, open(target, 'xb') as file:
        while piece := source.read(_PIECE):
            if free_bytes(target.parent, done) < max(claimed - done, len(piece)) + RESUME_BYTES:
                raise ExcessError(
                    f"it is unpacked into '{target.parent}', where there is no room: free some, "
                    'or set $TMPDIR to a folder on another disk')
            done += file.write(piece)
            _demand(done, most)
    return done


def chunks_problem(chunks: Collection[Any]) -> str:
    """Return which of an mcap file's chunks take more memory than is given them, or ''.

    :param chunks: rosbags' ChunkInfo of its index: a chunk that has more than is told there is
        found when it is unpacked. All that overlap are held until the last message of each.
    """
    events = []
    for c in chunks:
        size = max(c.uncompressed_size, c.compressed_size)
        if size > MAX_RECORD_BYTES:
            return (f'its chunk at byte {c.chunk_start_offset} has {size} bytes, at most {MAX_RECORD_BYTES} '
                    'are taken')
        events += [(c.message_start_time, 0, size, c.chunk_start_offset),
                   (c.message_end_time, 1, -size, c.chunk_start_offset)]
    held = 0
    for _, _, size, start in sorted(events):
        held += size
        if held > MAX_HELD_BYTES:
            return (f'its chunk at byte {start} and those that overlap it in time have {held} '
                    f'bytes, at most {MAX_HELD_BYTES} are taken')
    return ''


@lru_cache(maxsize=1)
def limit_rosbags() -> None:
    """Have rosbags' readers unpack no more than this, and take no YAML with aliases.

    It unpacks chunks, takes records and loads the YAML in ``offered_qos_profiles`` before anybody
    sees them, by what these names in its modules stand for.
    """
    mcap = import_module('rosbags.rosbag2.storage_mcap')
    lz4 = import_module('lz4.frame')

    def unpacked_lz4(data: bytes, size: int) -> bytes:
        decompressor = lz4.LZ4FrameDecompressor()
        raw = decompressor.decompress(data, _claimed(size) + 1)
        _demand(len(raw), size)
        return raw

    def read_exact(file: Any, size: int, read=mcap.read_exact) -> bytes:
        if size > MAX_RECORD_BYTES:
            raise ExcessError(
                f'its record at byte {file.tell()} has {size} bytes, at most {MAX_RECORD_BYTES} are taken')
        return read(file, size)

    mcap.DECOMPRESSORS['zstd'] = lambda data, size: decompress(data, _claimed(size))
    mcap.DECOMPRESSORS['lz4'] = unpacked_lz4
    mcap.read_exact = read_exact
    for module in (mcap, import_module('rosbags.rosbag2.storage_sqlite3')):
        def parse_qos(text: Any, parse=module.parse_qos) -> list:
            return parse(_plain(text) if isinstance(text, str) else text)

        module.parse_qos = parse_qos


def _plain(text: str) -> Any:
    if len(text) > MAX_SETTINGS_BYTES:
        raise ExcessError(f"a topic's offered_qos_profiles have {len(text)} bytes, at most "
                     f'{MAX_SETTINGS_BYTES} were expected')
    try:
        return parse_yaml(text)
    except ValueError as e:
        raise ExcessError(f"a topic's offered_qos_profiles are not read: {e}") from None


def _claimed(size: int) -> int:
    """Return a chunk's size, if it may have that."""
    if size > MAX_RECORD_BYTES:
        raise ExcessError(f'a chunk unpacks to {size} bytes, at most {MAX_RECORD_BYTES} are taken')
    return size


def _demand(done: int, most: int) -> None:
    if done > most:
        raise ExcessError(f'it unpacks to more than the {most} bytes that it tells, or may have')


def zstd() -> Any:
    """Return the library that rosbags needs, too."""
    return import_module('compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd')
