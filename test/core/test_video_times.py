"""The times, the pixels and the codec of a video: its container's, not what its rate suggests."""
import json
import math
from threading import Event
import time

import cv2
from gaze_ros.core.diagnostics.stage_stats import StageStats
from gaze_ros.core.errors import SourceError
from gaze_ros.core.evaluation.evaluate import labelled_images
from gaze_ros.core.evaluation.labels import Label
from gaze_ros.core.output.video_recorder import VideoRecorder
from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.containers import is_whole
from gaze_ros.core.sources.pacing import Pacer
from gaze_ros.core.sources.player import Player
from helpers.processes import run_gaze_ros
from helpers.video_files import (
    grey,
    level,
    of_codec,
    save_uneven,
    save_video,
    shown_until,
    turned,
    with_pixel_aspect,
)
import numpy as np
import pytest

#: A camera that was triggered, with bursts at 25 Hz; seconds.
TIMES = [0.0, 0.04, 0.08, 0.5, 1.7, 1.74, 5.0]


def stamps(source):
    """Return the stamp of each image of a source."""
    found = []
    while source.read() is not None:
        found.append(source.stamp)
    source.close()
    return found


def test_images_have_the_times_of_the_container(tmp_path, caplog):
    source = open_source(save_uneven(tmp_path / 'a.mp4', TIMES))
    assert math.isnan(source.stamp) or source.stamp == 0
    assert stamps(source) == pytest.approx(TIMES, abs=0.001)
    assert caplog.text == ''


def test_gif_has_the_times_of_its_delays(tmp_path):
    images = pytest.importorskip('PIL.Image')
    first, *others = [images.fromarray(grey(20 + 40 * i)) for i in range(5)]
    first.save(tmp_path / 'a.gif', save_all=True, append_images=others, loop=0,
               duration=[100, 500, 40, 40, 1000])
    assert stamps(open_source(tmp_path / 'a.gif')) == pytest.approx(
        [0, 0.1, 0.6, 0.64, 0.68], abs=0.001)


@pytest.mark.parametrize(('name', 'codec'), [
    ('a.mp4', 'mp4v'), ('a.avi', 'MJPG'), ('a.mkv', 'mp4v')])
def test_constant_rate_gives_constant_times(tmp_path, name, codec):
    source = open_source(save_video(tmp_path / name, codec=codec))
    assert stamps(source) == pytest.approx([i / 25 for i in range(12)], abs=0.001)
    assert source.recording_rate() == pytest.approx(25)


def test_looped_video_starts_at_0_again(tmp_path):
    source = open_source(save_uneven(tmp_path / 'a.mp4', TIMES[:3]), loop=True)
    found = [source.read() is not None and source.stamp for _ in range(7)]
    assert found == pytest.approx([*TIMES[:3]] * 2 + [0], abs=0.001)


@pytest.mark.parametrize(('positions', 'expected'), [
    ([0, 0, 0, 0], [0, 0.04, 0.08, 0.12]),  # raw H.264
    ([-3.7e20, -3.7e20, -3.6e20], [0, 0.04, 0.08]), ([math.nan] * 3, [0, 0.04, 0.08]),
    ([500, 540, 580], [0.5, 0.54, 0.58]),  # its first images cannot be decoded
    ([0, 40, 40, 80], [0, 0.04, 0.04, 0.08]), ([0, 40, 30, 80], [0, 0.04, 0.04, 0.08]),
    ([9000, 9040, 0, 40, 1040], [9, 9.04, 9.08, 9.12, 10.12])])  # two joined recordings
def test_times_that_are_missing_or_step_back(tmp_path, monkeypatch, positions, expected):
    path, real = save_video(tmp_path / 'a.avi', len(positions), 'MJPG'), cv2.VideoCapture

    class Capture:
        """The real one, whose time of each image is given."""

        def __init__(self, *words):
            self._real, self._index = real(*words), -1

        def __getattr__(self, name):
            return getattr(self._real, name)

        def grab(self):
            self._index += 1
            return self._real.grab()

        def get(self, what):
            return positions[self._index] if what == cv2.CAP_PROP_POS_MSEC else (
                self._real.get(what))

    monkeypatch.setattr(cv2, 'VideoCapture', Capture)
    assert stamps(open_source(path)) == pytest.approx(expected)


