"""Conversions between ROS messages and arrays or gaze_ros.core types; all of them are here.

cv_bridge is not used: no package registry has it for ROS 2, and it copies the data where a view of
the message suffices.
"""
import array
import sys

from builtin_interfaces.msg import Duration, Time
import cv2
from gaze_ros.core.attention.attention import Attention
from gaze_ros.core.system.native_threads import MAX_PIXELS
from gaze_ros.core.system.safe_files import png_too_large
from gaze_ros.core.types import Face, FrameGaze, Gaze
from gaze_ros.msg import Attention as AttentionMessage
from gaze_ros.msg import Gaze as GazeMessage
from gaze_ros.msg import GazeArray
from geometry_msgs.msg import Point, Point32, Quaternion, Vector3
import numpy as np
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

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
    'nv21': (1, 1, cv2.COLOR_YUV2BGR_NV21),
}

#: Encodings of sensor_msgs that are not supported, by prefix: what they hold.
_UNSUPPORTED = {
    '32F': 'distances, mostly', '64F': 'distances, mostly', '8S': 'signed values',
    '16S': 'signed values', '32S': 'signed values or labels',
    '8UC2': 'two values per pixel', '16UC2': 'two values per pixel', 'nv24': 'YUV 4:4:4'}

#: End markers of JPEG and PNG, by their first three bytes.
_END_MARKERS = {b'\xff\xd8\xff': b'\xff\xd9', b'\x89PN': b'IEND'}


def image_to_bgr(message: Image) -> np.ndarray:
    """Return an image message as a (H, W, 3) uint8 BGR array.

    For bgr8 it is a writable view of the message's data, otherwise a new array. 16-bit values of
    either byte order are taken as full range and lose their lower byte: 12-bit data in 16 bits
    becomes dark. YUV is decoded as BT.601 with limited range, as in cv_bridge. Rows may be padded,
    and data may be longer than needed.

    :raises ValueError: for an encoding that is not a colour or grey image, and for inconsistent
        sizes; the text names them.
    """
    width, height, step, encoding = message.width, message.height, message.step, message.encoding
    try:
        size, channels, conversion = _ENCODINGS[encoding]
    except KeyError:
        raise ValueError(_unsupported(encoding)) from None
    if not width or not height:
        raise ValueError(f'the image is {width}x{height}')
    nv21 = encoding == 'nv21'
    if (nv21 or channels == 2) and width % 2 or nv21 and height % 2:
        raise ValueError(f'a {encoding} image cannot be {width}x{height}: neighbouring pixels '
                         'share a colour, so the size must be even')
    if encoding.startswith('bayer') and min(width, height) < 2:
        raise ValueError(f'a {encoding} image cannot be {width}x{height}; expected at least 2x2')
    rows = height * 3 // 2 if nv21 else height
    if step < width * channels * size or len(message.data) < rows * step:
        raise ValueError(
            f'a {width}x{height} {encoding} image needs a step of at least '
            f'{width * channels * size} bytes and {rows} rows; step is {step} and data has '
            f'{len(message.data)} bytes')
    shape = (rows, width, channels) if channels > 1 else (rows, width)
    strides = (step, channels * size, size)[:len(shape)]
    # Offset of the upper byte of the first value.
    upper = 0 if message.is_bigendian else size - 1
    image = np.ndarray(
        shape, np.uint8, np.frombuffer(message.data, np.uint8), upper, strides)
    if size == 2 or conversion is not None:
        image = np.ascontiguousarray(image)
    return image if conversion is None else cv2.cvtColor(image, conversion)


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

    :raises ValueError: for data OpenCV cannot decode, for a truncated JPEG or PNG, for more pixels
        than :data:`gaze_ros.core.system.native_threads.MAX_PIXELS`, and for a depth map; the text
        names the format.
    """
    if 'compressedDepth' in message.format:
        raise ValueError(
            f'format {quoted(message.format)} is a depth map; expected a colour or grey image')
    data = np.frombuffer(message.data, np.uint8)
    description = f'a compressed image of format {quoted(message.format)} and {data.size} bytes'
    if _is_truncated(data):
        raise ValueError(f'{description} is truncated: its end is missing')
    try:
        # An EXIF orientation tag is ignored: images are processed as the sensor captured them.
        image = cv2.imdecode(
            data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if (
                data.size and not png_too_large(data[:24].tobytes())) else None
    except cv2.error:  # usually a wrong size in the header
        image = None
    if image is None:
        raise ValueError(
            f'{description} cannot be decoded; expected a complete jpeg, png, webp or tiff of at '
            f'most {MAX_PIXELS} pixels')
    return image


def _is_truncated(data: np.ndarray) -> bool:
    """Return whether data is a JPEG or PNG without its end marker; other bytes may follow it.

    OpenCV 4 fills the missing part with grey, and both libraries print a line for each image.
    """
    end = _END_MARKERS.get(data[:3].tobytes())
    return end is not None and end not in data[-65536:].tobytes()


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
    sec, nanosec = divmod(attention.since, 1_000_000_000)
    return AttentionMessage(
        header=header, track_id=attention.track_id, target=int(attention.target),
        target_id=attention.target_id, mutual=attention.mutual,
        since=Time(sec=sec, nanosec=nanosec))


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
