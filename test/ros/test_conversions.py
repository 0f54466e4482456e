import array
import math

from builtin_interfaces.msg import Duration, Time
import cv2
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.ros.comm.conversions import (
    bgr_to_image,
    depth_image,
    frame_gaze,
    gaze_array,
    image_to_bgr,
)
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id='front_optical')
# One pure colour per quarter, so that swapped channels show.
COLOURS = np.zeros((8, 12, 3), np.uint8)
COLOURS[:4, :6] = (255, 0, 0)
COLOURS[:4, 6:] = (0, 255, 0)
COLOURS[4:, :6] = (0, 0, 255)
COLOURS[4:, 6:] = (40, 90, 200)


def message(pixels, encoding, height=8, width=12, pad=0, big=False):
    rows = pixels.reshape(pixels.shape[0], -1)
    if rows.dtype == np.uint16:
        rows = np.ascontiguousarray(rows.astype('>u2' if big else '<u2')).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, pad)))
    return Image(
        header=HEADER, height=height, width=width, encoding=encoding, step=rows.shape[1],
        is_bigendian=big, data=array.array('B', rows.tobytes()))


def test_bgr_image_round_trip_keeps_pixels_and_header():
    sent = bgr_to_image(COLOURS, HEADER)
    assert (sent.encoding, sent.step, sent.header) == ('bgr8', 36, HEADER)
    np.testing.assert_array_equal(image_to_bgr(sent), COLOURS)


def test_non_contiguous_image_is_converted():
    mirrored = COLOURS[:, ::-1]
    np.testing.assert_array_equal(image_to_bgr(bgr_to_image(mirrored, HEADER)), mirrored)


def test_bgr8_is_a_view_of_the_message_without_a_copy():
    sent = bgr_to_image(COLOURS, HEADER)
    image_to_bgr(sent)[0, 0] = (1, 2, 3)
    assert list(sent.data[:3]) == [1, 2, 3]


@pytest.mark.parametrize('pad', [0, 7])
@pytest.mark.parametrize('encoding,code', [
    ('rgb8', cv2.COLOR_BGR2RGB), ('bgra8', cv2.COLOR_BGR2BGRA), ('rgba8', cv2.COLOR_BGR2RGBA),
    ('8UC4', cv2.COLOR_BGR2BGRA), ('bgr8', None), ('8UC3', None)])
def test_colours_keep_their_channels(encoding, code, pad):
    pixels = COLOURS if code is None else cv2.cvtColor(COLOURS, code)
    np.testing.assert_array_equal(image_to_bgr(message(pixels, encoding, pad=pad)), COLOURS)


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('encoding,code', [
    ('bgr16', None), ('rgb16', cv2.COLOR_BGR2RGB), ('rgba16', cv2.COLOR_BGR2RGBA)])
def test_16_bits_of_either_byte_order(encoding, code, big):
    pixels = COLOURS if code is None else cv2.cvtColor(COLOURS, code)
    pixels = pixels.astype(np.uint16) * 257
    np.testing.assert_array_equal(image_to_bgr(message(pixels, encoding, big=big)), COLOURS)


@pytest.mark.parametrize('encoding,scale', [('mono8', 1), ('8UC1', 1), ('mono16', 257)])
def test_grey(encoding, scale):
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    pixels = grey if scale == 1 else grey.astype(np.uint16) * scale
    np.testing.assert_array_equal(
        image_to_bgr(message(pixels, encoding)), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))


@pytest.mark.parametrize('encoding,first', [
    ('bayer_rggb8', 'RGGB'), ('bayer_bggr8', 'BGGR'), ('bayer_gbrg8', 'GBRG'),
    ('bayer_grbg8', 'GRBG')])
def test_bayer_patterns_follow_the_first_two_rows(encoding, first):
    colour = {'B': 200, 'G': 120, 'R': 30}
    tile = np.array([colour[c] for c in first], np.uint8).reshape(2, 2)
    image = image_to_bgr(message(np.tile(tile, (4, 6)), encoding))
    np.testing.assert_array_equal(image[3, 5], (200, 120, 30))


