"""Messages to arrays and back; the only place that does it.

cv_bridge is not used: it is in no package registry for ROS 2, and its conversion copies what a
view of the message gives for nothing.
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

#: Encoding: (bytes of a value, values of a pixel, cv2 conversion to BGR or None if it is BGR).
#: Bayer names differ: OpenCV names the second row's pattern, sensor_msgs the first's.
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

#: What the encodings hold that are refused though sensor_msgs names them, by how they begin.
_REFUSED = {
    '32F': 'distances, mostly', '64F': 'distances, mostly', '8S': 'signed values',
    '16S': 'signed values', '32S': 'signed values or labels',
    '8UC2': 'two values a pixel', '16UC2': 'two values a pixel', 'nv24': 'YUV 4:4:4'}

#: What JPEG and PNG end with, by what they begin with.
_ENDS = {b'\xff\xd8\xff': b'\xff\xd9', b'\x89PN': b'IEND'}


def image_to_bgr(message: Image) -> np.ndarray:
    """Return the (H, W, 3) uint8 BGR picture of an image message.

    For bgr8 it is a writable view of the message's data, else a new array. 16-bit values of either
    byte order are taken as full range and lose their lower byte: 12 bits in 16 come out dark.
    YUV is of BT.601 with limited range, as cv_bridge has it. Rows may be padded, and data may be
    longer than they need.

    :raises ValueError: for an encoding that is no picture of light, and for sizes that
        contradict each other, naming them.
    """
    width, height, step, encoding = message.width, message.height, message.step, message.encoding
    try:
        size, channels, conversion = _ENCODINGS[encoding]
    except KeyError:
        raise ValueError(_refusal(encoding)) from None
    if not width or not height:
        raise ValueError(f'the image is {width}x{height}')
    nv21 = encoding == 'nv21'
    if (nv21 or channels == 2) and width % 2 or nv21 and height % 2:
        raise ValueError(f'a {encoding} image cannot be {width}x{height}: neighbours share a '
                         'colour, so its size must be even')
    if encoding.startswith('bayer') and min(width, height) < 2:
        raise ValueError(f'a {encoding} image cannot be {width}x{height}: 2x2 is the least')
    rows = height * 3 // 2 if nv21 else height
    if step < width * channels * size or len(message.data) < rows * step:
        raise ValueError(
            f'a {width}x{height} {encoding} image needs a step of at least '
            f'{width * channels * size} and {rows} rows of it; step is {step} and data has '
            f'{len(message.data)} bytes')
    shape = (rows, width, channels) if channels > 1 else (rows, width)
    strides = (step, channels * size, size)[:len(shape)]
    # Of two bytes the upper one, as it lies there.
    upper = 0 if message.is_bigendian else size - 1
    picture = np.ndarray(
        shape, np.uint8, np.frombuffer(message.data, np.uint8), upper, strides)
    if size == 2 or conversion is not None:
        picture = np.ascontiguousarray(picture)
    return picture if conversion is None else cv2.cvtColor(picture, conversion)


def _refusal(encoding: str) -> str:
    why = next((f'; it holds {what}' for begin, what in _REFUSED.items()
                if encoding.startswith(begin)), '')
    return f'encoding {quoted(encoding)} is not one of: {", ".join(_ENCODINGS)}{why}'


def quoted(text: str) -> str:
    """Return a stranger's text for a line of the log: in quotes, short, without control codes."""
    return ascii(text if len(text) <= 60 else text[:57] + '...')


def bgr_to_image(bgr: np.ndarray, header: Header) -> Image:
    """Return a bgr8 image message of a (H, W, 3) uint8 picture, with that header."""
    height, width = bgr.shape[:2]
    message = Image(
        header=header, height=height, width=width, encoding='bgr8', step=3 * width,
        is_bigendian=sys.byteorder == 'big')
    message.data = _bytes(np.ascontiguousarray(bgr))
    return message