def test_files_of_images_have_the_times_of_their_rate(tmp_path):
    for n in range(3):
        cv2.imwrite(str(tmp_path / f'{n}.png'), grey(20))
    (tmp_path / '1.png').write_bytes(b'cut')
    assert stamps(open_source(tmp_path, fps=20)) == pytest.approx([0, 0.1])


def test_recording_keeps_all_images_at_their_times(tmp_path):
    source = open_source(save_uneven(tmp_path / 'a.mp4', TIMES))
    rate = source.recording_rate()
    assert source.rate < 2 and rate == 30
    recorder = VideoRecorder(str(tmp_path / 'b.mp4'), rate, max_gap=math.inf)
    while (image := source.read()) is not None:
        recorder.add(image, source.stamp)
    recorder.close()
    copy, first = open_source(tmp_path / 'b.mp4'), {}
    while (image := copy.read()) is not None:
        first.setdefault(level(image), copy.stamp)
    assert list(first.values()) == pytest.approx(TIMES, abs=0.5 / 30 + 0.001)


def test_long_gaps_are_recorded_only_on_request(tmp_path):
    for name, gap, count in (('a.avi', 2.0, 2), ('b.avi', math.inf, 31)):
        recorder = VideoRecorder(str(tmp_path / name), 10.0, gap)
        for stamp in (0.0, 3.0):
            recorder.add(grey(50), stamp)
        recorder.close()
        assert len(stamps(open_source(tmp_path / name))) == count


