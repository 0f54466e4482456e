"""Reading, writing and playing bags."""
from itertools import islice
import os
from pathlib import Path
import struct
from threading import Event
from time import monotonic
from types import SimpleNamespace

from ament_index_python.packages import get_package_share_directory
from gaze_ros.bags import rosbags_library
from gaze_ros.bags.playing import Player
from gaze_ros.bags.reading import BagReader, Record, Topic
from gaze_ros.bags.rosbags_library import rosbags, to_cdr, typestore
from gaze_ros.bags.stamps import shift_stamp, stamp_of
from gaze_ros.bags.streams import find_streams
from gaze_ros.bags.writing import BagWriter
from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.msg import Attention, Gaze, GazeArray
from geometry_msgs.msg import Point32
from helpers.bag_files import (
    camera_info,
    camera_messages,
    COMPRESSED,
    corrupt_last_chunk,
    IMAGE,
    INFO,
    PERIOD,
    RECORDING_DELAY,
    START,
    write_bag,
    write_db3,
)
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
import yaml

STAMPS = [START + n * PERIOD for n in range(12)]


def read(path):
    reader = BagReader(path)
    try:
        streams = find_streams(reader.topics)
        return [(r.time, stamp_of(r.cdr)) for r in reader.records([streams.images])]
    finally:
        reader.close()


WANTED = [(stamp + RECORDING_DELAY, stamp) for stamp in STAMPS]


@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize(('plugin', 'mode'), [
    ('MCAP', 'NONE'), ('MCAP', 'STORAGE'), ('MCAP', 'FILE'), ('MCAP', 'MESSAGE'),
    ('SQLITE3', 'NONE'), ('SQLITE3', 'FILE'), ('SQLITE3', 'MESSAGE')])
def test_every_storage_and_compression_of_rosbag2_is_read(tmp_path, plugin, mode, compressed):
    path = write_bag(tmp_path / 'bag', camera_messages(12, compressed), plugin, mode)
    assert read(path) == WANTED
    if mode in ('NONE', 'STORAGE'):
        suffix = {'MCAP': 'mcap', 'SQLITE3': 'db3'}[plugin]
        assert read(path / f'bag.{suffix}') == WANTED


def test_split_bag_is_read_in_order(tmp_path):
    content = list(camera_messages(12))
    parts = [write_bag(tmp_path / f'p{n}', content[n * 8:n * 8 + 8]) for n in range(3)]
    one = tmp_path / 'split'
    one.mkdir()
    whole = yaml.safe_load((parts[0] / 'metadata.yaml').read_text())
    info = whole['rosbag2_bagfile_information']
    info['relative_file_paths'] = [f'split_{n}.mcap' for n in range(3)]
    for topic in info['topics_with_message_count']:
        topic['message_count'] *= 3
    for n, part in enumerate(parts):
        (part / f'p{n}.mcap').rename(one / f'split_{n}.mcap')
    (one / 'metadata.yaml').write_text(yaml.safe_dump(whole))
    assert read(one) == WANTED


def test_sqlite3_schema_of_humble_is_read(tmp_path):
    assert read(write_db3(tmp_path / 'bag_0.db3', camera_messages(12))) == WANTED


def test_file_of_the_standard_mcap_writer_is_read(tmp_path):
    mcap_ros2 = pytest.importorskip('mcap_ros2.writer')
    definition, _ = typestore().generate_msgdef(IMAGE, ros_version=2)
    with open(tmp_path / 'one.mcap', 'wb') as file:
        writer = mcap_ros2.Writer(file)
        schema = writer.register_msgdef(IMAGE, definition)
        for _, kind, time, cdr in camera_messages(12):
            if kind == IMAGE:
                m = deserialize_message(cdr, Image)
                writer.write_message('/camera/image_raw', schema, {
                    'header': {'stamp': {'sec': m.header.stamp.sec,
                                         'nanosec': m.header.stamp.nanosec},
                               'frame_id': m.header.frame_id},
                    'height': m.height, 'width': m.width, 'encoding': m.encoding,
                    'is_bigendian': 0, 'step': m.step, 'data': bytes(m.data)}, time, time)
        writer.finish()
    assert read(tmp_path / 'one.mcap') == WANTED


