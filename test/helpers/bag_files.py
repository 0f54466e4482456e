"""Bags of the built-in sample, in every supported format."""
from collections.abc import Iterable, Iterator
from pathlib import Path
import sqlite3
from types import SimpleNamespace

import cv2
from gaze_ros.bags.rosbags_library import to_cdr, typestore
from gaze_ros.core.sources.sample import Sample
from gaze_ros.ros.comm.conversions import bgr_to_compressed
import numpy as np
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

IMAGE, COMPRESSED, INFO = (
    f'sensor_msgs/msg/{name}' for name in ('Image', 'CompressedImage', 'CameraInfo'))
#: Stamp of the first image, time between images, time from a stamp to its recording; ns.
START, PERIOD, RECORDING_DELAY = 1_700_000_000_123_456_789, 33_333_333, 12_000_000
SIZE = 320, 240


def sample_images(count: int) -> Iterator[tuple[int, Header, np.ndarray]]:
    """Yield stamp (ns), header and image of the first frames of the sample, 320x240."""
    source = Sample()
    for number in range(count):
        stamp = START + number * PERIOD
        header = Header(frame_id='left_optical')
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
        yield stamp, header, cv2.resize(source.read(), SIZE, interpolation=cv2.INTER_AREA)


def camera_info(header: Header, focal: float = 300.0) -> CameraInfo:
    return CameraInfo(
        header=header, width=SIZE[0], height=SIZE[1], distortion_model='plumb_bob', d=[0.0] * 5,
        k=[focal, 0.0, 160.0, 0.0, focal, 120.0, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, 160.0, 0.0, 0.0, focal, 120.0, 0.0, 0.0, 0.0, 1.0, 0.0])


def image_cdr(bgr: np.ndarray, header: Header) -> memoryview:
    return to_cdr(SimpleNamespace(
        header=header, height=bgr.shape[0], width=bgr.shape[1], encoding='bgr8', is_bigendian=0,
        step=3 * bgr.shape[1], data=bgr.reshape(-1)), IMAGE)


def compressed_cdr(bgr: np.ndarray, header: Header) -> bytes:
    return serialize_message(bgr_to_compressed(bgr, header, 90))


def camera_messages(
    count: int, compressed: bool = False, prefix: str = '/camera', info: bool = True
) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield topic, type, recording time (ns) and CDR message, as a recorder of a camera does."""
    for stamp, header, bgr in sample_images(count):
        if info:
            yield (f'{prefix}/camera_info', INFO, stamp + RECORDING_DELAY,
                   serialize_message(camera_info(header)))
        if compressed:
            yield (f'{prefix}/image_raw/compressed', COMPRESSED, stamp + RECORDING_DELAY,
                   compressed_cdr(bgr, header))
        else:
            yield (f'{prefix}/image_raw', IMAGE, stamp + RECORDING_DELAY,
                   bytes(image_cdr(bgr, header)))


def write_bag(path: Path, content: Iterable[tuple[str, str, int, bytes]], plugin: str = 'MCAP',
              mode: str = 'NONE') -> Path:
    """Write a rosbag2 folder with the rosbags library."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[plugin])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, time, cdr in content:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
            writer.write(connections[topic], time, cdr)
    return path


def write_db3(path: Path, content: Iterable[tuple[str, str, int, bytes]]) -> Path:
    """Write a single .db3 file in the layout of rosbag2 in Humble (schema 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as base:
        base.executescript("""
            CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
            CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL,
                                  metadata TEXT NOT NULL);
            CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
                serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
            CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
                                  timestamp INTEGER NOT NULL, data BLOB NOT NULL);
            CREATE INDEX timestamp_idx ON messages (timestamp ASC);
            INSERT INTO schema(schema_version, ros_distro) VALUES (3, 'humble');""")
        ids = {}
        for topic, kind, time, cdr in content:
            if topic not in ids:
                ids[topic] = len(ids) + 1
                base.execute('INSERT INTO topics VALUES(?, ?, ?, ?, ?)',
                             (ids[topic], topic, kind, 'cdr', ''))
            base.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                         (ids[topic], time, bytes(cdr)))
    base.close()
    return path


def corrupt_last_chunk(path: Path) -> None:
    """Overwrite the Zstandard magic number of the last compressed chunk."""
    data = bytearray(path.read_bytes())
    at = data.rindex(bytes.fromhex('28b52ffd'))
    data[at:at + 4] = bytes(4)
    path.write_bytes(data)
