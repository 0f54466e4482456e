"""Images from other publishers: converted with the right colours, or rejected once by name."""
import array
from itertools import count
import math
import struct
import time
import tracemalloc
import zlib

from builtin_interfaces.msg import Time
import cv2
from diagnostic_msgs.msg import DiagnosticArray
from gaze_ros.core.sources.sample import Sample
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import conversions, topics
from gaze_ros.ros.comm.conversions import bgr_to_image, compressed_to_bgr, image_to_bgr
from helpers.processes import running, wait_until
from helpers.ros_client import set_parameters
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

#: All that sensor_msgs/image_encodings.hpp names.
NAMED = [
    *(f'{order}{bits}' for order in ('rgb', 'rgba', 'bgr', 'bgra', 'mono') for bits in (8, 16)),
    *(f'{kind}C{n}' for kind in ('8U', '8S', '16U', '16S', '32S', '32F', '64F')
      for n in (1, 2, 3, 4)),
    *(f'bayer_{tile}{bits}' for tile in ('rggb', 'bggr', 'gbrg', 'grbg') for bits in (8, 16)),
    'uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24']

#: Channel order of each supported encoding.
ORDERS = {
    'bgr': 'BGR', 'rgb': 'RGB', 'bgra': 'BGRA', 'rgba': 'RGBA', '8UC3': 'BGR', '8UC4': 'BGRA',
    '16UC3': 'BGR', '16UC4': 'BGRA', 'mono': 'Y', '8UC1': 'Y', '16UC1': 'Y'}
COLOUR = {'B': 40, 'G': 90, 'R': 200, 'A': 255, 'Y': 117}
WIDTH, HEIGHT = 12, 8


