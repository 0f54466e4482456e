"""Estimates gaze in the images of a bag, one after the other, without running nodes."""
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

from gaze_ros.bags.reading import BagReader, Record
from gaze_ros.bags.rosbags_library import to_cdr
from gaze_ros.bags.streams import COMPRESSED, Streams
from gaze_ros.core.diagnostics.log_throttle import kind_of
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

#: Message types that are written.
GAZE, ANNOTATED = 'gaze_ros/msg/GazeArray', COMPRESSED

#: JPEG quality of annotated images.
_QUALITY = 90


class BagImages:
    """Iterates over the images of a bag: time of recording (ns), header, image and gaze.

    The image is (H, W, 3) uint8 BGR and may be drawn into. Images that cannot be processed are
    skipped.

    :param engine: the calibration in the bag is set on it.
    :param warn: called with the reason why an image or calibration is skipped, once per kind of
        reason.
    :ivar failed: number of skipped images.
    :raises SourceError: during iteration, if the bag is broken.
    """

    def __init__(self, engine: Engine, reader: BagReader, streams: Streams,
                 warn: Callable[[str], None]) -> None:
        self.failed = 0
        self._engine, self._reader, self._streams, self._warn = engine, reader, streams, warn
        self._warned: set[str] = set()

    def __iter__(self) -> Iterator[tuple[int, Header, np.ndarray, FrameGaze]]:
        """Start with the first image of the bag."""
        images, info = self._streams.images, self._streams.info
        # The first calibration also holds for earlier images: a camera's image and camera_info
        # may be recorded in either order.
        if info and (first := self._reader.first(info)):
            self._calibrate(first)
        for record in self._reader.records([images, info]):
            if record.topic == info:
                self._calibrate(record)
                continue
            try:
                header, image = self._decode(record.cdr)
                frame = self._engine.process(
                    image, seconds(header.stamp) or None, 1e-9 * record.time)
            except Exception as e:  # a bag may contain anything
                self.failed += 1
                self._warn_once(f'image skipped: {e}')
                continue
            yield record.time, header, image, frame

    def _decode(self, cdr: bytes) -> tuple[Header, np.ndarray]:
        msg_type, to_bgr = (Image, image_to_bgr) if self._streams.raw else (
            CompressedImage, compressed_to_bgr)
        message = deserialize_message(cdr, msg_type)
        return message.header, to_bgr(message)

    def _calibrate(self, record: Record) -> None:
        try:
            info = deserialize_message(record.cdr, CameraInfo)
            self._engine.calibration, reason = calibration_from_camera_info(info)
        except Exception as e:  # a bag may contain anything
            self._warn_once(f'calibration skipped: {e}')
            return
        if reason:
            self._warn_once(f'the calibration in {record.topic} cannot be used: {reason}; '
                            'horizontal_fov is assumed instead')

    def _warn_once(self, text: str) -> None:
        text = ' '.join(text.split())
        kind = kind_of(text)
        if len(self._warned) < 10 and kind not in self._warned:
            self._warned.add(kind)
            self._warn(text)


def gaze_cdr(frame: FrameGaze, header: Header) -> memoryview:
    """Return a serialized GazeArray; durations are 0, so that results are reproducible."""
    return to_cdr(
        gaze_array(replace(frame, detection_time=0.0, estimation_time=0.0), header), GAZE)


def annotated_cdr(image: np.ndarray, frame: FrameGaze, header: Header) -> memoryview:
    """Draw gaze into an image and return it as a serialized CompressedImage.

    :param image: (H, W, 3) uint8 BGR; it is changed.
    """
    draw(image, frame)
    message = bgr_to_compressed(image, header, _QUALITY)
    return to_cdr(SimpleNamespace(
        header=header, format=message.format, data=np.frombuffer(message.data, np.uint8)),
        ANNOTATED)
