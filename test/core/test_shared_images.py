"""Images in shared memory: what is read is what was written, needs, end of the writer."""
import fcntl
import os
import subprocess
import sys
from threading import Event, Thread
import time

from gaze_ros.core.system import shared_images
from gaze_ros.core.system.shared_images import (
    NEVER,
    Reference,
    SharedImageReader,
    SharedImageWriter,
)
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    not shared_images.AVAILABLE, reason='memfd_create exists on Linux only')


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


def test_view_is_the_shared_memory_until_it_is_overwritten(writer, reader):
    reference = writer.write(image(1))
    view = reader.view(reference)
    assert (view == 1).all() and not view.flags.writeable
    reader.check(reference)
    for _ in range(shared_images._MAX_IMAGES):
        writer.write(image(2))
    assert (view == 2).all()
    with pytest.raises(ValueError, match='overwritten'):
        reader.check(reference)
    with pytest.raises(ValueError, match='overwritten'):
        reader.view(reference)
    reader.close()
    assert (view == 2).all()


def test_reader_that_is_too_slow_for_images_in_place_gets_copies(writer, reader):
    def overwrite(late):
        for _ in range(shared_images._MAX_IMAGES):
            writer.write(image(late))

    reference = writer.write(image(1))
    reader.view(reference)
    overwrite(2)
    with pytest.raises(ValueError, match='overwritten'):
        reader.check(reference)
    reference = writer.write(image(3))
    copy = reader.view(reference)
    overwrite(4)
    reader.check(reference)
    assert (copy == 3).all()
    # A new file, here of another image size, is read in place again.
    reference = writer.write(image(5, 96, 128))
    assert not reader.view(reference).flags.writeable


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
        back = 1 if whole <= late else min(len(references), shared_images._MIN_IMAGES + 1)
        reference = references[-back]
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
        one.receive(reference)
    assert writer.wanted(0.0, 3)
    readers[0].tell(NEVER)
    readers[1].tell(NEVER)
    assert writer.wanted(0.0, 3), 'the third has not told'
    readers[2].tell(NEVER)
    assert not writer.wanted(1e6, 3) and writer.wanted(0.0, 4)
    readers[2].tell(time.monotonic_ns() + 200_000_000_000)
    assert not writer.wanted(0.1, 3) and writer.wanted(200.0, 3)
    readers[2].tell(0)
    assert writer.wanted(0.0, 3)
    readers[2].close()
    assert not writer.wanted(1.0, 2) and writer.wanted(0.0, 3)


def test_old_need_expires(writer, reader, monkeypatch):
    reader.receive(writer.write(image(0)))
    reader.tell(NEVER)
    assert not writer.wanted(0.0, 1)
    monkeypatch.setattr(shared_images, '_EXPIRY', 0)
    time.sleep(0.001)
    assert writer.wanted(0.0, 1)
    others = [SharedImageReader() for _ in range(2 * shared_images._ENTRIES)]
    for one in others:  # they take the places of expired ones
        one.receive(writer.write(image(0)))
        one.tell(NEVER)
    for one in others:
        one.close()


def test_image_on_its_way_to_a_reader_is_not_written_again(writer, reader, monkeypatch):
    monkeypatch.setattr(shared_images, '_DELIVERY', 100_000_000_000)
    reader.receive(writer.write(image(0)))
    reader.tell(0)
    assert writer.wanted(0.0, 1)
    second = writer.write(image(1))
    reader.tell(0)  # a thread has become free before the image arrived
    assert not writer.wanted(1.0, 1)
    assert writer.wanted(1.0, 2)  # by a reader that has told nothing
    reader.receive(second)
    reader.tell(0)
    assert writer.wanted(0.0, 1)
    writer.write(image(2))
    assert not writer.wanted(0.0, 1)
    monkeypatch.setattr(shared_images, '_DELIVERY', 0)
    assert writer.wanted(0.0, 1), 'the image may be lost'


def test_readers_keep_the_images_of_a_closed_writer(writer, reader):
    reference = writer.write(image(7))
    reader.receive(reference)
    writer.close()
    assert (reader.read(reference) == 7).all()
    with pytest.raises(ValueError, match='set image_transport to raw'):
        SharedImageReader().read(reference)


#: Writes an image and waits until it is killed.
WRITER = ('from gaze_ros.core.system.shared_images import SharedImageWriter; import numpy, time; '
          'writer = SharedImageWriter(); '
          'print(writer.write(numpy.full((9, 9, 3), 5, numpy.uint8)).encode().decode(), '
          'flush=True); time.sleep(60)')


def test_images_of_another_process_are_readable_even_after_it_was_killed(reader):
    with subprocess.Popen([sys.executable, '-c', WRITER], stdout=subprocess.PIPE) as process:
        reference = Reference.decode(process.stdout.readline().strip())
        assert (reader.read(reference) == 5).all()
        process.kill()
    assert (reader.read(reference) == 5).all()
    with pytest.raises(ValueError, match='set image_transport to raw'):
        SharedImageReader().receive(reference)


def test_file_cannot_shrink_or_grow_beside_a_reader(writer, reader):
    reader.receive(writer.write(image(3)))
    for size in (0, 100, 1 << 30):
        with pytest.raises(PermissionError):
            os.truncate(writer._file, size)


@pytest.mark.parametrize('data', [
    b'', b'x', b'\xff\xfe', b'/etc/passwd 1 0 9 9 1', b'../../etc/passwd 1 0 9 9 1',
    b'gaze_ros_images_1_3_0123456789abcdef', b'gaze_ros_images_1_3_0123456789abcdef 1 0 9 9 -1',
    b'gaze_ros_images_1_3_0123456789abcdef 1 0 0 9 1',
    b'gaze_ros_images_1_3_0123456789abcdef 1 64 9 9 1',
    b'gaze_ros_images_1_3_0123456789abcdef 0 0 9 9 1',
    b'gaze_ros_images_1_3_0123456789abcdef 1 0 99999999 99999999 1',
    b'gaze_ros_images_1_3_0123456789abcdef 1 0 9 9 ' + b'9' * 5000])
def test_other_data_is_no_reference(data):
    with pytest.raises(ValueError, match='shared memory'):
        Reference.decode(data)


def test_foreign_files_are_refused(tmp_path):
    name = f'gaze_ros_images_{os.getpid()}_{{}}_{"0" * 16}'

    def refused(file, words='not the file with images'):
        with pytest.raises(ValueError, match=words):
            SharedImageReader().read(Reference(name.format(file), 1, 0, 9, 9, 1))

    refused(999_999, 'cannot be read')
    with (tmp_path / 'other').open('wb+') as other:
        refused(other.fileno())
    # Of the right name, but it may shrink.
    file = os.memfd_create('0' * 16, os.MFD_ALLOW_SEALING)
    os.truncate(file, 100_000)
    refused(file)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    refused(file, 'overwritten')
    os.close(file)
    file = os.memfd_create('0' * 16, os.MFD_ALLOW_SEALING)  # shorter than its images
    os.truncate(file, 8200)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    refused(file, 'overwritten')
    os.close(file)
    pipe = os.pipe()
    refused(pipe[0])
    for one in pipe:
        os.close(one)