def values_of(encoding):
    """Return the (H, W or more) uint8 values of an image of COLOUR."""
    if encoding.startswith('bayer_'):
        tile = np.array([COLOUR[c.upper()] for c in encoding[6:10]], np.uint8).reshape(2, 2)
        return np.tile(tile, (HEIGHT // 2, WIDTH // 2))
    flat = np.full((2, 2, 3), [COLOUR[c] for c in 'BGR'], np.uint8)
    planes = cv2.cvtColor(flat, cv2.COLOR_BGR2YUV_I420)
    y, u, v = int(planes[0, 0]), *map(int, planes[2])
    if encoding.startswith('nv'):
        pair = np.array([v, u] if encoding == 'nv21' else [u, v], np.uint8)
        rows = 2 * HEIGHT if encoding == 'nv24' else HEIGHT // 2
        return np.vstack([np.full((HEIGHT, WIDTH), y, np.uint8),
                          np.tile(pair, (rows, WIDTH // 2))])
    if encoding in ('uyvy', 'yuv422'):
        return np.tile(np.array([u, y, v, y], np.uint8), (HEIGHT, WIDTH // 2))
    if encoding in ('yuyv', 'yuv422_yuy2'):
        return np.tile(np.array([y, u, y, v], np.uint8), (HEIGHT, WIDTH // 2))
    order = ORDERS.get(encoding) or ORDERS[encoding.rstrip('0123456789')]
    return np.tile(np.array([COLOUR[c] for c in order], np.uint8), (HEIGHT, WIDTH))


def message_of(encoding, big=False, pad=0, extra=0):
    values = values_of(encoding)
    if '16' in encoding:  # the lower byte does not count
        values = (values.astype(np.uint16) << 8 | 0x7f).astype('>u2' if big else '<u2')
    rows = np.ascontiguousarray(values).view(np.uint8)
    if encoding == 'nv24':  # two rows of the message hold one row of colours
        colours = np.pad(rows[HEIGHT:].reshape(HEIGHT, 2 * WIDTH), ((0, 0), (0, 2 * pad)))
        rows = np.vstack([np.pad(rows[:HEIGHT], ((0, 0), (0, pad))),
                          colours.reshape(2 * HEIGHT, -1)])
    else:
        rows = np.pad(rows, ((0, 0), (0, pad)), constant_values=99)
    return Image(width=WIDTH, height=HEIGHT, encoding=encoding, step=rows.shape[1],
                 is_bigendian=big, data=array.array('B', rows.tobytes() + bytes(extra)))


@pytest.mark.parametrize('encoding', NAMED)
def test_each_encoding_is_converted_or_rejected_by_name(encoding):
    if encoding not in conversions._ENCODINGS:
        with pytest.raises(ValueError, match=f"^encoding '{encoding}' is not one of: .*; it"):
            image_to_bgr(Image(width=2, height=2, step=32, encoding=encoding, data=bytes(64)))
        return
    grey = ORDERS.get(encoding.rstrip('0123456789'), ORDERS.get(encoding)) == 'Y'
    expected = [COLOUR['Y']] * 3 if grey else [COLOUR[c] for c in 'BGR']
    for big in (False, True):
        for pad, extra in ((0, 0), (7, 0), (0, 1000)):
            bgr = image_to_bgr(message_of(encoding, big, pad, extra))
            assert bgr.shape == (HEIGHT, WIDTH, 3) and bgr.dtype == np.uint8
            inner = bgr[2:-2, 2:-2].astype(int)  # demosaicing extrapolates at the border
            assert np.abs(inner - expected).max() <= (3 if 'y' in encoding or 'nv' in encoding
                                                      or 'yuv' in encoding else 0), (big, pad)


def test_all_supported_encodings_are_in_sensor_msgs():
    assert set(conversions._ENCODINGS) <= set(NAMED)


@pytest.mark.parametrize('encoding', ['bgr8', 'mono8', 'bayer_rggb8', 'rgb16', 'yuyv', 'nv12'])
def test_last_row_may_lack_its_padding(encoding):
    message, padded = message_of(encoding), message_of(encoding, pad=7)
    padded.data = padded.data[:-7]
    np.testing.assert_array_equal(image_to_bgr(padded), image_to_bgr(message))
    padded.data = padded.data[:-1]
    with pytest.raises(ValueError, match='data has'):
        image_to_bgr(padded)


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('bits', [10, 12, 14])
@pytest.mark.parametrize('encoding', [
    'mono16', '16UC1', 'rgb16', 'bgra16', 'bayer_rggb16', 'bayer_gbrg16'])
def test_cameras_of_less_than_16_bits(encoding, bits, big):
    wide = message_of(encoding, big)
    values = np.frombuffer(wide.data, '>u2' if big else '<u2')
    narrow = message_of(encoding, big)
    # In the lower bits; the rest of the image is unchanged.
    narrow.data = array.array('B', (values >> (16 - bits)).astype(values.dtype).tobytes())
    np.testing.assert_array_equal(image_to_bgr(narrow), image_to_bgr(wide))
    # In the upper bits they need no scaling.
    narrow.data = array.array(
        'B', (values >> (16 - bits) << (16 - bits)).astype(values.dtype).tobytes())
    np.testing.assert_array_equal(image_to_bgr(narrow), image_to_bgr(wide))


def test_faces_are_found_in_12_bits(shared, image):
    from gaze_ros.core.detectors import create_detector
    detector = create_detector(
        'yunet', weight=str(shared / 'models' / 'face_detection_yunet_2026may.onnx'))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    for bits in (10, 12, 14, 16):
        values = grey.astype(np.uint16) << (bits - 8)
        bgr = image_to_bgr(Image(
            width=320, height=240, step=640, encoding='mono16',
            data=array.array('B', values.astype('<u2').tobytes())))
        assert cv2.PSNR(bgr, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)) > 60
        face, = detector.detect(bgr)
        assert face.score > 0.65
    detector.close()


@pytest.mark.parametrize(('fields', 'words'), [
    ({'step': 0}, 'step is 0'), ({'width': 0}, 'the image is 0x8'),
    ({'height': 0}, 'the image is 12x0'), ({'step': 35}, 'step is 35'),
    ({'height': 9}, 'and 9 rows;'), ({'data': b''}, 'data has 0 bytes'),
    ({'width': 10**9, 'height': 10**9, 'step': 3 * 10**9}, '1000000000x1000000000'),
    ({'width': 2**32 - 1, 'height': 2**32 - 1, 'step': 2**32 - 1}, 'step is 4294967295'),
    ({'encoding': ''}, "^encoding '' is not one of"),
    ({'encoding': 'yuyv', 'width': 11}, 'a yuyv image cannot be 11x8'),
    ({'encoding': 'nv21', 'height': 7}, 'a nv21 image cannot be 12x7'),
    ({'encoding': 'nv12', 'width': 7}, 'a nv12 image cannot be 7x8'),
    ({'encoding': 'nv24', 'width': 7}, 'a nv24 image cannot be 7x8'),
    ({'encoding': 'nv24', 'step': 36}, 'and 24 rows; step is 36'),
    ({'encoding': 'bayer_rggb8', 'width': 1}, 'a bayer_rggb8 image cannot be 1x8'),
    ({'encoding': 'x\n\x1b[31m' + 'y' * 10**6}, r"^encoding 'x\\n\\x1b\[31my{20,60}\.\.\.' is")])
def test_inconsistent_sizes_are_named(fields, words):
    message = message_of('bgr8')
    for name, value in fields.items():
        setattr(message, name, value)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as error:
            image_to_bgr(message)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20  # the claimed size is not allocated
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 900 and str(error.value).isprintable()


@pytest.mark.parametrize('encoding', ['bgr8', 'mono8', 'rgb16', 'rgba8'])
def test_single_pixel_is_an_image(encoding):
    size = {'bgr8': 3, 'mono8': 1, 'rgb16': 6, 'rgba8': 4}[encoding]
    bgr = image_to_bgr(Image(
        width=1, height=1, step=size, encoding=encoding, data=bytes([200] * size)))
    assert bgr.tolist() == [[[200, 200, 200]]]


def test_8k_image():
    image = np.zeros((4320, 7680, 3), np.uint8)
    image[-1, -1] = 1, 2, 3
    assert image_to_bgr(bgr_to_image(image, Header()))[-1, -1].tolist() == [1, 2, 3]


@given(width=st.sampled_from([0, 1, 2, 3, 4, 7, 16, 10**5, 2**31, 2**32 - 1]),
       height=st.sampled_from([0, 1, 2, 3, 4, 7, 16, 10**5, 2**31, 2**32 - 1]),
       step=st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1)),
       encoding=st.one_of(st.sampled_from(NAMED), st.text(max_size=80)),
       big=st.integers(0, 255), data=st.binary(max_size=600))
@settings(max_examples=400)
def test_any_image_message_gives_an_image_of_its_size_or_a_one_line_reason(
        width, height, step, encoding, big, data):
    message = Image(width=width, height=height, step=step, encoding=encoding,
                    is_bigendian=big, data=array.array('B', data))
    try:
        bgr = image_to_bgr(message)
    except ValueError as e:
        assert 0 < len(str(e)) < 900 and str(e).isprintable()
        return
    assert bgr.shape == (height, width, 3) and bgr.dtype == np.uint8
    assert bgr.size <= 3 * len(data)
    bgr[:] = 0  # it is writable


def jpeg(image):
    return cv2.imencode('.jpg', image)[1].tobytes()


def jpeg_claiming(size):
    """Return a JPEG whose header claims a larger size."""
    data = bytearray(jpeg(np.zeros((64, 64, 3), np.uint8)))
    at = data.index(b'\xff\xc0')
    data[at + 5:at + 9] = struct.pack('>HH', size, size)
    return bytes(data)


def png_claiming(width, height):
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack(
            '>I', zlib.crc32(name + data))
    return b'\x89PNG\r\n\x1a\n' + chunk(
        b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) + chunk(
        b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')


@pytest.fixture(scope='module')
def image():
    source = Sample(320, 240)
    return source.read()


@pytest.mark.parametrize('size', [9000, 32000, 65500])
def test_size_claimed_in_a_header_is_not_allocated(size):
    for data in (jpeg_claiming(size), png_claiming(size, size)):
        with pytest.raises(ValueError, match='cannot be decoded; .* at most 67108864 pixels'):
            compressed_to_bgr(CompressedImage(format='jpeg', data=data))


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_truncated_image_is_rejected(image, suffix):
    whole = cv2.imencode(suffix, image)[1].tobytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        with pytest.raises(ValueError, match='is truncated: its end is missing'):
            compressed_to_bgr(CompressedImage(format='x', data=whole[:int(share * len(whole))]))
    # Cameras pad: bytes after the end are ignored.
    assert compressed_to_bgr(CompressedImage(data=whole + bytes(400_000))).shape == image.shape


def mosaic_of(bgr, pattern):
    """Return the (H, W) image of a sensor with a Bayer pattern, such as rggb."""
    rows = [bgr[y::2, x::2, 'bgr'.index(pattern[2 * y + x])] for y in (0, 1) for x in (0, 1)]
    mosaic = np.empty(bgr.shape[:2], bgr.dtype)
    for i, row in enumerate(rows):
        mosaic[i // 2::2, i % 2::2] = row
    return mosaic


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_compressed_bayer_images_have_colours(image, pattern):
    """As image_transport compresses them: the mosaic, as if it were grey."""
    smooth = cv2.resize(cv2.GaussianBlur(image, (0, 0), 4), (640, 480))
    mosaic = mosaic_of(smooth, pattern)
    best = [cv2.IMWRITE_JPEG_QUALITY, 100]
    for data, format_, low in (
            (cv2.imencode('.jpg', mosaic, best)[1], f'bayer_{pattern}8; jpeg compressed', 30),
            (cv2.imencode('.jpg', mosaic, best)[1], f'bayer_{pattern}8; jpeg compressed ', 30),
            (cv2.imencode('.png', mosaic)[1], f'bayer_{pattern}8; png compressed ', 35),
            (cv2.imencode('.png', mosaic.astype(np.uint16) << 4)[1],
             f'bayer_{pattern}16; png compressed ', 35),
            # The driver demosaiced it before.
            (cv2.imencode('.jpg', smooth, best)[1],
             f'bayer_{pattern}8; jpeg compressed bgr8', 35)):
        bgr = compressed_to_bgr(CompressedImage(data=data.tobytes(), format=format_))
        assert bgr.shape == smooth.shape and bgr.dtype == np.uint8
        assert cv2.PSNR(bgr[8:-8, 8:-8], smooth[8:-8, 8:-8]) > low, format_
    # Grey on purpose.
    grey = cv2.cvtColor(smooth, cv2.COLOR_BGR2GRAY)
    bgr = compressed_to_bgr(CompressedImage(
        data=jpeg(grey), format=f'bayer_{pattern}8; jpeg compressed mono8'))
    assert cv2.PSNR(bgr, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)) > 35


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
def test_compressed_images_of_16_bits(image, bits):
    for pixels, format_ in (
            (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 'mono16; png compressed '),
            (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), ''),
            (image, 'rgb16; png compressed bgr16'), (image, 'bgr16; tiff compressed bgr16')):
        suffix = '.tiff' if 'tiff' in format_ else '.png'
        data = cv2.imencode(suffix, pixels.astype(np.uint16) << (bits - 8))[1].tobytes()
        bgr = compressed_to_bgr(CompressedImage(data=data, format=format_))
        expected = pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
        np.testing.assert_array_equal(bgr, expected)


def test_values_that_are_no_image_are_refused():
    data = cv2.imencode('.tiff', np.full((4, 4), 0.5, np.float32))[1].tobytes()
    with pytest.raises(ValueError, match='values of float32|cannot be decoded'):
        compressed_to_bgr(CompressedImage(data=data, format='32FC1; tiff compressed '))


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tiff', '.bmp'])
@pytest.mark.parametrize('format_', ['png', 'jpeg', '', 'x' * 10000, 'bgr8; jpeg compressed bgr8'])
def test_wrong_format_field_is_ignored(image, suffix, format_):
    data = cv2.imencode(suffix, image)[1].tobytes()
    bgr = compressed_to_bgr(CompressedImage(format=format_, data=data))
    assert cv2.PSNR(bgr, image) > 30


def test_gif_is_decoded_or_rejected(image):
    # GIF89a of one red pixel; OpenCV reads it from 4.11 on.
    data = (b'GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\x00\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00'
            b'\x01\x00\x00\x02\x02D\x01\x00;')
    try:
        assert compressed_to_bgr(CompressedImage(data=data)).tolist() == [[[0, 0, 255]]]
    except ValueError as e:
        assert 'cannot be decoded' in str(e)


@given(data=st.data(), kind=st.sampled_from(['.jpg', '.png', '.webp', '.tiff', '.bmp']))
@settings(max_examples=100)
def test_corrupted_bytes_give_an_image_or_a_one_line_reason(data, kind):
    whole = bytearray(cv2.imencode(kind, np.arange(48, dtype=np.uint8).reshape(4, 4, 3))[1])
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    keep = data.draw(st.integers(0, len(whole)))
    try:
        bgr = compressed_to_bgr(CompressedImage(
            format=data.draw(st.text(max_size=20)), data=bytes(whole[:keep])))
    except ValueError as e:
        assert 0 < len(str(e)) < 900 and str(e).isprintable()
        return
    assert bgr.ndim == 3 and bgr.shape[2] == 3 and bgr.dtype == np.uint8


def bad_images():
    """Return invalid messages, each with the text that is logged."""
    def image(encoding='bgr8', width=4, height=4, step=12, data=bytes(48)):
        return Image(width=width, height=height, step=step, encoding=encoding, data=data)
    odd = struct.pack('4f', math.nan, math.inf, -math.inf, -1) * 4
    return [
        ("encoding '32FC1'", image('32FC1', step=16, data=odd)),
        ("encoding '64FC3'", image('64FC3')), ("encoding '8UC2'", image('8UC2')),
        ("encoding '16SC1'", image('16SC1')), ("encoding ''", image('')),
        (r"encoding 'x\n\x1b[31m'", image('x\n\x1b[31m')),
        ('the image is 0x0', image(width=0, height=0)),
        ('bgr8 image needs a step', image(step=0)),
        ('bgr8 image needs a step', image(data=bytes(47))),
        ('bgr8 image needs a step', image(
            width=10**9, height=10**9, step=3 * 10**9, data=b'')),
        ('a yuyv image cannot be 3x4', image('yuyv', width=3))]


def bad_compressed(image):
    whole = jpeg(image)
    return [
        ("format 'jpeg' and 0 bytes cannot be decoded", CompressedImage(format='jpeg')),
        ("format 'noise' and 900 bytes cannot", CompressedImage(format='noise', data=bytes(900))),
        ("format 'cut' and", CompressedImage(format='cut', data=whole[:len(whole) // 2])),
        ("format 'big' and", CompressedImage(format='big', data=jpeg_claiming(65500))),
        ("format '16UC1; compressedDepth png' is", CompressedImage(
            format='16UC1; compressedDepth png', data=b'x'))]


def test_stream_of_valid_and_invalid_images_loses_the_invalid_ones_only(listener, image, rounds):
    stamps, states = count(1), []
    results = listener.subscribe(
        GazeArray, '/gaze', lambda m: (m.header.stamp.sec, len(m.gazes), m.image_width))
    listener.node.create_subscription(DiagnosticArray, '/diagnostics', lambda m: states.extend(
        {v.key: v.value for v in s.values} | {'text': f'{s.message} {s.values[-1].value}'}
        for s in m.status), 10)

    def send(publisher, message):
        message.header = Header(stamp=Time(sec=next(stamps)), frame_id='camera_optical')
        publisher.publish(message)
        return message.header.stamp.sec

    def good(publisher, message, faces=1, width=320):
        number = send(publisher, message)
        wait_until(lambda: any(r[0] == number for r in results), 30, f'result {number}')
        assert (number, faces, width) in results

    def both(process, publisher, bad, best):
        before = len(results)

        def found():
            number = send(publisher, best)
            time.sleep(0.2)
            return any(r[0] == number for r in results)

        # The publisher may discover the node before the node discovers it.
        wait_until(found, 20, 'discovery')
        del results[before:]
        for words, message in bad:
            for _ in range(rounds(2, 5)):
                send(publisher, message)
                process.wait_for(words)
                good(publisher, best)

    with running('gaze_node', 'model:=mediapipe', 'queue_depth:=4') as process:
        raw = topics.create_publisher(listener.node, Image, '/camera/image_raw')
        both(process, raw, bad := bad_images(), bgr_to_image(image, Header()))
        # Unusual but valid images.
        good(raw, bgr_to_image(image[:1, :1], Header()), 0, 1)
        good(raw, bgr_to_image(np.repeat(image[:, :1], 2000, 1), Header()), 0, 2000)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype('>u2') << 8
        good(raw, Image(width=320, height=240, step=640, encoding='mono16', is_bigendian=1,
                        data=array.array('B', grey.astype('>u2').tobytes())))
        assert set_parameters(listener, 'gaze', image_transport='compressed') == ''
        small = topics.create_publisher(
            listener.node, CompressedImage, '/camera/image_raw/compressed')
        both(process, small, more := bad_compressed(image),
             CompressedImage(format='png, it says', data=jpeg(image)))
        wait_until(lambda: any('depth map' in s['last error'] and 'images fail' in s['text']
                               and int(s['dropped: failed']) > 0 for s in states), 20, 'a warning')
    lines = [line for line in process.lines if 'image skipped' in line]
    kinds = {words for words, _ in (*bad, *more)}
    assert len(lines) == len(kinds), process.text
    for words in kinds:
        assert sum(words in line for line in lines) == 1, (words, process.text)
    failed = rounds(2, 5) * (len(bad) + len(more))
    assert f' {failed} failed' in process.text
    assert len(results) == 3 + failed
