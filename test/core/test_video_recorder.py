import os
import subprocess
import sys

import cv2
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output import disk_guard
from gaze_ros.core.output.video_recorder import ResumingVideoRecorder, VideoRecorder
import numpy as np
import pytest


def grey(level, width=64, height=48):
    return np.full((height, width, 3), level, np.uint8)


def save(path, stamps, fps=30.0):
    """Record grey images, each brighter than the one before."""
    recorder = VideoRecorder(str(path), fps)
    for i, stamp in enumerate(stamps):
        recorder.add(grey(20 + 10 * i), stamp)
    assert recorder.close()
    return play(path)


def play(path):
    """Return the rate and the images of a file."""
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    images = []
    while (result := capture.read())[0]:
        images.append(result[1])
    return capture.get(cv2.CAP_PROP_FPS), images


def levels(images):
    """Return which image each frame shows."""
    return [round((float(image.mean()) - 20) / 10) for image in images]


@pytest.mark.parametrize('suffix', ['mp4', 'avi', 'mkv', 'MP4'])
def test_frames_at_the_rate_of_the_file_are_written_once_each(tmp_path, suffix):
    rate, images = save(tmp_path / f'a.{suffix}', [100 + i / 30 for i in range(12)])
    assert rate == pytest.approx(30)
    assert levels(images) == list(range(12))
    assert images[0].shape == (48, 64, 3)


def test_slow_frames_are_repeated_to_keep_the_speed(tmp_path):
    _, images = save(tmp_path / 'a.mp4', [5 + i / 10 for i in range(10)])
    assert levels(images) == [i for i in range(9) for _ in range(3)] + [9]


def test_fast_frames_that_share_a_slot_are_dropped(tmp_path):
    _, images = save(tmp_path / 'a.mp4', [i / 90 for i in range(19)])
    assert len(images) == 7
    assert levels(images) == sorted(set(levels(images)))


def test_last_of_several_frames_with_one_stamp_is_kept(tmp_path):
    _, images = save(tmp_path / 'a.mp4', [1.0, 1.0, 1.0, 1 + 1 / 30])
    assert levels(images) == [2, 3]


def test_uneven_frames_do_not_drift(tmp_path):
    stamps = [0, 0.31, 0.35, 0.9, 1.0, 1.72, 2.0]
    _, images = save(tmp_path / 'a.mp4', stamps)
    assert len(images) == 61
    shown = levels(images)
    assert [shown.index(i) for i in range(7)] == pytest.approx([30 * s for s in stamps], abs=1)


@pytest.mark.parametrize('jump', [1e6, -1e6, 2.2, -0.5])
def test_stamp_jump_advances_one_frame(tmp_path, jump):
    stamps = [2e6 + i / 30 for i in range(4)] + [2e6 + jump + i / 30 for i in range(4)]
    _, images = save(tmp_path / 'a.mp4', stamps)
    assert levels(images) == list(range(8))


@pytest.mark.parametrize(('given', 'written'), [
    ((65, 47), (64, 46)), ((1, 1), (2, 2)), ((3, 200), (2, 200))])
def test_odd_sizes_become_even(tmp_path, given, written):
    recorder = VideoRecorder(str(tmp_path / 'a.mp4'))
    for i in range(3):
        recorder.add(grey(100, *given), i / 30)
    assert recorder.close()
    _, images = play(tmp_path / 'a.mp4')
    assert [p.shape[1::-1] for p in images] == [written] * 3


def test_images_of_another_size_are_scaled_to_the_first(tmp_path):
    recorder = VideoRecorder(str(tmp_path / 'a.mp4'))
    for i, size in enumerate([(64, 48), (32, 24), (640, 100), (64, 48)]):
        recorder.add(grey(100, *size), i / 30)
    recorder.close()
    _, images = play(tmp_path / 'a.mp4')
    assert [p.shape for p in images] == [(48, 64, 3)] * 4


def test_missing_folders_are_created(tmp_path):
    _, images = save(tmp_path / 'b' / 'c' / 'a.mp4', [0, 1 / 30])
    assert len(images) == 2


@pytest.mark.parametrize('name', ['a.gif', 'a', 'mp4'])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(GazeRosError, match=f'{name}.*must end in .mp4, .avi or .mkv'):
        VideoRecorder(str(tmp_path / name))


