from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
import os
from pathlib import Path
import sys
from threading import Event, Thread
from time import monotonic

import cv2
from gaze_ros.core.errors import GazeRosError, SourceError
from gaze_ros.core.sources import open_source, pacing
from gaze_ros.core.sources.capture import LiveCapture
from gaze_ros.core.sources.decoding import as_bgr, ImageError
from gaze_ros.core.sources.pacing import Pacer
from gaze_ros.core.system.urls import redact_url
from helpers.processes import save_sample
from helpers.video_files import grey, level, save_video
from helpers.virtual_cameras import network_camera, NetworkCamera
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

BLUE = (200, 60, 20)


def levels(source, most=100):
    """Return which images a source delivers until its end."""
    found = []
    while len(found) < most and (image := source.read()) is not None:
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.dtype == np.uint8
        found.append(level(image))
    source.close()
    return found


@pytest.mark.parametrize(('name', 'codec'), [('a.mp4', 'mp4v'), ('a.avi', 'MJPG')])
def test_video_plays_each_frame_once_at_its_rate(tmp_path, name, codec):
    path = save_video(tmp_path / name, codec=codec)
    source = open_source(str(path))
    assert (source.rate, source.count) == (pytest.approx(25), 12)
    assert levels(source) == list(range(12))


def test_the_end_of_a_video_stays_the_end(tmp_path):
    source = open_source(str(save_video(tmp_path / 'a.mp4', 2)))
    source.read(), source.read()
    assert [source.read(), source.read()] == [None, None]


def test_a_looped_video_starts_again(tmp_path):
    source = open_source(f'file://{save_video(tmp_path / "a.mp4", 5)}', loop=True)
    assert levels(source, 13) == [0, 1, 2, 3, 4] * 2 + [0, 1, 2]


@pytest.mark.parametrize('loop', [False, True])
def test_folder_images_are_sorted_and_corrupt_ones_skipped(tmp_path, caplog, loop):
    for name, brightness in (('b.png', 30), ('a.JPG', 20), ('d.bmp', 40)):
        cv2.imwrite(str(tmp_path / name), grey(brightness))
    (tmp_path / 'c.png').write_bytes(b'no image')
    (tmp_path / 'e.png').write_bytes((tmp_path / 'b.png').read_bytes()[:40])
    (tmp_path / 'notes.txt').write_text('not looked at')
    source = open_source(str(tmp_path), loop=loop)
    assert levels(source, 7) == ([0, 1, 2, 0, 1, 2, 0] if loop else [0, 1, 2])
    assert 'c.png' in caplog.text
    assert 'e.png' in caplog.text
    assert 'notes.txt' not in caplog.text


@pytest.mark.parametrize(('loop', 'found'), [(False, [3]), (True, [3] * 100)])
def test_single_image_is_played_once_or_looped(tmp_path, loop, found):
    cv2.imwrite(str(tmp_path / 'a.png'), grey(50))
    assert levels(open_source(str(tmp_path / 'a.png'), loop=loop)) == found


@pytest.mark.parametrize('stored', [
    np.full((8, 9), 77, np.uint8), np.full((8, 9, 4), 77, np.uint8),
    np.full((8, 9), 77 * 257, np.uint16)])
def test_grey_and_alpha_become_bgr(tmp_path, stored):
    cv2.imwrite(str(tmp_path / 'a.png'), stored)
    image = open_source(str(tmp_path / 'a.png')).read()
    assert image.shape == (8, 9, 3)
    assert image.dtype == np.uint8
    assert (image == 77).all()


@pytest.mark.parametrize('name', ['a.png', 'a.mp4'])
def test_channel_order_is_bgr(tmp_path, name):
    image = np.full((48, 64, 3), BLUE, np.uint8)
    if name == 'a.png':
        cv2.imwrite(str(tmp_path / name), image)
    else:
        writer = cv2.VideoWriter(
            str(tmp_path / name), cv2.VideoWriter_fourcc(*'mp4v'), 30, (64, 48))
        writer.write(image)
        writer.release()
    assert open_source(str(tmp_path / name)).read().mean(axis=(0, 1)) == pytest.approx(BLUE, abs=9)


