"""Tells from the sizes that a video file declares whether its end is missing.

What a container says of the number of images is no proof: an edit list hides some, and where the
number is estimated from the duration, a longer sound adds to it.
"""
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: Bytes at the end of a file that are all 0 if space was allocated for it but not yet written.
_TAIL = 4096

_EBML, _SEGMENT = b'\x1a\x45\xdf\xa3', b'\x18\x53\x80\x67'


def is_whole(path: Path) -> bool:
    """Return whether a file is an MP4, MOV, AVI, MKV or WebM that ends where it says.

    False also for other formats, which do not say it, and for a file that cannot be read.
    """
    try:
        size = path.stat().st_size
        with open(path, 'rb') as file:
            start = file.read(12)
            sizes = _box_ends if start[4:8] in (b'ftyp', b'moov', b'mdat', b'free', b'wide') else (
                _riff_ends if start[:4] == b'RIFF' else
                _ebml_ends if start[:4] == _EBML else None)
            if sizes is None:
                return False
            end = max(sizes(file, size), default=size + 1)
            file.seek(max(0, size - _TAIL))
            return end <= size and any(file.read(_TAIL))
    except OSError:
        return False


def _box_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the ends of the boxes of an MP4 (ISO 14496-12, 4.2), bytes."""
    end = 0
    while end < size:
        file.seek(end)
        header = file.read(16)
        length = int.from_bytes(header[:4], 'big')
        if length == 1:
            length = int.from_bytes(header[8:], 'big')
        elif length == 0:  # to the end of the file
            length = size - end
        end += max(length, 8)
        yield end


def _riff_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the ends of the RIFF chunks of an AVI, which has one per GB; bytes."""
    end = 0
    while end < size:
        file.seek(end)
        end += 8 + int.from_bytes(file.read(8)[4:], 'little')
        yield end


def _ebml_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the end of the segment of a Matroska file (RFC 8794, RFC 9559); bytes."""
    file.seek(0)
    data = file.read(256)
    at = data.find(_SEGMENT) + len(_SEGMENT)
    if at < len(_SEGMENT) or at >= len(data) or not data[at]:
        return
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at:at + length], 'big') - (1 << 7 * length)
    if value < (1 << 7 * length) - 1:  # else unknown: the recording was interrupted or streamed
        yield at + length + value