@pytest.mark.parametrize('name', ['file/a.mp4', 'folder.mp4', 'file/b/a.avi'])
def test_unwritable_file_is_refused_at_once(tmp_path, name):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.mp4').mkdir()
    with pytest.raises(GazeRosError, match=f'{name}.*cannot be written'):
        VideoRecorder(str(tmp_path / name))


def test_no_file_without_frames(tmp_path):
    assert VideoRecorder(str(tmp_path / 'a.mp4')).close() is False
    assert not (tmp_path / 'a.mp4').exists()


@pytest.mark.parametrize('where', ['_create_reserve', '_lock', 'device_of'])
def test_start_interrupted_by_a_signal_leaves_no_file(tmp_path, monkeypatch, where):
    def signalled(*_):
        assert (tmp_path / 'a.mp4').exists()
        raise SystemExit
    owner = disk_guard if where == 'device_of' else disk_guard.DiskSpaceGuard
    monkeypatch.setattr(owner, where, signalled)
    with pytest.raises(SystemExit):
        ResumingVideoRecorder(str(tmp_path / 'a.mp4'))
    assert (tmp_path / 'a.mp4').exists() == (where == '_lock')  # it may belong to another process


def test_closing_twice_changes_nothing(tmp_path):
    recorder = VideoRecorder(str(tmp_path / 'a.mp4'))
    recorder.add(grey(0), 0.0)
    assert recorder.close()
    assert recorder.close()
    assert len(play(tmp_path / 'a.mp4')[1]) == 1


FILLING = """
import resource, sys
import numpy as np
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output.video_recorder import VideoRecorder
resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20,) * 2)
noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
recorder = VideoRecorder(sys.argv[1])
try:
    for i in range(500):
        recorder.add(np.roll(noise, i, 1), i / 30)
except GazeRosError as e:
    print(e)
print(recorder.close())
"""


@pytest.mark.skipif(sys.platform == 'win32', reason='needs a limit on files')
@pytest.mark.parametrize('suffix', ['mp4', 'avi', 'mkv'])
def test_video_is_finished_before_the_disk_is_full(tmp_path, suffix):
    """With a process limit, which needs no root; ros/faults/test_outputs.py fills a disk."""
    path = tmp_path / f'a.{suffix}'
    done = subprocess.run(
        [sys.executable, '-c', FILLING, str(path)], capture_output=True, text=True)
    assert done.stdout.count('its disk is full') == 1, done.stdout + done.stderr
    assert done.stdout.endswith('True\n')
    assert 'Failed to write' not in done.stderr
    assert len(play(path)[1]) >= 5