def broken(tmp_path, what):
    path = write_bag(tmp_path / 'bag', camera_messages(12))
    file = path / 'bag.mcap'
    if what == 'cut':
        file.write_bytes(file.read_bytes()[:200_000])
    elif what == 'empty':
        file.write_bytes(b'')
    elif what == 'no metadata':
        (path / 'metadata.yaml').unlink()
    elif what == 'no file':
        file.unlink()
    elif what == 'no yaml':
        (path / 'metadata.yaml').write_text('a: [')
    elif what == 'other yaml':
        (path / 'metadata.yaml').write_text('a: 1')
    elif what == 'noise':
        path = tmp_path / 'noise.db3'
        path.write_bytes(b'noise' * 1000)
    elif what == 'text':
        path = tmp_path / 'text.txt'
        path.write_text('text')
    return path if what != 'nothing' else tmp_path / 'nothing'


@pytest.mark.parametrize(('what', 'words'), [
    ('cut', "'mcap recover' of"), ('empty', 'cannot be read'),
    ('no metadata', 'give the file: bag.mcap'), ('no file', 'bag.mcap'),
    ('no yaml', 'cannot be read'), ('other yaml', 'rosbag2_bagfile_information'),
    ('noise', 'cannot be read'), ('text', "'.txt'"), ('nothing', 'does not exist')])
def test_invalid_bag_is_reported_in_one_line_with_its_path(tmp_path, what, words):
    path = broken(tmp_path, what)
    with pytest.raises(SourceError) as error:
        BagReader(path)
    assert words in str(error.value) and f"'{path}'" in str(error.value)
    assert '\n' not in str(error.value)


def test_broken_bag_yields_messages_before_the_break(tmp_path):
    path = write_bag(tmp_path / 'bag', camera_messages(12), mode='STORAGE') / 'bag.mcap'
    corrupt_last_chunk(path)
    reader = BagReader(path)
    seen = []
    with pytest.raises(SourceError, match='cannot be read'):
        seen.extend(reader.records(['/camera/image_raw']))
    reader.close()
    assert 0 < len(seen) < 12


def topic(name, kind=IMAGE, count=5):
    return {name: Topic(name, kind, count)}


@pytest.mark.parametrize(('topics', 'asked', 'wanted', 'namespace'), [
    ({**topic('/camera/image_raw'), **topic('/camera/camera_info', INFO)}, '',
     ('/camera/image_raw', '/camera/image_raw', '', '/camera/camera_info'), ''),
    ({**topic('/camera/image_raw'), **topic('/camera/image_raw/compressed', COMPRESSED)}, '',
     ('/camera/image_raw', '/camera/image_raw', '/camera/image_raw/compressed', ''), ''),
    ({**topic('/camera/image_raw'), **topic('/camera/image_raw/compressed', COMPRESSED)},
     'camera/image_raw/compressed',
     ('/camera/image_raw', '', '/camera/image_raw/compressed', ''), ''),
    (topic('/front/camera/image_raw/compressed', COMPRESSED), '/front/camera/image_raw',
     ('/front/camera/image_raw', '', '/front/camera/image_raw/compressed', ''), '/front'),
    ({**topic('/a/b/cam/rgb'), **topic('/a/b/cam/depth'), **topic('/a/b/cam/camera_info', INFO)},
     'a/b/cam/rgb', ('/a/b/cam/rgb', '/a/b/cam/rgb', '', '/a/b/cam/camera_info'), '/a/b'),
    ({**topic('/image'), **topic('/camera_info', INFO), **topic('/other', IMAGE, 0)}, '',
     ('/image', '/image', '', '/camera_info'), ''),
    ({**topic('/camera/image_raw'),
      **topic('/gaze/image_annotated/compressed', COMPRESSED)}, '',
     ('/camera/image_raw', '/camera/image_raw', '', ''), ''),
    ({**topic('/camera/image_raw'),
      **topic('/camera/image_raw/compressedDepth', COMPRESSED)}, '',
     ('/camera/image_raw', '/camera/image_raw', '', ''), '')])
