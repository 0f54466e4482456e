"""Compressed images as cameras send them: with bytes behind their end, or without their end."""
from contextlib import suppress
from functools import lru_cache
import re

import cv2
from gaze_ros.core.system.native_threads import MAX_PIXELS
from gaze_ros.core.system.safe_files import png_too_large
import numpy as np

_JPEG, _PNG = b'\xff\xd8\xff', b'\x89PNG'
#: End of a JPEG.
_END = b'\xff\xd9'
#: A marker in the data of a scan, where 0xff is followed by 0, by a restart marker, or repeated.
_MARKER = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]')
_START_OF_SCAN, _END_OF_IMAGE = 0xda, 0xd9
#: Markers without a length.
_SINGLE = (0x01, *range(0xd0, 0xd8))

#: Maximum number of segments or chunks; images have tens, or a few hundred.
_MAX_SEGMENTS = 10_000

#: Bytes behind the last scan that libjpeg reads ahead without using them. As data of a scan they
#: hold a few blocks of 8 x 8 pixels at most.
_READ_AHEAD = bytes(8)


def decode_image(data: np.ndarray, flags: int) -> np.ndarray:
    """Return the image in the data of a file or message.

    Bytes behind its end do not count: drivers send buffers of a fixed size, in which zeros or a
    part of an older image follow. A JPEG that lacks only its end marker is decoded if OpenCV
    rejects one that lacks more, as 5.0 does. OpenCV 4 fills the missing part with grey.

    :param data: (N,) uint8, of any format that OpenCV decodes.
    :param flags: of cv2.imdecode.
    :raises ValueError: if there is none, it is truncated, or has more than MAX_PIXELS pixels; the
        text is a predicate: 'is truncated: ...'.
    """
    complete, has_end = data, True
    start = data[:24].tobytes()
    if start.startswith(_JPEG) and data[-2:].tobytes() != _END:
        content = data.tobytes()
        end = _jpeg_end(content)
        has_end = end >= 0
        complete = data[:end] if has_end else (
            _with_read_ahead(content) if _rejects_missing_parts() else None)
    elif start.startswith(_PNG):
        end = _png_end(data)
        has_end = end >= 0
        complete = data[:end] if has_end else None
    image = None
    if complete is not None and data.size and not png_too_large(start):
        with suppress(cv2.error):  # usually a wrong size in the header
            image = cv2.imdecode(complete, flags)
    if image is not None:
        return image
    raise ValueError('cannot be decoded; expected a complete jpeg, png, webp or tiff of at most '
                     f'{MAX_PIXELS} pixels' if has_end else 'is truncated: its end is missing')


def _jpeg_end(data: bytes) -> int:
    """Return the offset behind the end marker, or -1.

    Thumbnails have end markers, too: segments are skipped by their lengths.
    """
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if data[at:at + 1] != b'\xff' or at + 2 > len(data):
            break
        marker = data[at + 1]
        if marker == _END_OF_IMAGE:
            return at + 2
        if marker == 0xff:
            at += 1
            continue
        at += 2
        if marker in _SINGLE:
            continue
        at += int.from_bytes(data[at:at + 2], 'big')
        if marker == _START_OF_SCAN:
            found = _MARKER.search(data, at)
            if found is None:
                return -1
            at = found.start()
    return -1


def _with_read_ahead(data: bytes) -> np.ndarray:
    """Return a JPEG without end marker with what libjpeg needs to decode its last block."""
    scan = data.rstrip(b'\0')
    if scan.endswith(b'\xff'):
        scan += b'\0'  # together one byte of the scan
    return np.frombuffer(scan + _READ_AHEAD, np.uint8)


def _png_end(data: np.ndarray) -> int:
    """Return the offset behind the last chunk, or -1."""
    at = 8
    for _ in range(_MAX_SEGMENTS):
        header = data[at:at + 8].tobytes()
        if not header[4:].isalpha():
            break
        at += 12 + int.from_bytes(header[:4], 'big')
        if header[4:] == b'IEND':
            return at if at <= len(data) else -1
    return -1


@lru_cache(maxsize=1)
def _rejects_missing_parts() -> bool:
    """Return whether OpenCV rejects a JPEG of which a part is missing."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    whole = cv2.imencode('.jpg', noise)[1]
    return cv2.imdecode(whole[:len(whole) * 3 // 4], cv2.IMREAD_GRAYSCALE) is None