FULL_DISK = """
import resource, sys
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.output.video_recorder import ResumingVideoRecorder
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)
try:
    ResumingVideoRecorder(sys.argv[1])
except GazeRosError as e:
    print(e)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='needs a limit on files')
def test_disk_full_at_the_start_is_an_error_and_leaves_no_file(tmp_path):
    path = tmp_path / 'a.mp4'
    for before in (None, b'an older one'):
        if before:
            path.write_bytes(before)
        done = subprocess.run(
            [sys.executable, '-c', FULL_DISK, str(path)], capture_output=True, text=True)
        assert 'its disk is full' in done.stdout, done.stdout + done.stderr
        assert path.exists() == bool(before)
    assert path.read_bytes() == before


@pytest.mark.parametrize('happens', ['removed', 'replaced', 'truncated'])
def test_removed_or_changed_file_is_reported_and_another_started(
        tmp_path, caplog, monkeypatch, happens):
    monkeypatch.setattr(disk_guard, '_CHECK_PERIOD', 0.0)
    monkeypatch.setattr(disk_guard, 'RETRY_PERIOD', 0.0)
    path = tmp_path / 'a.avi'
    recording = ResumingVideoRecorder(str(path))
    rng = np.random.default_rng(0)
    with caplog.at_level('INFO'):
        for i in range(40):
            recording.add(rng.integers(0, 255, (480, 640, 3), np.uint8), i / 30)
            if i == 20:
                assert not recording.failure
                if happens == 'removed':
                    path.unlink()
                elif happens == 'replaced':
                    (tmp_path / 'b').write_text('mine')
                    (tmp_path / 'b').replace(path)
                else:
                    assert path.stat().st_size > 1000
                    path.write_bytes(b'mine')
            if i == 21:
                assert f'was {happens}' in recording.failure
        recording.close()
    messages = [record.getMessage() for record in caplog.records]
    assert sum(f'was {happens}' in line for line in messages) == 1
    second = path if happens == 'removed' else tmp_path / 'a_2.avi'
    assert f"the video continues in '{second}'" in messages
    assert messages[-1] == f"saved '{second}'"
    assert len(play(second)[1]) == 18
    if happens == 'replaced':
        assert path.read_text() == 'mine'


def test_recording_does_not_resume_on_an_empty_mount_point(tmp_path):
    assert disk_guard.can_resume(tmp_path / 'not' / 'made', disk_guard.device_of(tmp_path))
    assert not disk_guard.can_resume(tmp_path, disk_guard.device_of(tmp_path) + 1)


def test_next_free_path_skips_existing_files(tmp_path):
    path = tmp_path / 'a.mp4'
    assert disk_guard.next_free_path(path) == path
    for name in ('a.mp4', 'a_2.mp4'):
        (tmp_path / name).touch()
    assert disk_guard.next_free_path(path) == tmp_path / 'a_3.mp4'


def test_file_saved_since_a_time_is_kept(tmp_path, caplog):
    path = tmp_path / 'a.avi'
    image = np.zeros((48, 64, 3), np.uint8)

    def record(keep_since):
        with caplog.at_level('INFO'):
            recording = ResumingVideoRecorder(str(path), keep_since=keep_since)
        recording.add(image, 0.0)
        recording.close()
        return sorted(p.name for p in tmp_path.iterdir())

    path.write_text('old')
    os.utime(path, (100, 100))
    assert record(101.0) == ['a.avi']
    assert not caplog.records
    os.utime(path, (102, 102))
    before = path.read_bytes()
    for files in (['a.avi', 'a_2.avi'], ['a.avi', 'a_2.avi', 'a_3.avi']):
        caplog.clear()
        assert record(101.0) == files
        assert 'is kept; the video continues in' in caplog.text
    assert path.read_bytes() == before
    # An empty file is overwritten, and a file being written is refused, not skipped.
    path.write_bytes(b'')
    assert record(101.0) == files and len(play(path)[1]) == 1
    writing = VideoRecorder(str(path))
    with pytest.raises(GazeRosError, match='is being written already'):
        ResumingVideoRecorder(str(path), keep_since=0.0)
    writing.close()


def test_silent_quota_is_detected_by_the_file_size(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_guard, '_CHECK_PERIOD', 0.0)
    guard = disk_guard.DiskSpaceGuard(tmp_path / 'a.mp4')
    guard.check(written=1000)
    with pytest.raises(GazeRosError, match='no longer grows'):
        guard.check(written=2 << 20)
    guard.close()


def test_one_file_has_one_writer(tmp_path):
    path = tmp_path / 'a.mp4'
    first = VideoRecorder(str(path))
    with pytest.raises(GazeRosError, match='is being written already'):
        VideoRecorder(str(path))
    first.close()
    VideoRecorder(str(path)).close()


def test_older_video_is_overwritten_whatever_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_guard, '_CHECK_PERIOD', 0.0)
    path = tmp_path / 'a.avi'
    path.write_bytes(bytes(1 << 20))
    recording = ResumingVideoRecorder(str(path))
    for i in range(5):
        recording.add(grey(100), i / 30)
    assert not recording.failure
    recording.close()
    assert [p.name for p in tmp_path.iterdir()] == ['a.avi']
    assert path.stat().st_size < 1 << 20 and len(play(path)[1]) == 5


def test_images_too_large_for_the_encoder_are_reported_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(disk_guard, 'RETRY_PERIOD', 0.0)
    recording = ResumingVideoRecorder(str(tmp_path / 'a.mp4'))
    with caplog.at_level('INFO'):
        for i in range(5):
            recording.add(np.zeros((16, 20_000, 3), np.uint8), i / 30)
            assert 'cannot be written as mp4v of 20000x16' in recording.failure
        recording.add(grey(100), 1.0)
        assert not recording.failure
        recording.close()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3 and 'cannot be written' in messages[0], messages
    path = f'{tmp_path}/a.mp4'
    assert messages[1:] == [f"the video continues in '{path}'", f"saved '{path}'"]