@pytest.mark.parametrize('encoding,place', [
    ('yuv422', (1, 0)), ('uyvy', (1, 0)), ('yuv422_yuy2', (0, 1)), ('yuyv', (0, 1))])
def test_yuv422(encoding, place):
    planes = cv2.cvtColor(np.full((2, 2, 3), (40, 90, 200), np.uint8), cv2.COLOR_BGR2YUV_I420)
    y, u, v = planes[0, 0], *planes[2]
    pair = np.zeros((8, 12, 2), np.uint8)
    pair[..., place[0]] = y
    pair[:, 0::2, place[1]] = u
    pair[:, 1::2, place[1]] = v
    image = image_to_bgr(message(pair, encoding))
    assert np.abs(image[4, 6].astype(int) - (40, 90, 200)).max() <= 5


def test_nv21():
    grey = message(np.full((12, 12), 128, np.uint8), 'nv21')
    image = image_to_bgr(grey)
    assert image.shape == (8, 12, 3)
    assert np.ptp(image[0, 0]) <= 1


@pytest.mark.parametrize('encoding', ['32FC1', '64FC3', 'jpeg', '', '16SC1'])
def test_unsupported_encodings_are_rejected_by_name(encoding):
    with pytest.raises(ValueError, match=f"encoding '{encoding}' is not one of"):
        image_to_bgr(Image(encoding=encoding, width=2, height=2, step=8, data=bytes(64)))


@settings(max_examples=300, deadline=None)
@given(width=st.integers(0, 9), height=st.integers(0, 9), step=st.integers(0, 40),
       size=st.integers(0, 200), big=st.booleans(),
       encoding=st.sampled_from(['bgr8', 'rgba8', 'mono16', 'yuyv', 'nv21', 'bayer_rggb8']))
def test_inconsistent_sizes_never_read_beyond_the_data(
        width, height, step, size, big, encoding):
    sent = Image(
        encoding=encoding, width=width, height=height, step=step, is_bigendian=big,
        data=array.array('B', bytes(size)))
    try:
        image = image_to_bgr(sent)
    except (ValueError, cv2.error):
        return
    assert image.dtype == np.uint8
    assert image.shape[0] == height and image.shape[2] == 3


def frame():
    seen = Gaze(
        'f7', Face((-5.0, 20.0, 50.0, 400.0), 0.875, np.arange(10.0).reshape(5, 2)),
        0.25, -0.5, 0.125, -0.75, 0.5, np.array([0.6, 0.0, -0.8]), True,
        np.array([0.1, 0.2, 0.9]), 0.05, np.array([0.5, -0.5, 0.5, 0.5]), stddev=0.125,
        head_pitch=-0.25, head_yaw=0.375, head_roll=3.0, head_stddev=0.0625,
        eye_openness=(0.25, 1.0), blink_start=1.7e9 + 0.25, blink_duration=0.125)
    return FrameGaze(640, 360, 'mediapipe', [seen, Gaze('f8', Face((1, 2, 3, 4), 0.75))],
                     0.012345678, 1.5)


def test_gaze_array_round_trip_keeps_the_gazes():
    sent = gaze_array(frame(), HEADER)
    assert sent.header == HEADER
    back = frame_gaze(sent)
    a, b = back.gazes
    assert (back.width, back.height, back.model) == (640, 360, 'mediapipe')
    assert (back.detection_time, back.estimation_time) == pytest.approx((0.012345678, 1.5))
    assert (a.track_id, a.pitch, a.yaw, a.raw_pitch, a.raw_yaw) == ('f7', .25, -.5, .125, -.75)
    assert (a.confidence, a.looking_at_camera, a.face.score) == (0.5, True, 0.875)
    assert a.face.box == (0, 20, 45, 340)
    np.testing.assert_allclose(a.direction, (0.6, 0, -0.8))
    np.testing.assert_allclose(a.face.landmarks, np.arange(10.0).reshape(5, 2))
    np.testing.assert_allclose(a.origin, (0.1, 0.2, 0.9))
    np.testing.assert_allclose(a.orientation, (0.5, -0.5, 0.5, 0.5))
    assert a.range_stddev == pytest.approx(0.05)
    assert (a.stddev, a.head_stddev) == (0.125, 0.0625)
    assert (a.head_pitch, a.head_yaw, a.head_roll) == (-0.25, 0.375, 3.0)
    assert a.eye_openness == (0.25, 1.0)
    assert (a.blink_start, a.blink_duration) == (1.7e9 + 0.25, 0.125)
    assert b.face.landmarks is None


