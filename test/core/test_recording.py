import cv2
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.recording import VideoRecorder
import numpy as np
import pytest


def grey(level, width=64, height=48):
    return np.full((height, width, 3), level, np.uint8)


def save(path, stamps, fps=30.0):
    """Record grey pictures, each brighter than the one before."""
    recorder = VideoRecorder(str(path), fps)
    for i, stamp in enumerate(stamps):
        recorder.add(grey(20 + 10 * i), stamp)
    assert recorder.close()
    return play(path)


def play(path):
    """Return the file's rate and its pictures."""
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    pictures = []
    while (got := capture.read())[0]:
        pictures.append(got[1])
    return capture.get(cv2.CAP_PROP_FPS), pictures


def levels(pictures):
    """Return which picture each frame shows."""
    return [round((float(p.mean()) - 20) / 10) for p in pictures]


@pytest.mark.parametrize('suffix', ['mp4', 'avi', 'mkv', 'MP4'])
def test_frames_as_fast_as_the_file_are_each_in_it_once(tmp_path, suffix):
    rate, pictures = save(tmp_path / f'a.{suffix}', [100 + i / 30 for i in range(12)])
    assert rate == pytest.approx(30)
    assert levels(pictures) == list(range(12))
    assert pictures[0].shape == (48, 64, 3)


def test_slow_frames_are_repeated_so_that_the_speed_is_right(tmp_path):
    _, pictures = save(tmp_path / 'a.mp4', [5 + i / 10 for i in range(10)])
    assert levels(pictures) == [i for i in range(9) for _ in range(3)] + [9]


def test_fast_frames_that_share_a_slot_are_left_out(tmp_path):
    _, pictures = save(tmp_path / 'a.mp4', [i / 90 for i in range(19)])
    assert len(pictures) == 7
    assert levels(pictures) == sorted(set(levels(pictures)))


def test_the_last_of_frames_with_one_stamp_stays(tmp_path):
    _, pictures = save(tmp_path / 'a.mp4', [1.0, 1.0, 1.0, 1 + 1 / 30])
    assert levels(pictures) == [2, 3]


def test_uneven_frames_drift_nowhere(tmp_path):
    stamps = [0, 0.31, 0.35, 0.9, 1.0, 1.72, 2.0]
    _, pictures = save(tmp_path / 'a.mp4', stamps)
    assert len(pictures) == 61
    shown = levels(pictures)
    assert [shown.index(i) for i in range(7)] == pytest.approx([30 * s for s in stamps], abs=1)


@pytest.mark.parametrize('jump', [1e6, -1e6, 2.2, -0.5])
def test_a_jump_of_the_stamps_is_one_step(tmp_path, jump):
    stamps = [2e6 + i / 30 for i in range(4)] + [2e6 + jump + i / 30 for i in range(4)]
    _, pictures = save(tmp_path / 'a.mp4', stamps)
    assert levels(pictures) == list(range(8))


@pytest.mark.parametrize(('given', 'written'), [
    ((65, 47), (64, 46)), ((1, 1), (2, 2)), ((3, 200), (2, 200))])
def test_odd_sizes_become_even(tmp_path, given, written):
    recorder = VideoRecorder(str(tmp_path / 'a.mp4'))
    for i in range(3):
        recorder.add(grey(100, *given), i / 30)
    assert recorder.close()
    _, pictures = play(tmp_path / 'a.mp4')
    assert [p.shape[1::-1] for p in pictures] == [written] * 3


def test_a_change_of_size_is_scaled_to_the_first(tmp_path):
    recorder = VideoRecorder(str(tmp_path / 'a.mp4'))
    for i, size in enumerate([(64, 48), (32, 24), (640, 100), (64, 48)]):
        recorder.add(grey(100, *size), i / 30)
    recorder.close()
    _, pictures = play(tmp_path / 'a.mp4')
    assert [p.shape for p in pictures] == [(48, 64, 3)] * 4


def test_missing_folders_are_made(tmp_path):
    _, pictures = save(tmp_path / 'b' / 'c' / 'a.mp4', [0, 1 / 30])
    assert len(pictures) == 2


@pytest.mark.parametrize('name', ['a.gif', 'a', 'mp4'])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(GazeRosError, match=f'{name}.*must end in .mp4, .avi or .mkv'):
        VideoRecorder(str(tmp_path / name))


@pytest.mark.parametrize('name', ['file/a.mp4', 'folder.mp4', 'file/b/a.avi'])
def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path, name):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.mp4').mkdir()
    with pytest.raises(GazeRosError, match=f'{name}.*cannot be written'):
        VideoRecorder(str(tmp_path / name))


def test_without_frames_there_is_no_file(tmp_path):
    assert VideoRecorder(str(tmp_path / 'a.mp4')).close() is False
    assert not (tmp_path / 'a.mp4').exists()


def test_closing_twice_changes_nothing(tmp_path):
    recorder = VideoRecorder(str(tmp_path / 'a.mp4'))
    recorder.add(grey(0), 0.0)
    assert recorder.close()
    assert recorder.close()
    assert len(play(tmp_path / 'a.mp4')[1]) == 1