@pytest.mark.parametrize('name', ['/no/such/file.mp4', 'webcam', '', '-1', 'file:///nope'])
def test_missing_source_error_lists_the_accepted_forms(name):
    with pytest.raises(SourceError) as error:
        open_source(name)
    for word in (f"'{name}'", 'webcam', 'video', 'image', 'folder', 'http', 'rtsp', "'sample'"):
        assert word in str(error.value)


@pytest.mark.parametrize('name', ['empty.mp4', 'text.mp4', 'text.txt', 'cut.mp4', 'cut.avi',
                                  'empty.png', 'text.png'])
def test_file_without_images_is_refused(tmp_path, name):
    kind, path = name.partition('.')[0], tmp_path / name
    if kind == 'cut':
        codec = 'MJPG' if path.suffix == '.avi' else 'mp4v'
        whole = save_video(tmp_path / f'whole{path.suffix}', codec=codec)
        path.write_bytes(whole.read_bytes()[:700])
    else:
        path.write_bytes(b'no image here\n' * 50 if kind == 'text' else b'')
    with pytest.raises(SourceError, match=f'{name}.*{path.stat().st_size} bytes'):
        open_source(str(path))


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / 'a.txt').touch()
    with pytest.raises(SourceError, match='without images'):
        open_source(str(tmp_path))


@pytest.mark.parametrize(('requested', 'size'), [
    ({}, (480, 640)), ({'width': 320, 'height': 240}, (240, 320)),
    ({'width': 1281, 'height': 721, 'fps': 15}, (721, 1281))])
def test_sample_moves_and_has_the_requested_size(requested, size):
    source = open_source('sample', **requested)
    images = [source.read() for _ in range(10)]
    assert source.rate == requested.get('fps', 30)
    assert {image.shape for image in images} == {(*size, 3)}
    assert all(np.abs(a.astype(int) - b).mean() > 0.3 for a, b in zip(images, images[1:]))
    assert images[0].std() > 30


def test_sample_without_its_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'skimage', None)
    with pytest.raises(GazeRosError, match='pip install scikit-image'):
        open_source('sample')


@pytest.mark.parametrize('name', ['97', '/dev/video97', '99999999999', 'http://127.0.0.1:9/x',
                                  'rtsp://[bad/x', 'x' * 300])
def test_source_that_cannot_be_opened_raises_source_error(name):
    with pytest.raises(SourceError, match='source') as error:
        open_source(name)
    assert name in str(error.value)


@pytest.mark.parametrize('password', ['secret', 'se:cret', 's@secret', 'sec/ret', 'sec#ret',
                                      'sec?ret'])
def test_password_is_never_printed(password, capfd):
    with pytest.raises(SourceError) as error:
        open_source(f'rtsp://user:{password}@127.0.0.1:9/x')
    out, err = capfd.readouterr()
    for text in (str(error.value), out, err):
        assert 'ret' not in text
        assert 'user' not in text.replace('may this user', '')
    assert '127.0.0.1:9/x' in str(error.value)


@pytest.mark.parametrize('url', ['http://a.b/c?d=1#e', 'rtsp://1.2.3.4:554/x', '/dev/video0', '0'])
def test_urls_without_password_are_printed_unchanged(url):
    assert redact_url(url) == url


