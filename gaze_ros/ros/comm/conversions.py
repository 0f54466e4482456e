"""Conversions between ROS messages and arrays or gaze_ros.core types; all of them are here.

Encodings that are not in the table below are left to cv_bridge (other_encodings.py).
"""
import array
import logging
import math
import sys
from typing import Optional

from builtin_interfaces.msg import Duration, Time
import cv2
from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.attention.focus import Focus
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.geometry.camera_model import Calibration
from gaze_ros.core.geometry.depth import DepthImage
from gaze_ros.core.system.image_data import decode_image
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.msg import Attention as AttentionMessage
from gaze_ros.msg import Focus as FocusMessage
from gaze_ros.msg import Gaze as GazeMessage
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm.other_encodings import image_by_cv_bridge
from geometry_msgs.msg import Point, Point32, PointStamped, Quaternion, Vector3
import numpy as np
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

_log, _log_throttle = logging.getLogger(__name__), LogThrottle()

#: Encoding: (bytes per value, values per pixel, cv2 conversion to BGR or None if it is BGR).
#: Bayer names differ: OpenCV names the pattern of the second row, sensor_msgs that of the first.
_ENCODINGS = {
    'bgr8': (1, 3, None), '8UC3': (1, 3, None),
    'rgb8': (1, 3, cv2.COLOR_RGB2BGR),
    'bgra8': (1, 4, cv2.COLOR_BGRA2BGR), '8UC4': (1, 4, cv2.COLOR_BGRA2BGR),
    'rgba8': (1, 4, cv2.COLOR_RGBA2BGR),
    'mono8': (1, 1, cv2.COLOR_GRAY2BGR), '8UC1': (1, 1, cv2.COLOR_GRAY2BGR),
    'bgr16': (2, 3, None), '16UC3': (2, 3, None),
    'rgb16': (2, 3, cv2.COLOR_RGB2BGR),
    'bgra16': (2, 4, cv2.COLOR_BGRA2BGR), '16UC4': (2, 4, cv2.COLOR_BGRA2BGR),
    'rgba16': (2, 4, cv2.COLOR_RGBA2BGR),
    'mono16': (2, 1, cv2.COLOR_GRAY2BGR), '16UC1': (2, 1, cv2.COLOR_GRAY2BGR),
    'bayer_rggb8': (1, 1, cv2.COLOR_BayerBG2BGR), 'bayer_rggb16': (2, 1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr8': (1, 1, cv2.COLOR_BayerRG2BGR), 'bayer_bggr16': (2, 1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': (1, 1, cv2.COLOR_BayerGR2BGR), 'bayer_gbrg16': (2, 1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': (1, 1, cv2.COLOR_BayerGB2BGR), 'bayer_grbg16': (2, 1, cv2.COLOR_BayerGB2BGR),
    'yuv422': (1, 2, cv2.COLOR_YUV2BGR_UYVY), 'uyvy': (1, 2, cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': (1, 2, cv2.COLOR_YUV2BGR_YUY2), 'yuyv': (1, 2, cv2.COLOR_YUV2BGR_YUY2),
    'nv12': (1, 1, cv2.COLOR_YUV2BGR_NV12), 'nv21': (1, 1, cv2.COLOR_YUV2BGR_NV21),
    'nv24': (1, 1, cv2.COLOR_YUV2BGR_YUY2),
}

#: Rows of data per two rows of the image, of encodings whose colours follow their brightness.
_PLANES = {'nv12': 3, 'nv21': 3, 'nv24': 6}

#: Encodings of sensor_msgs that are not supported, by prefix: what they hold.
_UNSUPPORTED = {
    '32F': 'distances, mostly', '64F': 'distances, mostly', '8S': 'signed values',
    '16S': 'signed values', '32S': 'signed values or labels',
    '8UC2': 'two values per pixel', '16UC2': 'two values per pixel'}

#: Numbers of bits that cameras deliver in 16-bit values.
_BIT_DEPTHS = (10, 12, 14)


def image_to_bgr(message: Image) -> np.ndarray:
    """Return an image message as a (H, W, 3) uint8 BGR array.

    For bgr8 it is a writable view of the message's data, otherwise a new array. 16-bit values of
    either byte order become 8 bits as in :func:`eight_bits`. YUV is decoded as BT.601 with limited
    range, as in cv_bridge. Rows may be padded, and data may be longer than needed.

    :raises ValueError: for an encoding that is not a colour or grey image, and for inconsistent
        sizes; the text names them.
    """
    height, width, encoding = message.height, message.width, message.encoding
    try:
        size, channels, conversion = _ENCODINGS[encoding]
    except KeyError:
        if (image := image_by_cv_bridge(message)) is not None:
            return image
        raise ValueError(_unsupported(encoding)) from None
    _check_size(message, size, channels)
    rows = height * _PLANES.get(encoding, 2) // 2
    shape = (rows, width, channels) if channels > 1 else (rows, width)
    strides = (message.step, channels * size, size)[:len(shape)]
    data = np.frombuffer(message.data, np.uint8)
    # Byte by byte: an array of 16-bit values of the other byte order is slow.
    image, *lower = (
        np.ndarray(shape, np.uint8, data, byte, strides)
        for byte in (range(size) if message.is_bigendian else reversed(range(size))))
    if lower:
        image = eight_bits(np.ascontiguousarray(image), lower[0], encoding)
    elif encoding == 'nv24':
        image = _yuy2_of_nv24(image[:height], np.ndarray(
            (height, width, 2), np.uint8, data, height * message.step, (2 * message.step, 2, 1)))
    elif conversion is not None:
        image = np.ascontiguousarray(image)
    return image if conversion is None else cv2.cvtColor(image, conversion)


#: Encodings of depth images (REP 118): type of the values, and their unit in meters.
_DEPTH_ENCODINGS = {'16UC1': ('u2', 0.001), 'mono16': ('u2', 0.001), '32FC1': ('f4', 1.0)}


def depth_image(message: Image, calibration: Optional[Calibration]) -> DepthImage:
    """Return a depth image message; its pixels are a view of the message's data.

    :param calibration: of the depth image, or None.
    :raises ValueError: for an encoding that is not one of depth, and for inconsistent sizes.
    """
    try:
        kind, unit = _DEPTH_ENCODINGS[message.encoding]
    except KeyError:
        raise ValueError(f"encoding '{message.encoding[:40]}' of a depth image is not one of: "
                         f"{', '.join(_DEPTH_ENCODINGS)}") from None
    kind = np.dtype(f"{'>' if message.is_bigendian else '<'}{kind}")
    _check_size(message, kind.itemsize, 1)
    pixels = np.ndarray((message.height, message.width), kind, np.frombuffer(
        message.data, np.uint8), 0, (message.step, kind.itemsize))
    return DepthImage(pixels, unit, seconds(message.header.stamp), calibration)


def _check_size(message: Image, size: int, channels: int) -> None:
    """Raise ValueError for a size that the encoding cannot have, or that contradicts the data.

    :param size: bytes per value.
    :param channels: values per pixel.
    """
    width, height, step, encoding = message.width, message.height, message.step, message.encoding
    if not width or not height:
        raise ValueError(f'the image is {width}x{height}')
    if (encoding in _PLANES or channels == 2) and width % 2 or (
            encoding in _PLANES and encoding != 'nv24' and height % 2):
        raise ValueError(f'a {encoding} image cannot be {width}x{height}: neighbouring pixels '
                         'share a colour, so the size must be even')
    if encoding.startswith('bayer') and min(width, height) < 2:
        raise ValueError(f'a {encoding} image cannot be {width}x{height}; expected at least 2x2')
    rows, row_bytes = height * _PLANES.get(encoding, 2) // 2, width * channels * size
    # Some drivers do not pad the last row.
    if step < row_bytes or len(message.data) < (rows - 1) * step + row_bytes:
        raise ValueError(
            f'a {width}x{height} {encoding} image needs a step of at least {row_bytes} bytes and '
            f'{rows} rows; step is {step} and data has {len(message.data)} bytes')


def eight_bits(upper: np.ndarray, lower: np.ndarray, encoding: str) -> np.ndarray:
    """Return 16-bit values as 8 bits.

    If all values fit into 10, 12 or 14 bits, the camera delivers that many, in the lower bits:
    they become the full range. In 16 bits they would be an almost black image.

    :param upper: contiguous upper bytes, of any shape.
    :param lower: lower bytes, of the same shape.
    :param encoding: for the log: it tells of less than 16 bits once.
    """
    bits = int(upper.max()).bit_length() + 8
    depth = next((depth for depth in _BIT_DEPTHS if bits <= depth), 16)
    if depth == 16:
        return upper
    if _log_throttle.should_log(f'{encoding} {depth}'):
        _log.info('%s images use %d of 16 bits: these are taken as the full range', encoding,
                  depth)
    return ((upper.astype(np.uint16) << 8 | lower) >> (depth - 8)).astype(np.uint8)


def _yuy2_of_nv24(brightness: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return (H, W) and (H, W, 2) as (H, W, 2) YUY2: OpenCV converts no nv24."""
    image = np.empty(colours.shape, np.uint8)
    image[..., 0] = brightness
    image[:, ::2, 1], image[:, 1::2, 1] = colours[:, ::2, 0], colours[:, ::2, 1]
    return image


def _unsupported(encoding: str) -> str:
    content = next((f'; it holds {content}' for prefix, content in _UNSUPPORTED.items()
                    if encoding.startswith(prefix)), '')
    return f'encoding {quoted(encoding)} is not one of: {", ".join(_ENCODINGS)}{content}'


def quoted(text: str) -> str:
    """Return text of a message for the log: quoted, at most 60 characters, no control codes."""
    return ascii(text if len(text) <= 60 else text[:57] + '...')


def bgr_to_image(image: np.ndarray, header: Header) -> Image:
    """Return a bgr8 message of a (H, W, 3) uint8 BGR image."""
    height, width = image.shape[:2]
    message = Image(
        header=header, height=height, width=width, encoding='bgr8', step=3 * width,
        is_bigendian=sys.byteorder == 'big')
    message.data = _bytes(np.ascontiguousarray(image))
    return message


def compressed_to_bgr(message: CompressedImage) -> np.ndarray:
    """Return a compressed image message as a (H, W, 3) uint8 BGR array.

    The data determines the codec, whatever the format says; of a GIF the first frame is taken.
    16-bit values become 8 bits as in :func:`eight_bits`. An image of one channel whose format is
    that of a Bayer image, such as ``bayer_rggb8; jpeg compressed``, is demosaiced.

    :raises ValueError: for data OpenCV cannot decode, for a truncated JPEG or PNG, for more pixels
        than :data:`gaze_ros.core.system.native_threads.MAX_PIXELS`, and for a depth map; the text
        names the format.
    """
    if 'compressedDepth' in message.format:
        raise ValueError(
            f'format {quoted(message.format)} is a depth map; expected a colour or grey image')
    data = np.frombuffer(message.data, np.uint8)
    encoding, _, compression = (part.strip() for part in message.format.partition(';'))
    mosaic = encoding.startswith('bayer_') and encoding in _ENCODINGS and (
        'mono' not in compression)
    # An EXIF orientation tag is ignored: images are processed as the sensor captured them.
    flags = cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_ANYDEPTH | (
        cv2.IMREAD_ANYCOLOR if mosaic else cv2.IMREAD_COLOR)
    try:
        image = decode_image(data, flags)
        if image.dtype not in (np.uint8, np.uint16):
            raise ValueError(f'has values of {image.dtype}; expected 8 or 16 bits')
    except ValueError as e:
        raise ValueError(f'a compressed image of format {quoted(message.format)} and {data.size} '
                         f'bytes {e}') from None
    if image.dtype == np.uint16:
        image = eight_bits((image >> 8).astype(np.uint8), image & 0xff, encoding)
    if image.ndim == 3:
        return image
    return cv2.cvtColor(image, _ENCODINGS[encoding][2] if min(image.shape) > 1 else (
        cv2.COLOR_GRAY2BGR))


def bgr_to_compressed(image: np.ndarray, header: Header, quality: int) -> CompressedImage:
    """Return a JPEG message of a (H, W, 3) uint8 BGR image.

    :param quality: 1..100.
    """
    _, jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    # The format as image_transport writes it: encoding of the source, codec, encoding inside.
    return CompressedImage(
        header=header, format='bgr8; jpeg compressed bgr8', data=_bytes(jpeg))


def seconds(stamp: Time) -> float:
    """Return a time or duration message in seconds."""
    return stamp.sec + 1e-9 * stamp.nanosec


def gaze_array(frame: FrameGaze, header: Header) -> GazeArray:
    """Return the message of the gazes in an image.

    :param header: of the image.
    """
    return GazeArray(
        header=header, image_width=frame.width, image_height=frame.height,
        calibrated=frame.calibrated, model=frame.model,
        detection_duration=_duration(frame.detection_time),
        estimation_duration=_duration(frame.estimation_time),
        gazes=[_gaze_message(g, frame.width, frame.height) for g in frame.gazes])


def frame_gaze(message: GazeArray) -> FrameGaze:
    """Return the gazes of a message."""
    return FrameGaze(
        message.image_width, message.image_height, message.model,
        [_gaze(g) for g in message.gazes],
        seconds(message.detection_duration), seconds(message.estimation_duration),
        message.calibrated)


def attention_message(attention: Attention, header: Header) -> AttentionMessage:
    """Return the message of an attention event.

    :param header: of the image.
    """
    message = AttentionMessage(
        header=header, track_id=attention.track_id, target=int(attention.target),
        target_id=attention.target_id, mutual=attention.mutual, since=_stamp(attention.since),
        point=Point(x=math.nan, y=math.nan, z=math.nan), pixel_x=math.nan, pixel_y=math.nan,
        probability=math.nan)
    if attention.hit is not None:
        target, found = attention.hit
        message.point.x, message.point.y, message.point.z = found.point.tolist()
        message.pixel_x, message.pixel_y = target.pixel(found.position)
        message.probability = found.probability
    return message


def focus_message(focus: Focus, header: Header) -> FocusMessage:
    """Return the message of whom to look at.

    :param header: of the image.
    """
    x, y, z = focus.point.tolist()
    return FocusMessage(
        header=header, track_id=focus.track_id, reason=int(focus.reason),
        point=PointStamped(header=header, point=Point(x=x, y=y, z=z)), since=_stamp(focus.since))


def _stamp(nanoseconds: int) -> Time:
    sec, nanosec = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def _bytes(values: np.ndarray) -> array.array:
    """Return the bytes of a contiguous array in the type messages take without checking each."""
    data = array.array('B')
    data.frombytes(memoryview(values).cast('B'))
    return data


def _duration(value: float) -> Duration:
    whole = int(value)
    return Duration(sec=whole, nanosec=int((value - whole) * 1e9))


def _time(value: float) -> Time:
    whole = int(value)
    return Time(sec=whole, nanosec=int((value - whole) * 1e9))


def _gaze_message(gaze: Gaze, width: int, height: int) -> GazeMessage:
    x, y, w, h = gaze.face.clipped(width, height)
    points = gaze.face.landmarks
    dx, dy, dz = gaze.direction.tolist()
    x0, y0, z0 = gaze.origin.tolist()
    qx, qy, qz, qw = gaze.orientation.tolist()
    return GazeMessage(
        track_id=gaze.track_id,
        roi=RegionOfInterest(x_offset=x, y_offset=y, width=w, height=h),
        score=float(gaze.face.score),
        landmarks=[] if points is None else [Point32(x=u, y=v) for u, v in points.tolist()],
        pitch=gaze.pitch, yaw=gaze.yaw, raw_pitch=gaze.raw_pitch, raw_yaw=gaze.raw_yaw,
        confidence=float(gaze.confidence), direction=Vector3(x=dx, y=dy, z=dz),
        origin=Point(x=x0, y=y0, z=z0), range_stddev=gaze.range_stddev,
        orientation=Quaternion(x=qx, y=qy, z=qz, w=qw), gaze_stddev=gaze.stddev,
        head_pitch=gaze.head_pitch, head_yaw=gaze.head_yaw, head_roll=gaze.head_roll,
        head_stddev=gaze.head_stddev, left_eye_openness=gaze.eye_openness[0],
        right_eye_openness=gaze.eye_openness[1], blink_start=_time(gaze.blink_start),
        blink_duration=_duration(gaze.blink_duration),
        looking_at_camera=gaze.looking_at_camera)


def _gaze(message: GazeMessage) -> Gaze:
    roi, d, o, q = message.roi, message.direction, message.origin, message.orientation
    points = np.array([[p.x, p.y] for p in message.landmarks]) if message.landmarks else None
    face = Face((roi.x_offset, roi.y_offset, roi.width, roi.height), message.score, points)
    return Gaze(
        message.track_id, face, message.pitch, message.yaw, message.raw_pitch, message.raw_yaw,
        message.confidence, np.array([d.x, d.y, d.z]), message.looking_at_camera,
        np.array([o.x, o.y, o.z]), message.range_stddev, np.array([q.x, q.y, q.z, q.w]),
        message.gaze_stddev, message.head_pitch, message.head_yaw, message.head_roll,
        message.head_stddev, (message.left_eye_openness, message.right_eye_openness),
        seconds(message.blink_start), seconds(message.blink_duration))