def test_openness_is_of_the_persons_own_left_and_right_eye():
    sent = gaze_array(frame(), HEADER).gazes[0]
    assert (sent.left_eye_openness, sent.right_eye_openness) == (0.25, 1.0)
    assert sent.blink_start == Time(sec=1_700_000_000, nanosec=250_000_000)
    assert sent.blink_duration == Duration(nanosec=125_000_000)


@given(st.floats(0, 4e9), st.floats(0, 1e5))
def test_blinks_keep_their_times(start, duration):
    seen = Gaze('f1', Face((1, 2, 3, 4), 0.75), blink_start=start, blink_duration=duration)
    back, = frame_gaze(gaze_array(FrameGaze(64, 48, 'm', [seen]), HEADER)).gazes
    assert back.blink_start == pytest.approx(start, abs=1e-6)
    assert back.blink_duration == pytest.approx(duration, abs=1e-6)


def test_unknown_values_are_nan_with_confidence_0():
    unknown = gaze_array(frame(), HEADER).gazes[1]
    for value in (unknown.gaze_stddev, unknown.head_pitch, unknown.head_yaw, unknown.head_roll,
                  unknown.head_stddev, unknown.left_eye_openness, unknown.right_eye_openness):
        assert math.isnan(value)
    assert (unknown.blink_start, unknown.blink_duration) == (Time(), Duration())
    for value in (unknown.pitch, unknown.yaw, unknown.raw_pitch, unknown.raw_yaw,
                  unknown.direction.x, unknown.direction.y, unknown.direction.z):
        assert math.isnan(value)
    assert unknown.confidence == 0
    assert unknown.looking_at_camera is False


@pytest.mark.parametrize(('encoding', 'kind', 'unit'), [
    ('16UC1', 'u2', 0.001), ('mono16', 'u2', 0.001), ('32FC1', 'f4', 1.0)])
@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('padding', [0, 6])
def test_depth_image_of_each_encoding(encoding, kind, unit, order, padding):
    values = np.array([[1500, 0, 2], [65535, 7, 800]], order + kind)
    rows = b''.join(row.tobytes() + b'\xff' * padding for row in values)
    message = Image(header=Header(stamp=Time(sec=3, nanosec=500_000_000)), height=2, width=3,
                    encoding=encoding, is_bigendian=order == '>', data=array.array('B', rows),
                    step=3 * values.itemsize + padding)
    depth = depth_image(message, None)
    np.testing.assert_array_equal(depth.pixels, values)
    assert (depth.unit, depth.stamp) == (unit, 3.5)


@pytest.mark.parametrize(('change', 'reason'), [
    ({'encoding': 'bgr8'}, "encoding 'bgr8' of a depth image is not one of: 16UC1"),
    ({'step': 5}, 'needs a step of at least 6 bytes'), ({'height': 0}, 'the image is 3x0'),
    ({'data': array.array('B', b'1')}, 'data has 1 bytes')])
def test_message_that_is_no_depth_image_is_refused(change, reason):
    message = Image(**{'height': 2, 'width': 3, 'encoding': '16UC1', 'step': 6,
                       'data': array.array('B', bytes(12)), **change})
    with pytest.raises(ValueError, match=reason):
        depth_image(message, None)