def test_topics_of_a_camera_are_found(topics, asked, wanted, namespace):
    streams = find_streams(topics, asked)
    assert tuple(streams) == wanted
    assert streams.namespace == namespace


@pytest.mark.parametrize(('topics', 'asked', 'info', 'words'), [
    ({}, '', '', 'no images; it has no topics'),
    (topic('/scan', 'sensor_msgs/msg/LaserScan'), '', '', r'/scan \(5 sensor_msgs/msg/LaserScan'),
    ({**topic('/l/image'), **topic('/r/image')}, '', '', r'more than one .*/l/image .*/r/image'),
    (topic('/l/image'), 'r/image', '', "'/r/image' has no images in the bag; it has /l/image"),
    (topic('/l/image'), '', '/l/image', "'/l/image' has no sensor_msgs/msg/CameraInfo")])
def test_missing_topic_error_lists_the_bags_topics(topics, asked, info, words):
    with pytest.raises(SourceError, match=words):
        find_streams(topics, asked, info)


def test_calibration_topic_may_be_named():
    topics = {**topic('/camera/image_raw'), **topic('/other/camera_info', INFO)}
    assert find_streams(topics).info == ''
    assert find_streams(topics, info='other/camera_info').info == '/other/camera_info'


def gaze_array():
    one = Gaze(track_id='f1', score=0.5, pitch=0.1, raw_yaw=float('nan'), landmarks=[
        Point32(x=1.5, y=2.25)] * 5, looking_at_camera=True)
    message = GazeArray(header=Header(frame_id='odd'), model='x', gazes=[one, one])
    message.header.stamp.sec = 7
    return message


def test_serialization_equals_rclpys_and_is_reproducible():
    message = gaze_array()
    cdr = bytes(to_cdr(message, 'gaze_ros/msg/GazeArray'))
    back = deserialize_message(cdr, GazeArray)
    assert repr(back) == repr(deserialize_message(serialize_message(message), GazeArray))
    assert len({bytes(to_cdr(gaze_array(), 'gaze_ros/msg/GazeArray')) for _ in range(20)}) == 1


@pytest.mark.parametrize('kind', [GazeArray, Attention])
def test_embedded_definitions_match_the_installed_messages(kind):
    name = f'gaze_ros/msg/{kind.__name__}'
    folder = Path(get_package_share_directory('gaze_ros')) / 'msg'
    hashes = yaml.safe_load((folder / f'{kind.__name__}.json').read_text())['type_hashes']
    wanted = next(h['hash_string'] for h in hashes if h['type_name'] == name)
    assert typestore().hash_rihs01(name) == wanted


@pytest.mark.parametrize('name', ['out', 'out.mcap'])
def test_written_bag_is_read_and_never_overwritten(tmp_path, name):
    kinds = {'/gaze': 'gaze_ros/msg/GazeArray', '/gaze/attention': 'gaze_ros/msg/Attention'}
    writer = BagWriter(tmp_path / name, kinds)
    cdr = to_cdr(gaze_array(), kinds['/gaze'])
    for number in range(3):
        writer.add('/gaze', 100 + number, cdr)
    assert writer.close() == tmp_path / name
    reader = BagReader(tmp_path / name)
    assert reader.topics == {
        '/gaze': Topic('/gaze', kinds['/gaze'], 3),
        '/gaze/attention': Topic('/gaze/attention', kinds['/gaze/attention'], 0)}
    assert list(reader.records(kinds)) == [
        Record('/gaze', 100 + n, bytes(cdr)) for n in range(3)]
    reader.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]
    with pytest.raises(GazeRosError, match=f"{name}' already exists"):
        BagWriter(tmp_path / name, kinds)