class Clock:
    """A clock that advances only while a test waits for an event that is never set."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr('gaze_ros.core.sources.pacing.monotonic', lambda: self.now)

    def wait(self, timeout):
        self.now += timeout
        return False


def test_pacer_keeps_uneven_times_and_reports_their_rate(monkeypatch):
    clock, pacer, due = Clock(monkeypatch), Pacer(25), []
    for stamp in [*TIMES, 0.0, 0.04, math.nan]:  # and it starts again
        pacer.stamp = stamp
        assert pacer.wait(clock)
        due.append(clock.now - 1000)
        clock.now += 0.01
    assert due == pytest.approx([*TIMES, 5.04, 5.08, 5.12])
    assert pacer.rate == pytest.approx(11 / 5.2)


def test_late_pacer_keeps_the_steps_that_follow(monkeypatch):
    clock, pacer = Clock(monkeypatch), Pacer(25)
    pacer.stamp = 0.0
    pacer.wait(clock)
    clock.now += 7
    due = []
    for stamp in (0.5, 1.5, 1.6):
        pacer.stamp = stamp
        pacer.wait(clock)
        due.append(clock.now - 1007)
    assert due == pytest.approx([0, 1, 1.1])


def play(source, rate=0.0):
    """Play a file to its end; return when its images were published, and why it waited."""
    published, ends, waits = [], Event(), set()

    class Observed(Player):
        """Keeps every reason, however briefly it lasts."""

        @property
        def idle(self):
            return self._idle

        @idle.setter
        def idle(self, reason):
            self._idle = reason
            waits.add(reason)

    player = Observed(
        source, StageStats('Camera'), lambda *_: True,
        lambda *_: published.append(time.monotonic()),
        lambda: '', ends.set, lambda error: pytest.fail(str(error)))
    player.rate = rate
    player.start()
    assert ends.wait(30)
    player.request_stop()
    assert player.join(20.0)
    player.close()
    return [when - published[0] for when in published], waits, player


def test_video_is_played_at_its_own_times_unless_a_rate_is_set(tmp_path):
    path = save_uneven(tmp_path / 'a.mp4', [0.0, 0.1, 1.6])
    published, waits, player = play(open_source(path))
    # The first may be late. At the constant rate of the file, it would be 1.1 s.
    assert len(published) == 3 and published[-1] > 1.2
    assert 'the next image of the file is due in 1.5 s' in waits
    assert player.expected_rate < 3
    published, waits, _ = play(open_source(path), rate=100.0)
    assert len(published) == 3 and not any('due' in text for text in waits)


@pytest.mark.parametrize(('aspect', 'shape'), [
    ((3, 2), (48, 96)), ((2, 3), (72, 64)), ((1, 1), (48, 64)), ((1000, 999), (48, 64)),
    ((1, 60000), (48, 64))])
def test_pixels_become_square(tmp_path, caplog, aspect, shape):
    caplog.set_level('INFO')
    path = with_pixel_aspect(save_video(tmp_path / 'a.mp4'), *aspect)
    assert open_source(path).read().shape[:2] == shape
    assert ('scaled' in caplog.text) == (shape != (48, 64))
    assert open_source(turned(path)).read().shape[:2] == shape[::-1]


def test_codec_that_cannot_be_decoded_is_refused_by_name(tmp_path):
    path = of_codec(save_video(tmp_path / 'a.mp4'), b'av01')
    with pytest.raises(SourceError, match=r"a\.mp4': no image .*its codec is 'AV01'.*ffmpeg -i"):
        open_source(path)


def test_command_line_ends_with_code_1_for_such_a_codec(tmp_path):
    path = of_codec(save_video(tmp_path / 'a.mp4'), b'av01')
    done = run_gaze_ros('video', path, '--json', tmp_path / 'b.jsonl')
    assert done.returncode == 1 and "'AV01'" in done.stderr
    assert done.stderr.count('\n') == 1, done.stderr
    assert not (tmp_path / 'b.jsonl').exists()


def test_json_lines_and_recording_have_the_times_of_the_video(tmp_path):
    path = save_uneven(tmp_path / 'a.mp4', TIMES)
    done = run_gaze_ros('video', path, '--json', '-', '--output', tmp_path / 'b.mkv', '--quiet')
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line['stamp'] for line in lines] == pytest.approx(TIMES, abs=0.001)
    assert [line['frame'] for line in lines] == list(range(len(TIMES)))
    assert stamps(open_source(tmp_path / 'b.mkv'))[-1] == pytest.approx(TIMES[-1], abs=0.04)


def test_labels_belong_to_frames_by_their_number(tmp_path):
    path = save_uneven(tmp_path / 'a.mp4', TIMES)
    labels = [Label(0.0, 0.0, line=2, frame=frame, image='', face=None) for frame in (1, 4, 6)]
    _, images = labelled_images(path, labels, tmp_path)
    found = [(level(image), label.frame, stamp) for image, (label,), stamp in images]
    assert [values[:2] for values in found] == [(1, 1), (4, 4), (6, 6)]
    assert [stamp for *_, stamp in found] == pytest.approx([TIMES[n] for n in (1, 4, 6)], abs=1e-3)


def test_images_that_an_edit_list_hides_are_not_missing(tmp_path, caplog):
    path = shown_until(save_video(tmp_path / 'a.mp4', 20), 0.2)
    assert len(stamps(open_source(path))) < 10
    assert caplog.text == ''


@pytest.mark.parametrize(('name', 'codec'), [
    ('a.mp4', 'mp4v'), ('a.avi', 'MJPG'), ('a.mkv', 'mp4v')])
def test_file_is_whole_if_it_ends_where_it_says(tmp_path, name, codec):
    path = save_video(tmp_path / name, codec=codec)
    data = path.read_bytes()
    assert is_whole(path)
    path.write_bytes(data[:-1])
    assert not is_whole(path)
    path.write_bytes(data[:-5000] + bytes(5000) if len(data) > 5000 else bytes(len(data)))
    assert not is_whole(path)


@pytest.mark.parametrize('data', [
    b'', b'G', b'\0\0\0\x08ftyp', b'\0\0\0\0free', b'RIFF\xff\xff\xff\xffAVI ',
    b'\x1a\x45\xdf\xa3', b'\x1a\x45\xdf\xa3\x18\x53\x80\x67',
    b'\x1a\x45\xdf\xa3\x18\x53\x80\x67\x01' + b'\xff' * 7,
    b'\0\0\0\x01mdat' + bytes(8), b'\0\0\0\x03mdat' + bytes(80)])
def test_any_start_of_a_file_is_judged(tmp_path, data):
    (tmp_path / 'a').write_bytes(data)
    assert is_whole(tmp_path / 'a') in (True, False)
    assert not is_whole(tmp_path / 'b')


def test_sample_has_the_times_of_its_rate():
    source = open_source('sample', fps=20)
    assert [source.read() is not None and source.stamp for _ in range(3)] == pytest.approx(
        [0, 0.05, 0.1])
    assert np.isfinite(source.stamp)
