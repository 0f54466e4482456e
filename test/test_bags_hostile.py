"""Malicious bags: unpacking is limited, no YAML hangs; valid bags are still read."""
import sqlite3

from fuzz.mcapmaker import bag, Chunk, mcap, message, record, TOPIC, TYPE
from gaze_ros.bags import limits, sanitizer
from gaze_ros.bags.reading import BagReader, Topic
from gaze_ros.core.errors import SourceError
from helpers.bag_files import camera_messages, write_bag, write_db3
from hypothesis import given
from hypothesis import strategies as st
import lz4.frame
import pytest
from rosbags.rosbag2 import Reader

zstd = limits.zstd()

ONE = message(b'x' * 99)
#: A merge and aliases: twenty lines stand for 10**19 values.
LAUGHS = 'a0: &a0 {k: 1}\n' + ''.join(
    f'a{i}: &a{i} {{<<: [{", ".join([f"*a{i - 1}"] * 9)}]}}\n' for i in range(1, 20))
QOS = ('- {history: 3, depth: 0, reliability: 1, durability: 2, deadline: {sec: 9, nsec: 8}, '
       'lifespan: {sec: 9, nsec: 8}, liveliness: 1, liveliness_lease_duration: {sec: 9, nsec: 8}, '
       'avoid_ros_namespace_conventions: false}')


def read(path):
    reader = BagReader(path)
    try:
        return [(r.topic, r.time, r.cdr) for r in reader.records(reader.topics)]
    finally:
        reader.close()


def refused(path):
    """Return the error of reading a bag: one line that names it."""
    with pytest.raises(SourceError) as error:
        read(path)
    words = str(error.value)
    assert words.startswith(f"bag '{path}' ") and '\n' not in words
    return words


def unsized(data):
    """Return zstd data that does not declare its size."""
    packer = zstd.ZstdCompressor()
    return packer.compress(data) + packer.flush()


def lone(tmp_path, *chunks, **more):
    path = tmp_path / 'bag.mcap'
    path.write_bytes(mcap(*chunks, **more))
    return path


@pytest.mark.parametrize('indexed', [True, False])
@pytest.mark.parametrize(('compression', 'pack'), [
    ('', bytes), ('zstd', zstd.compress), ('zstd', unsized), ('lz4', lz4.frame.compress)])
def test_valid_chunks_are_read(tmp_path, indexed, compression, pack):
    chunks = [Chunk(pack(message(bytes([n]) * 99, n)), len(ONE), compression, n, n)
              for n in range(1, 9)]
    assert read(lone(tmp_path, *chunks, indexed=indexed, qos=QOS)) == [
        (TOPIC, n, bytes([n]) * 99) for n in range(1, 9)]


@pytest.mark.parametrize('indexed', [True, False])
@pytest.mark.parametrize(('compression', 'pack'), [
    ('zstd', zstd.compress), ('zstd', unsized), ('lz4', lz4.frame.compress)])
def test_chunk_larger_than_declared_is_not_unpacked_further(
        tmp_path, indexed, compression, pack):
    bomb = Chunk(pack(bytes(1 << 26)), 1000, compression)
    words = refused(lone(tmp_path, bomb, indexed=indexed))
    assert '1000 bytes' in words or 'at most 1000' in words
    if indexed:
        assert "'bag.mcap', before byte " in words


@pytest.mark.parametrize('compression', ['', 'zstd', 'lz4'])
def test_chunk_declared_too_large_is_refused_unopened(tmp_path, compression):
    words = refused(lone(tmp_path, Chunk(b'', 1 << 40, compression)))
    assert "'bag.mcap': its chunk at byte " in words and f'{1 << 40} bytes' in words
    if compression:
        words = refused(lone(tmp_path, Chunk(b'', 1 << 40, compression), indexed=False))
        assert f'unpacks to {1 << 40} bytes' in words


def test_overlapping_chunks_add_up(tmp_path):
    def chunks(steps):
        return [Chunk(b'', 200 << 20, 'zstd', n * steps, n * steps + 5) for n in range(1, 99)]

    assert 'overlap it in time' in refused(lone(tmp_path, *chunks(1)))
    reader = BagReader(lone(tmp_path, *chunks(9)))  # not overlapping
    reader.close()


@pytest.mark.parametrize('kind', [3, 4, 6])
def test_oversized_record_is_not_read(tmp_path, kind):
    path = lone(tmp_path, indexed=False, loose=record(kind, b'', 100 << 30))
    end = path.read_bytes()[-37:]
    with open(path, 'r+b') as file:  # a sparse file of 100 GB
        file.seek(101 << 30)
        file.write(end)
    assert 'its record at byte ' in refused(path)