@pytest.mark.parametrize('name', ['out', 'out.mcap'])
def test_bag_written_since_keep_since_is_kept(tmp_path, name):
    kinds, path = {'/gaze': 'gaze_ros/msg/GazeArray'}, tmp_path / name
    BagWriter(path, kinds, 0.0).abort()  # killed
    existing = path if path.exists() else path.with_name('out.mcap.writing')
    os.utime(existing, (100, 100))
    with pytest.raises(GazeRosError, match='already exists'):
        BagWriter(path, kinds, 101.0)
    for number in (2, 3):
        writer = BagWriter(path, kinds, 100.0)
        assert writer.close() == path.with_stem(f'out_{number}')
    os.utime(existing, (99, 99))
    with pytest.raises(GazeRosError, match='already exists'):
        BagWriter(path, kinds, 100.0)


def test_db3_output_is_refused(tmp_path):
    with pytest.raises(GazeRosError, match='x.db3.*written as mcap'):
        BagWriter(tmp_path / 'x.db3', {'/gaze': 'gaze_ros/msg/GazeArray'})


@pytest.mark.parametrize(('name', 'left'), [
    ('out', 'out.incomplete'), ('out.mcap', 'out.incomplete.mcap')])
def test_incomplete_bag_has_another_name_and_is_readable(tmp_path, name, left):
    kinds = {'/gaze': 'gaze_ros/msg/GazeArray'}
    writer = BagWriter(tmp_path / name, kinds)
    writer.add('/gaze', 1, to_cdr(gaze_array(), kinds['/gaze']))
    assert writer.close(complete=False) == tmp_path / left
    assert [p.name for p in tmp_path.iterdir()] == [left]
    assert len(list(BagReader(tmp_path / left).records(kinds))) == 1
    with pytest.raises(GazeRosError, match=f"{left}' already exists"):
        BagWriter(tmp_path / name, kinds)