@pytest.fixture
def server(tmp_path):
    """Serve tmp_path on loopback; return its address."""
    class Quiet(SimpleHTTPRequestHandler):

        def log_message(self, *_):
            pass

        def do_GET(self):
            if self.path != '/camera':
                return super().do_GET()
            # A network camera: JPEG after JPEG, without a known end.
            self.send_response(200)
            self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
            self.end_headers()
            for i in range(30):
                data = cv2.imencode('.jpg', grey(20 + 10 * (i % 6)))[1].tobytes()
                self.wfile.write(b'--frame\r\nContent-Type: image/jpeg\r\n'
                                 b'Content-Length: %d\r\n\r\n' % len(data) + data + b'\r\n')
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=tmp_path)) as http:
        thread = Thread(target=http.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield f'127.0.0.1:{http.server_port}'
        http.shutdown()
        thread.join()


def test_file_behind_a_url_plays_like_a_file(tmp_path, server):
    save_video(tmp_path / 'a.mp4', 6)
    source = open_source(f'http://user:secret@{server}/a.mp4')
    assert source.name == f'http://***@{server}/a.mp4'
    assert (source.rate, source.count) == (pytest.approx(25), 6)
    assert levels(source) == list(range(6))
    assert levels(open_source(f'http://{server}/a.mp4', loop=True), 8) == [*range(6), 0, 1]


def test_stream_is_live_and_reopened_after_a_break(server):
    source = open_source(f'http://user:secret@{server}/camera')
    assert isinstance(source, LiveCapture)
    assert source.rate == 0
    for _ in range(2):
        before = monotonic()
        assert abs(float(source.read().mean()) - 20) < 3
        assert before <= source.capture_time <= monotonic()
        with pytest.raises(SourceError, match='delivers no image') as error:
            for _ in range(60):
                source.read()
        assert 'secret' not in str(error.value)
    source.close()


def test_removed_looped_file_raises_source_error_until_restored(tmp_path):
    path = save_video(tmp_path / 'a.mp4', 3)
    source = open_source(str(path), loop=True)
    for _ in range(3):
        source.read()
    path.rename(tmp_path / 'b.mp4')
    for _ in range(2):
        with pytest.raises(SourceError, match='does not exist'):
            source.read()
    (tmp_path / 'b.mp4').rename(path)
    assert levels(source, 4) == [0, 1, 2, 0]


def test_a_missing_page_is_a_source_error(server):
    with pytest.raises(SourceError, match='cannot be opened'):
        open_source(f'http://{server}/none.mp4')


class Clock:
    """A clock that advances only while a test waits for an event that is never set."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(pacing, 'monotonic', lambda: self.now)

    def wait(self, timeout):
        self.now += timeout
        return False


def test_frames_keep_their_rate_whatever_processing_takes(monkeypatch):
    clock, pacer = Clock(monkeypatch), Pacer(10)
    for _ in range(21):
        assert pacer.wait(clock)
        clock.now += 0.03
    assert clock.now - 1000 == pytest.approx(2.03)


def test_late_pacer_does_not_catch_up(monkeypatch):
    clock, pacer = Clock(monkeypatch), Pacer(10)
    pacer.wait(clock)
    clock.now += 5
    due = []
    for _ in range(5):
        pacer.wait(clock)
        due.append(clock.now - 1005)
    assert due == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_pacer_approaches_a_frame_and_waits_for_it(monkeypatch):
    clock, pacer = Clock(monkeypatch), Pacer(10)
    pacer.wait(clock)
    assert pacer.approach(clock, 0.02)
    assert clock.now - 1000 == pytest.approx(0.08)
    assert pacer.wait(clock)
    assert clock.now - 1000 == pytest.approx(0.1)
    clock.now += 0.2
    assert pacer.approach(clock, 0.02)  # late already
    assert clock.now - 1000 == pytest.approx(0.3)


def test_stop_ends_the_wait():
    stop = Event()
    pacer = Pacer(0.001)
    assert pacer.wait(stop)
    stop.set()
    assert not pacer.wait(stop)
    assert not pacer.approach(stop, 0.1)


def cut(path, share):
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    return path


def with_index_first(path):
    """Move the moov atom of an MP4 before its images, as ``-movflags faststart`` does."""
    data, atoms, at = path.read_bytes(), {}, 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 4], 'big')
        atoms[data[at + 4:at + 8]] = data[at:at + size]
        at += size
    moov = bytearray(atoms[b'moov'])
    table = moov.index(b'stco') + 8
    for entry in range(table + 4, table + 4 + 4 * int.from_bytes(moov[table:table + 4], 'big'), 4):
        offset = int.from_bytes(moov[entry:entry + 4], 'big') + len(moov)
        moov[entry:entry + 4] = offset.to_bytes(4, 'big')
    path.write_bytes(atoms[b'ftyp'] + moov + atoms[b'free'] + atoms[b'mdat'])
    return path


def rest(source):
    """Return the number of images to the end."""
    count = 0
    while source.read() is not None:
        count += 1
    return count


@pytest.mark.parametrize('name', ['a.avi', 'a.mkv', 'a.mp4'])
def test_truncated_file_plays_to_its_end_and_is_logged(tmp_path, caplog, name):
    path = save_sample(tmp_path / name, 'MJPG' if name == 'a.avi' else 'mp4v', 30.0, 60)
    cut(with_index_first(path) if name == 'a.mp4' else path, 0.5)
    source = open_source(str(path))
    count = rest(source)
    assert 20 <= count <= 40
    assert source.read() is None
    assert caplog.text.count(f'ends after {count} of 60 images, at') == 1


def test_complete_file_logs_nothing_at_its_end(tmp_path, caplog):
    for name, codec in (('a.avi', 'MJPG'), ('a.mkv', 'mp4v'), ('a.mp4', 'mp4v')):
        levels(open_source(str(save_video(tmp_path / name, 20, codec))))
    assert caplog.text == ''


def test_an_mp4_without_its_index_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r'a\.mp4.*complete video'):
        open_source(str(cut(save_video(tmp_path / 'a.mp4'), 0.5)))


def test_undecodable_frames_are_skipped_and_logged_once(tmp_path, caplog):
    path = save_sample(tmp_path / 'a.mp4', 'mp4v', 30.0, 120)
    data = bytearray(path.read_bytes())
    data[len(data) // 3:len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    source = open_source(str(path), loop=True)
    images = [source.read() for _ in range(250)]
    assert all(image.shape == (480, 640, 3) for image in images)
    assert caplog.text.count('cannot be decoded') == 1


def test_file_truncated_or_deleted_while_playing_only_ends_early(tmp_path):
    for n, change in enumerate((lambda path: os.truncate(path, path.stat().st_size // 2),
                                lambda path: path.unlink())):
        path = save_sample(tmp_path / f'{n}.avi', 'MJPG', 30.0, 60)
        source = open_source(str(path))
        for _ in range(10):
            source.read()
        change(path)
        assert 15 <= rest(source) <= 50
        source.close()


def test_removed_images_are_logged_once_and_a_looped_folder_recovers(tmp_path, caplog):
    for n in range(3):
        cv2.imwrite(str(tmp_path / f'{n}.png'), grey(20))
    source = open_source(str(tmp_path), loop=True)
    source.read()
    for n in range(3):
        (tmp_path / f'{n}.png').unlink()
    for _ in range(3):
        with pytest.raises(SourceError, match='has no image'):
            source.read()
    assert caplog.text.count('skipped') == 3
    cv2.imwrite(str(tmp_path / '1.png'), grey(50))
    assert levels(source, 2) == [3, 3]


@pytest.mark.parametrize(('image', 'reason'), [
    (None, 'empty'), (np.zeros((0, 0, 3), np.uint8), 'empty'), (np.zeros(9, np.uint8), 'shape'),
    (np.zeros((4, 4, 2), np.uint8), 'shape'), (np.zeros((4, 4, 3)), 'float64')])
def test_as_bgr_refuses_invalid_images(image, reason):
    with pytest.raises(ImageError, match=f"source 'x' delivers .*{reason}"):
        as_bgr(image, 'x')


@given(st.sampled_from([(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)]),
       st.sampled_from([np.uint8, np.uint16]), st.integers(0, 255))
def test_as_bgr_converts_every_decoder_format(shape, kind, level):
    image = as_bgr(np.full(shape, level * (257 if kind == np.uint16 else 1), kind), 'x')
    assert image.shape == (5, 7, 3) and image.dtype == np.uint8 and (image == level).all()


def handles():
    return len(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task'))


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='counts handles in /proc')
def test_failed_opens_leak_nothing():
    with network_camera() as camera:
        source = open_source(f'http://127.0.0.1:{camera.port}/')
        assert source.read().shape == (480, 640, 3)
    counts, sizes = [], []
    for n in range(220):
        with pytest.raises(SourceError):
            for _ in range(500):  # data sent before may still arrive
                source.read()
        if n in (20, 219):
            counts.append(handles())
            sizes.append(int(Path('/proc/self/statm').read_text().split()[1]))
    assert all(late <= early for early, late in zip(*counts))  # the camera may still close
    assert sizes[1] - sizes[0] < 500  # pages: 2 MB
    again = NetworkCamera(camera.port)
    assert source.read().shape == (480, 640, 3)
    again.close()
    source.close()


@pytest.mark.parametrize('size', [(320, 240), (640, 480)])
def test_stream_that_changes_its_size_continues(size):
    with network_camera() as camera:
        camera.size = (480, 360)
        source = open_source(f'http://127.0.0.1:{camera.port}/')
        source.read()
        camera.size = size
        shapes = {source.read().shape for _ in range(40)}
        source.close()
    assert shapes <= {(360, 480, 3), (size[1], size[0], 3)}
