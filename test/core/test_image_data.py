"""JPEG and PNG as cameras send them: padded, with an older image behind, without their end."""
import time

import cv2
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.system.image_data import _rejects_missing_parts, decode_image
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

IMAGE = Sample(320, 240).read()
CODECS = {
    'jpeg': ('.jpg', []), 'grey': ('.jpg', []), 'progressive': (
        '.jpg', [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    'with restarts': ('.jpg', [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]),
    '4:4:4': ('.jpg', [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
    'png': ('.png', [])}
NOISE = np.random.default_rng(0).bytes(100_000)


def encoded(codec):
    suffix, options = CODECS[codec]
    image = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY) if codec == 'grey' else IMAGE
    return cv2.imencode(suffix, image, options)[1].tobytes()


def decoded(data, flags=cv2.IMREAD_COLOR):
    return decode_image(np.frombuffer(data, np.uint8), flags)


def with_thumbnail(jpeg):
    """Return a JPEG with another one, and its end marker, in a segment."""
    inner = cv2.imencode('.jpg', IMAGE[:64, :64])[1].tobytes()
    return jpeg[:2] + b'\xff\xe1' + (2 + len(inner)).to_bytes(2, 'big') + inner + jpeg[2:]


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('behind', [
    bytes(400_000), b'\0', NOISE, b'\xff' * 1000, b'older', b'\xff\xd9' * 3],
    ids=['zeros', 'zero', 'noise', 'ones', 'older', 'ends'])
def test_what_follows_the_end_does_not_count(codec, behind):
    whole = encoded(codec)
    if behind == b'older':
        behind = whole[3000:-200]
    np.testing.assert_array_equal(decoded(whole + behind), decoded(whole))


def test_end_of_a_thumbnail_is_not_the_end():
    whole = with_thumbnail(encoded('jpeg'))
    np.testing.assert_array_equal(decoded(whole + bytes(9000)), decoded(encoded('jpeg')))
    with pytest.raises(ValueError, match='is truncated'):
        decoded(whole[:len(whole) * 3 // 4] + bytes(9000))


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('share', [0.05, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize('behind', [b'', bytes(100_000)], ids=['', 'zeros'])
def test_truncated_images_are_refused(codec, share, behind):
    whole = encoded(codec)
    with pytest.raises(ValueError, match='is truncated: its end is missing'):
        decoded(whole[:int(share * len(whole))] + behind)


@pytest.mark.parametrize('codec', ['jpeg', 'grey', 'with restarts', '4:4:4'])
@pytest.mark.parametrize('behind', [b'', b'\xff', bytes(100_000)], ids=['', 'half', 'zeros'])
def test_jpeg_that_lacks_only_its_end_marker(codec, behind):
    whole = encoded(codec)
    if not _rejects_missing_parts():
        with pytest.raises(ValueError, match='is truncated'):
            decoded(whole[:-2] + behind)
        return
    np.testing.assert_array_equal(decoded(whole[:-2] + behind), decoded(whole))


@given(st.integers(0, 400))
def test_jpeg_without_its_last_bytes_is_whole_or_refused(missing):
    whole = encoded('jpeg')
    try:
        image = decoded(whole[:-2 - missing])
    except ValueError:
        return
    # A few blocks at the end may be missing, less than 1 % of the image.
    assert (image != decoded(whole)).any(axis=2).mean() < 0.01


def test_opencv_5_tells_what_is_missing():
    assert _rejects_missing_parts() or int(cv2.__version__[0]) < 5


@pytest.mark.parametrize('data', [
    b'\xff\xd8' + b'\xff\xd0' * 10**7, b'\xff\xd8' + b'\xff' * 10**7,
    b'\x89PNG' + bytes(10**7), b'\x89PNG\r\n\x1a\n' + (bytes(4) + b'abcd' + bytes(4)) * 10**6,
    b'\xff\xd8' + b'\xff\xda\0\2' * 10**6])
def test_refusal_is_quick(data):
    start = time.process_time()
    with pytest.raises(ValueError, match='truncated|cannot be decoded'):
        decoded(data)
    assert time.process_time() - start < 2