@pytest.mark.parametrize('pack', [zstd.compress, unsized])
def test_message_that_unpacks_to_too_much_is_reported_with_its_topic(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(limits.decompress, '__defaults__', (1 << 20,))
    bomb = message(pack(bytes(1 << 24)))
    words = refused(bag(
        tmp_path / 'bag', 'b.mcap', mcap(Chunk(bomb, len(bomb), '')), 'MESSAGE'))
    assert f"a message of '{TOPIC}': it unpacks to " in words and "'b.mcap'" in words


@pytest.mark.parametrize('pack', [zstd.compress, unsized])
def test_file_that_unpacks_to_too_much_leaves_no_files(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(sanitizer, 'MAX_DECOMPRESSED_BYTES', 10 << 20)
    monkeypatch.setattr(sanitizer.tempfile, 'tempdir', str(tmp_path / 'temporary'))
    (tmp_path / 'temporary').mkdir()
    words = refused(bag(tmp_path / 'bag', 'b.mcap.zstd', pack(bytes(1 << 26)), 'FILE'))
    assert "'b.mcap.zstd': it unpacks to " in words
    assert list((tmp_path / 'temporary').iterdir()) == []


def test_too_little_disk_space_is_reported_before_unpacking(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, 'RESUME_BYTES', 1 << 60)
    path = write_bag(tmp_path / 'bag', camera_messages(2), mode='FILE')
    assert '$TMPDIR' in refused(path)


def test_unpacked_database_is_checked_too(tmp_path):
    base = sqlite3.connect(tmp_path / 'b.db3')
    base.execute('CREATE VIEW messages AS WITH RECURSIVE n(i) AS '
                 '(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS timestamp FROM n')
    base.commit()
    base.close()
    packed = zstd.compress((tmp_path / 'b.db3').read_bytes())
    assert 'a view messages' in refused(bag(tmp_path / 'bag', 'b.db3.zstd', packed, 'FILE'))


@pytest.mark.parametrize(('text', 'words'), [
    (LAUGHS, 'an alias'), ('[' * 9999, 'levels'), ('a' * (1 << 20), 'expected'),
    ('!!python/object/apply:os.system [a]', 'offered_qos_profiles')])
def test_dangerous_qos_yaml_is_refused(tmp_path, text, words):
    for indexed in (True, False):
        assert words in refused(lone(tmp_path, qos=text, indexed=indexed))
    path = write_db3(tmp_path / 'b.db3', camera_messages(1))
    with sqlite3.connect(path) as base:
        base.execute('UPDATE topics SET offered_qos_profiles = ?', (text,))
    base.close()
    assert words in refused(path) and 'offered_qos_profiles' in refused(path)


def test_dangerous_metadata_yaml_is_refused(tmp_path):
    path = write_bag(tmp_path / 'bag', camera_messages(1))
    with open(path / 'metadata.yaml', 'a') as file:
        file.write(LAUGHS)
    assert 'an alias' in refused(path)


def test_later_metadata_version_is_refused(tmp_path):
    path = write_bag(tmp_path / 'bag', camera_messages(1))
    text = (path / 'metadata.yaml').read_text()
    (path / 'metadata.yaml').write_text(text.replace('version: 9', 'version: 10'))
    assert 'has version 10; versions up to 9' in refused(path)


def test_messages_that_are_not_cdr_are_refused(tmp_path):
    path = lone(tmp_path, Chunk(ONE, len(ONE), ''))
    path.write_bytes(path.read_bytes().replace(b'\x03\0\0\0cdr', b'\x03\0\0\0cbo'))
    assert f"the messages of '{TOPIC}' are in 'cbo', not cdr" in refused(path)


@given(st.lists(st.binary(max_size=999), min_size=1, max_size=4), st.integers(0, 4000))
def test_decompress_returns_the_data_or_refuses_too_much(parts, most):
    whole = b''.join(parts)
    packed = b''.join((zstd.compress if len(part) % 2 else unsized)(part) for part in parts)
    if len(whole) > most:
        with pytest.raises(limits.LimitExceededError):
            limits.decompress(packed, most)
    else:
        assert limits.decompress(packed, most) == whole
    with pytest.raises(Exception):  # noqa: B017, of the library's
        limits.decompress(packed[:-1], 1 << 20)


def test_patched_rosbags_still_reads_valid_bags(tmp_path):
    chunk = Chunk(zstd.compress(ONE), len(ONE))
    with Reader(lone(tmp_path, chunk, qos=QOS)) as reader:
        assert [bytes(data) for _, _, data in reader.messages()] == [b'x' * 99]
        (qos,) = reader.connections[0].ext.offered_qos_profiles
    assert (qos.depth, qos.deadline.nsec, qos.durability.name) == (0, 8, 'VOLATILE')


def test_topics_of_a_split_bag_are_merged(tmp_path):
    path = bag(tmp_path / 'bag', 'a.mcap', mcap(Chunk(ONE, len(ONE), '')), '')
    (path / 'b.mcap').write_bytes(mcap(Chunk(ONE, len(ONE), '')))
    text = (path / 'metadata.yaml').read_text()
    (path / 'metadata.yaml').write_text(text.replace('[a.mcap]', '[a.mcap, b.mcap]'))
    reader = BagReader(path)
    assert reader.topics == {TOPIC: Topic(TOPIC, TYPE, 2)}
    reader.close()
    assert len(read(path)) == 2
    (path / 'b.mcap').write_bytes(mcap(Chunk(b'', 1 << 40)))
    assert "'b.mcap': its chunk at byte " in refused(path)
