"""The pictures of a bag, one after the other, and the gaze in them; no running ROS is needed."""
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

from gaze_ros.bags.library import to_cdr
from gaze_ros.bags.reading import BagReader, Record
from gaze_ros.bags.streams import COMPRESSED, Streams
from gaze_ros.core.output.drawing import draw
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.types import FrameGaze
from gaze_ros.ros.comm.camera_info import calibration_from_camera_info
from gaze_ros.ros.comm.conversions import (
    bgr_to_compressed,
    compressed_to_bgr,
    gaze_array,
    image_to_bgr,
    seconds,
)
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

#: Types of what is written.
GAZE, ANNOTATED = 'gaze_ros/msg/GazeArray', COMPRESSED

#: Of annotated pictures.
_QUALITY = 90


class BagImages:
    """Yields when each picture was recorded (ns), its header, the (H, W, 3) uint8 BGR, its gaze.

    The picture may be drawn into. One that cannot be worked on is left out.

    :param engine: gets the bag's calibration, too.
    :param tell: takes why a picture or a calibration is left out, each reason once.
    :ivar failed: pictures left out.
    :raises SourceError: while iterated, where the bag is broken.
    """

    def __init__(self, engine: Engine, reader: BagReader, streams: Streams,
                 tell: Callable[[str], None]) -> None:
        self.failed = 0
        self._engine, self._reader, self._streams, self._tell = engine, reader, streams, tell
        self._told: set[str] = set()

    def __iter__(self) -> Iterator[tuple[int, Header, np.ndarray, FrameGaze]]:
        """Begin with the first picture of the bag."""
        images, info = self._streams.images, self._streams.info
        # It holds for the pictures before it, too: a camera's two messages are recorded in any
        # order.
        if info and (first := self._reader.first(info)):
            self._calibrate(first)
        for record in self._reader.records([images, info]):
            if record.topic == info:
                self._calibrate(record)
                continue
            try:
                header, bgr = self._decoded(record.cdr)
                # Who stamps nothing still gets tracking and smoothing, as from the node.
                frame = self._engine.process(bgr, seconds(header.stamp) or 1e-9 * record.time)
            except Exception as e:  # of whatever is in the bag
                self.failed += 1
                self._say(f'an image was left out: {e}')
                continue
            yield record.time, header, bgr, frame

    def _decoded(self, cdr: bytes) -> tuple[Header, np.ndarray]:
        kind, to_bgr = (Image, image_to_bgr) if self._streams.raw else (
            CompressedImage, compressed_to_bgr)
        message = deserialize_message(cdr, kind)
        return message.header, to_bgr(message)

    def _calibrate(self, record: Record) -> None:
        try:
            info = deserialize_message(record.cdr, CameraInfo)
            self._engine.calibration, reason = calibration_from_camera_info(info)
        except Exception as e:  # likewise
            self._say(f'a calibration was left out: {e}')
            return
        if reason:
            self._say(f'the calibration in {record.topic} cannot be used: {reason}; '
                      'horizontal_fov is assumed instead')

    def _say(self, words: str) -> None:
        words = ' '.join(words.split())
        if len(self._told) < 10 and words not in self._told:
            self._told.add(words)
            self._tell(words)


def gaze_cdr(frame: FrameGaze, header: Header) -> memoryview:
    """Return a GazeArray, serialized. What it took is 0: it is never twice the same."""
    return to_cdr(
        gaze_array(replace(frame, detection_time=0.0, estimation_time=0.0), header), GAZE)


def annotated_cdr(bgr: np.ndarray, frame: FrameGaze, header: Header) -> memoryview:
    """Return a picture with its gaze drawn in as CompressedImage, serialized; it is drawn into."""
    draw(bgr, frame)
    message = bgr_to_compressed(bgr, header, _QUALITY)
    return to_cdr(SimpleNamespace(
        header=header, format=message.format, data=np.frombuffer(message.data, np.uint8)),
        ANNOTATED)
