"""Images in shared memory: what is read is what was written, needs, files of killed writers."""
import os
import subprocess
import sys
from threading import Event, Thread
import time

from gaze_ros.core.system import shared_images
from gaze_ros.core.system.shared_images import (
    NEVER,
    reclaim,
    Reference,
    SharedImageReader,
    SharedImageWriter,
)
from gaze_ros.core.system.shared_memory import FOLDER
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason='there is no /dev/shm')


@pytest.fixture
def writer():
    one = SharedImageWriter()
    yield one
    one.close()


@pytest.fixture
def reader():
    one = SharedImageReader()
    yield one
    one.close()


def image(level, height=48, width=64):
    return np.full((height, width, 3), level, np.uint8)


def test_read_image_is_the_written_one_and_can_be_changed(writer, reader):
    noise = np.random.default_rng(0).integers(0, 256, (123, 77, 3), np.uint8)
    for one in (noise, noise[:, ::-1], noise[:100:2, :50:3]):  # not contiguous, other sizes
        found = reader.read(Reference.decode(writer.write(one).encode()))
        np.testing.assert_array_equal(found, one)
        found[:] = 0
    np.testing.assert_array_equal(reader.read(writer.write(noise)), noise)


def test_latest_images_stay_and_older_ones_are_reported(writer, reader):
    references = [writer.write(image(i)) for i in range(shared_images._MAX_IMAGES + 3)]
    for i in range(3, len(references)):
        assert (reader.read(references[i]) == i).all()
    for reference in references[:3]:
        with pytest.raises(ValueError, match='overwritten'):
            reader.read(reference)


def test_images_that_are_being_overwritten_are_never_mixed(writer, reader):
    """One image of 12 MB is read while others take its place."""
    stop = Event()
    references = [writer.write(image(1, 2000, 2000))]

    def write():
        level = 2
        while not stop.is_set():
            references.append(writer.write(image(level, 2000, 2000)))
            level = level % 250 + 1

    thread = Thread(target=write, daemon=True)
    thread.start()
    whole = late = 0
    until = time.monotonic() + 60
    while time.monotonic() < until and (whole < 10 or late < 10):
        reference = references[-1 if whole <= late else max(-len(references), -7)]
        try:
            found = reader.read(reference)
        except ValueError:
            late += 1
        else:
            whole += 1
            assert found.min() == found.max()
    stop.set()
    thread.join(20)
    assert whole >= 10 and late >= 1


def test_writer_learns_when_its_readers_need_an_image(writer):
    readers = [SharedImageReader() for _ in range(3)]
    assert not writer.wanted(1.0, 0) and writer.wanted(0.0, 1)  # before the first image
    reference = writer.write(image(0))
    for one in readers:
        one.tell(0)  # it knows no writer yet
        one.open(reference.name)
    assert writer.wanted(0.0, 3)
    readers[0].tell(NEVER)
    readers[1].tell(NEVER)
    assert writer.wanted(0.0, 3), 'the third has not told'
    readers[2].tell(NEVER)
    assert not writer.wanted(1e6, 3) and writer.wanted(0.0, 4)
    readers[2].tell(time.monotonic_ns() + 2_000_000_000)
    assert not writer.wanted(0.1, 3) and writer.wanted(2.0, 3)
    readers[2].tell(0)
    assert writer.wanted(0.0, 3)
    readers[2].close()
    assert not writer.wanted(1.0, 2) and writer.wanted(0.0, 3)


def test_old_need_expires(writer, reader, monkeypatch):
    reader.open(writer.write(image(0)).name)
    reader.tell(NEVER)
    assert not writer.wanted(0.0, 1)
    monkeypatch.setattr(shared_images, '_EXPIRY', 0)
    time.sleep(0.001)
    assert writer.wanted(0.0, 1)
    others = [SharedImageReader() for _ in range(2 * shared_images._ENTRIES)]
    for one in others:  # they take the places of expired ones
        one.open(writer.write(image(0)).name)
        one.tell(NEVER)
    for one in others:
        one.close()


def test_closed_writer_leaves_no_file_and_readers_keep_its_images(writer, reader):
    reference = writer.write(image(7))
    reader.open(reference.name)
    writer.close()
    assert not (FOLDER / reference.name).exists()
    assert (reader.read(reference) == 7).all()
    with pytest.raises(ValueError, match='set image_transport to raw'):
        SharedImageReader().read(reference)


def test_file_of_a_killed_writer_is_removed_and_that_of_a_living_one_is_not(writer):
    code = ('from gaze_ros.core.system.shared_images import SharedImageWriter; import numpy, os; '
            'print(SharedImageWriter().write(numpy.zeros((9, 9, 3), numpy.uint8)).name, '
            'flush=True); os.kill(os.getpid(), 9)')
    living = FOLDER / writer.write(image(0)).name
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    killed = FOLDER / done.stdout.strip()
    assert killed.exists() and living.exists()
    reclaim()
    assert not killed.exists() and living.exists()


@pytest.mark.parametrize('data', [
    b'', b'x', b'\xff\xfe', b'/etc/passwd 1 0 9 9 1', b'../../etc/passwd 1 0 9 9 1',
    b'gaze_ros_images_1_0123456789abcdef', b'gaze_ros_images_1_0123456789abcdef 1 0 9 9 -1',
    b'gaze_ros_images_1_0123456789abcdef 1 0 0 9 1',
    b'gaze_ros_images_1_0123456789abcdef 1 64 9 9 1',
    b'gaze_ros_images_1_0123456789abcdef 0 0 9 9 1',
    b'gaze_ros_images_1_0123456789abcdef 1 0 99999999 99999999 1',
    b'gaze_ros_images_1_0123456789abcdef 1 0 9 9 ' + b'9' * 5000])
def test_other_data_is_no_reference(data):
    with pytest.raises(ValueError, match='shared memory'):
        Reference.decode(data)


def test_foreign_files_are_refused(reader, tmp_path):
    def refused(create, words):
        path = FOLDER / f'gaze_ros_images_{os.getpid()}_{"0" * 16}'
        create(path)
        try:
            with pytest.raises(ValueError, match=words):
                reader.read(Reference(path.name, 1, 0, 9, 9, 1))
        finally:
            path.unlink()

    target = tmp_path / 'target'
    target.write_bytes(bytes(100_000))
    refused(lambda path: path.symlink_to(target), 'cannot be read')
    refused(lambda path: os.mkfifo(path), 'not a file')
    refused(lambda path: path.write_bytes(bytes(10)), 'not a file')
    refused(lambda path: path.write_bytes(bytes(8200)), 'overwritten')  # and shorter than images