def test_unwritable_folder_is_reported(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(GazeRosError, match='cannot be written'):
        BagWriter(tmp_path / 'file' / 'out', {'/gaze': 'gaze_ros/msg/GazeArray'})


def test_standard_mcap_reader_reads_the_bag(tmp_path):
    make_reader = pytest.importorskip('mcap.reader').make_reader
    decoder = pytest.importorskip('mcap_ros2.decoder').DecoderFactory()
    kinds = {'/gaze': 'gaze_ros/msg/GazeArray'}
    writer = BagWriter(tmp_path / 'out.mcap', kinds)
    writer.add('/gaze', 123, to_cdr(gaze_array(), kinds['/gaze']))
    writer.close()
    with open(tmp_path / 'out.mcap', 'rb') as file:
        reader = make_reader(file, decoder_factories=[decoder])
        assert reader.get_header().profile == 'ros2'
        (schema, channel, message, decoded), = reader.iter_decoded_messages()
    assert (schema.name, schema.encoding) == ('gaze_ros/msg/GazeArray', 'ros2msg')
    assert (channel.topic, channel.message_encoding) == ('/gaze', 'cdr')
    assert yaml.safe_load(channel.metadata['offered_qos_profiles'])[0]['reliability'] == 'reliable'
    assert message.log_time == 123
    assert decoded.header.frame_id == 'odd' and decoded.header.stamp.sec == 7
    assert [g.track_id for g in decoded.gazes] == ['f1', 'f1']
    assert [(p.x, p.y) for p in decoded.gazes[0].landmarks] == [(1.5, 2.25)] * 5


def test_metadata_matches_rosbag2(tmp_path):
    writer = BagWriter(tmp_path / 'out', {'/gaze': 'gaze_ros/msg/GazeArray'})
    writer.add('/gaze', 1000, to_cdr(gaze_array(), 'gaze_ros/msg/GazeArray'))
    writer.add('/gaze', 4000, to_cdr(gaze_array(), 'gaze_ros/msg/GazeArray'))
    assert not (tmp_path / 'out' / 'metadata.yaml').exists()
    writer.close()
    metadata = yaml.safe_load((tmp_path / 'out' / 'metadata.yaml').read_text())
    info = metadata['rosbag2_bagfile_information']
    # Fields and types of rosbag2_storage's yaml.hpp, version 9 (Jazzy and Kilted).
    assert info['version'] == 9
    assert info['storage_identifier'] == 'mcap'
    assert info['relative_file_paths'] == ['out_0.mcap']  # as rosbag2: reindex takes no other
    assert info['files'][0]['path'] == 'out_0.mcap'
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['metadata.yaml', 'out_0.mcap']
    assert info['duration']['nanoseconds'] == 3000
    assert info['starting_time']['nanoseconds_since_epoch'] == 1000
    assert info['message_count'] == 2
    assert (info['compression_format'], info['compression_mode']) == ('', '')
    (one,) = info['topics_with_message_count']
    assert one['message_count'] == 2
    meta = one['topic_metadata']
    assert (meta['name'], meta['type'], meta['serialization_format']) == (
        '/gaze', 'gaze_ros/msg/GazeArray', 'cdr')
    assert meta['type_description_hash'].startswith('RIHS01_')
    (qos,) = meta['offered_qos_profiles']
    assert (qos['history'], qos['depth'], qos['durability']) == ('keep_last', 10, 'volatile')


@given(st.integers(1, 2**31 - 1), st.integers(0, 10**9 - 1), st.integers(0, 10**15),
       st.booleans())
def test_shift_stamp_changes_only_the_stamp(sec, nanosec, by, big):
    message = camera_info(Header(frame_id='abc'))
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    cdr = bytes(typestore().serialize_cdr(_plain(message), INFO, little_endian=not big))
    assert stamp_of(cdr) == sec * 10**9 + nanosec
    late = (sec * 10**9 + nanosec + by) // 10**9 >= 2**31
    if late:
        with pytest.raises(ValueError, match='cannot be shifted'):
            shift_stamp(cdr, by)
        return
    back = deserialize_message(shift_stamp(cdr, by), CameraInfo)
    total = back.header.stamp.sec * 10**9 + back.header.stamp.nanosec
    assert total == sec * 10**9 + nanosec + by
    back.header.stamp = message.header.stamp
    assert back == message


def _plain(message):
    """Return a message as rosbags serializes it: sequences of numbers as numpy arrays."""
    fields = {name: getattr(message, name) for name in message.get_fields_and_field_types()}
    return SimpleNamespace(**{
        **fields, **{name: np.array(fields[name]) for name in ('d', 'k', 'r', 'p')}})


def test_zero_stamp_is_kept_and_missing_header_is_refused():
    cdr = struct.pack('<4xiI', 0, 0)
    assert shift_stamp(cdr, 5) == cdr
    with pytest.raises(ValueError, match='has no header'):
        shift_stamp(b'\x00\x01\x00\x00', 5)


def play_all(path, loop=False, rate=20.0, most=None, slow=0.0):
    reader = BagReader(path)
    times, seen = [], []
    player = Player(reader, ['/camera/image_raw', '/camera/camera_info'], '/camera/image_raw',
                    loop, rate, times.append)
    stop = Event()
    for one in player.play(stop):
        assert times[-1] == max(one.record.time, times[-1])
        seen.append((one.record.time, stamp_of(one.cdr)))
        if slow:
            Event().wait(slow)
        if most and len(seen) >= most:
            stop.set()
    reader.close()
    return times, seen, player


def test_bag_is_played_completely_with_monotonic_time(tmp_path):
    path = write_bag(tmp_path / 'bag', camera_messages(12, info=False))
    start = monotonic()
    times, seen, player = play_all(path)
    assert monotonic() - start >= 11 * PERIOD / 20e9
    assert seen == WANTED
    assert times == sorted(times)
    assert player.ended


def test_slow_consumer_slows_the_time_and_skips_nothing(tmp_path):
    path = write_bag(tmp_path / 'bag', camera_messages(12, info=False))
    times, seen, player = play_all(path, rate=100.0, slow=0.15)
    assert seen == WANTED
    assert times == sorted(times)
    assert player.delay > 0.3


def test_stamps_continue_with_equal_steps_in_a_loop(tmp_path):
    path = write_bag(tmp_path / 'bag', camera_messages(4, info=False))
    times, seen, player = play_all(path, loop=True, rate=100.0, most=10)
    assert times == sorted(times)
    assert not player.ended
    steps = {b[1] - a[1] for a, b in zip(seen, seen[1:])}
    assert steps <= {PERIOD, PERIOD + 1}
    assert {time - stamp for time, stamp in seen} == {RECORDING_DELAY}


@pytest.mark.parametrize('count', [1, 2, 5])
@pytest.mark.parametrize('late', [-4_000_000, 0, 500_000_000])
def test_gap_between_rounds_equals_the_image_period(tmp_path, count, late):
    content = [(name, kind, time + late * (kind == INFO), cdr)
               for name, kind, time, cdr in camera_messages(count)]
    path = write_bag(tmp_path / 'bag', sorted(content, key=lambda m: m[2]))
    reader = BagReader(path)
    player = Player(reader, ['/camera/image_raw', '/camera/camera_info'], '/camera/image_raw',
                    True, 100.0, lambda now: None)
    records = [one.record for one in islice(player.play(Event()), 6 * count + 2)]
    reader.close()
    times = [r.time for r in records]
    assert times == sorted(times)
    images = [r.time for r in records if r.topic == '/camera/image_raw']
    steps = {b - a for a, b in zip(images, images[1:])}
    if late > 0:  # the calibrations after the last image are played, too
        assert max(steps) >= late
    elif count > 2:
        assert steps == {PERIOD}
    else:
        assert max(steps) == 100_000_000 - (count - 1) * PERIOD


def test_loop_set_at_the_end_starts_again(tmp_path):
    reader = BagReader(write_bag(tmp_path / 'bag', camera_messages(5, info=False)))
    times = []
    player = Player(reader, ['/camera/image_raw'], '/camera/image_raw', False, 100.0, times.append)
    stop = Event()
    assert len(list(player.play(stop))) == 5 and player.ended
    assert list(player.play(stop)) == []
    player.loop = True
    again = [one.record.time for one in islice(player.play(stop), 7)]
    reader.close()
    assert again == [START + RECORDING_DELAY + n * PERIOD for n in range(5, 12)]
    assert not player.ended and times == sorted(times)


def test_stopped_player_resumes_where_it_was(tmp_path):
    reader = BagReader(write_bag(tmp_path / 'bag', camera_messages(12, info=False)))
    player = Player(
        reader, ['/camera/image_raw'], '/camera/image_raw', False, 50.0, lambda now: None)
    stop, seen = Event(), []
    for one in player.play(stop):
        seen.append(one.record.time)
        if len(seen) == 5:
            stop.set()
    assert len(seen) == 5 and not player.ended
    seen.extend(one.record.time for one in player.play(Event()))
    assert seen == [time for time, _ in WANTED]
    reader.close()


def test_missing_rosbags_error_names_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(f'No module named {name!r}')
    monkeypatch.setattr(rosbags_library, 'import_module', missing)
    with pytest.raises(GazeRosError, match='pip install rosbags'):
        rosbags('rosbag2')
