"""Videos that OpenCV does not write: with uneven times, pixels that are not square, and others."""
from collections.abc import Callable, Sequence
from pathlib import Path
import struct

import cv2
import numpy as np

#: Boxes of an MP4 that hold boxes.
_CONTAINERS = (b'moov', b'trak', b'edts', b'mdia', b'minf', b'stbl')

_HEADER = struct.Struct('>I4s')


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


def level(image: np.ndarray) -> int:
    """Return which image of :func:`save_video` this is."""
    return round((float(image.mean()) - 20) / 10)


def save_video(path: Path, count: int = 12, codec: str = 'mp4v', rate: float = 25) -> Path:
    """Save a video of 64x48, each image brighter than the one before."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (64, 48))
    for i in range(count):
        writer.write(grey(20 + 10 * i))
    writer.release()
    return path


def save_uneven(path: Path, times: Sequence[float], rate: float = 25) -> Path:
    """Save an MP4 whose images have these times, seconds, the first 0."""
    save_video(path, len(times), rate=rate)
    steps = [*np.diff(times), 1 / rate]
    scales: list[int] = []
    edit(path, mdhd=lambda data: scales.append(int.from_bytes(data[12:16], 'big')) or data)
    table = b''.join(struct.pack('>II', 1, round(scales[0] * step)) for step in steps)
    edit(path, stts=lambda _: bytes(4) + struct.pack('>I', len(steps)) + table)
    return shown_until(path, sum(steps))


def shown_until(path: Path, seconds: float) -> Path:
    """Let the edit list of an MP4 end at a time; the movie has the time scale 1000."""
    return edit(path, elst=lambda data: data[:8] + struct.pack('>I', round(
        1000 * seconds)) + data[12:])


def with_pixel_aspect(path: Path, width: int, height: int) -> Path:
    """Set the aspect of the pixels of an MP4."""
    pasp = _HEADER.pack(16, b'pasp') + struct.pack('>II', width, height)

    def add(stsd: bytes) -> bytes:
        entry = stsd[8:] + pasp
        return stsd[:8] + len(entry).to_bytes(4, 'big') + entry[4:]

    return edit(path, stsd=add)


def of_codec(path: Path, name: bytes) -> Path:
    """Let an MP4 say that its codec is another one, of four letters."""
    return edit(path, stsd=lambda data: data.replace(b'mp4v', name).replace(b'esds', b'free'))


def turned(path: Path) -> Path:
    """Let a player turn an MP4 by a quarter."""
    matrix = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    return edit(path, tkhd=lambda data: data[:40] + matrix + data[76:])


def edit(path: Path, **edits: Callable[[bytes], bytes]) -> Path:
    """Replace the content of boxes of an MP4, named by their types, in place."""
    def edited(data: bytes) -> bytes:
        result = b''
        while data:
            size, kind = _HEADER.unpack_from(data)
            content = data[8:size]
            if kind in _CONTAINERS:
                content = edited(content)
            elif kind.decode('latin-1') in edits:
                content = edits[kind.decode('latin-1')](content)
            result += _HEADER.pack(8 + len(content), kind) + content
            data = data[size:]
        return result

    path.write_bytes(edited(path.read_bytes()))
    return path