def compressed_to_bgr(message: CompressedImage) -> np.ndarray:
    """Return the (H, W, 3) uint8 BGR picture of a compressed image message.

    The data tell what they are, whatever the format says; of a GIF it is the first picture.

    :raises ValueError: for data OpenCV cannot decode, for a JPEG or PNG that is cut off, for more
        pixels than :data:`gaze_ros.core.system.native_threads.MOST_PIXELS`, and for a depth map,
        naming the format.
    """
    if 'compressedDepth' in message.format:
        raise ValueError(f'format {quoted(message.format)} is a depth map, no picture of light')
    data = np.frombuffer(message.data, np.uint8)
    told = f'a compressed image of format {quoted(message.format)} and {data.size} bytes'
    if _is_cut_off(data):
        raise ValueError(f'{told} is cut off: its end is missing')
    try:
        # Robots' pictures lie as the sensor does: a tag that would turn them is not minded.
        picture = cv2.imdecode(
            data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if (
                data.size and not png_too_large(data[:24].tobytes())) else None
    except cv2.error:  # mostly a size that is not true
        picture = None
    if picture is None:
        raise ValueError(
            f'{told} cannot be decoded; jpeg, png, webp or tiff was expected, whole and with at '
            f'most {MAX_PIXELS} pixels')
    return picture


def _is_cut_off(data: np.ndarray) -> bool:
    """Return whether it is a JPEG or a PNG without its end, some bytes of which may follow.

    OpenCV 4 shows as grey what is missing, and both libraries print a line for each picture.
    """
    end = _ENDS.get(data[:3].tobytes())
    return end is not None and end not in data[-65536:].tobytes()


def bgr_to_compressed(bgr: np.ndarray, header: Header, quality: int) -> CompressedImage:
    """Return a JPEG message of a (H, W, 3) uint8 picture, with that header.

    :param quality: 1..100.
    """
    _, jpeg = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    # The format as image_transport writes it: encoding of the picture, codec, what is in it.
    return CompressedImage(
        header=header, format='bgr8; jpeg compressed bgr8', data=_bytes(jpeg))


def seconds(stamp: Time) -> float:
    """Return a time or duration message in seconds."""
    return stamp.sec + 1e-9 * stamp.nanosec


def gaze_array(frame: FrameGaze, header: Header) -> GazeArray:
    """Return the message of a frame's gazes, with the picture's header."""
    return GazeArray(
        header=header, image_width=frame.width, image_height=frame.height,
        calibrated=frame.calibrated, model=frame.model,
        detection_duration=_duration(frame.detection_time),
        estimation_duration=_duration(frame.estimation_time),
        gazes=[_gaze_message(g, frame.width, frame.height) for g in frame.gazes])


def frame_gaze(message: GazeArray) -> FrameGaze:
    """Return the frame's gazes of a message."""
    return FrameGaze(
        message.image_width, message.image_height, message.model,
        [_gaze(g) for g in message.gazes],
        seconds(message.detection_duration), seconds(message.estimation_duration),
        message.calibrated)


def attention_message(attention: Attention, header: Header) -> AttentionMessage:
    """Return the message of an event, with the picture's header."""
    sec, nanosec = divmod(attention.since, 1_000_000_000)
    return AttentionMessage(
        header=header, track_id=attention.track_id, target=int(attention.target),
        target_id=attention.target_id, mutual=attention.mutual,
        since=Time(sec=sec, nanosec=nanosec))


def _bytes(values: np.ndarray) -> array.array:
    """Return a contiguous array's bytes as messages take them without a look at each."""
    data = array.array('B')
    data.frombytes(memoryview(values).cast('B'))
    return data


def _duration(value: float) -> Duration:
    whole = int(value)
    return Duration(sec=whole, nanosec=int((value - whole) * 1e9))


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
        orientation=Quaternion(x=qx, y=qy, z=qz, w=qw),
        looking_at_camera=gaze.looking_at_camera)


def _gaze(message: GazeMessage) -> Gaze:
    roi, d, o, q = message.roi, message.direction, message.origin, message.orientation
    points = np.array([[p.x, p.y] for p in message.landmarks]) if message.landmarks else None
    face = Face((roi.x_offset, roi.y_offset, roi.width, roi.height), message.score, points)
    return Gaze(
        message.track_id, face, message.pitch, message.yaw, message.raw_pitch, message.raw_yaw,
        message.confidence, np.array([d.x, d.y, d.z]), message.looking_at_camera,
        np.array([o.x, o.y, o.z]), message.range_stddev, np.array([q.x, q.y, q.z, q.w]))
