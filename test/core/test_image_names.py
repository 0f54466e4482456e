"""What is an image, in which order a folder plays, and which way up an image is."""
import os

import cv2
from gaze_ros.core.errors import SourceError
from gaze_ros.core.evaluation.evaluate import labelled_images
from gaze_ros.core.evaluation.labels import Label
from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.capture import VideoFile
from gaze_ros.core.sources.images import image_files, ImageFiles, is_image
from helpers.processes import run_gaze_ros
from helpers.video_files import grey, level, save_video
import numpy as np
import pytest

#: (4, 6, 3): each corner differs.
CORNERS = np.zeros((48, 64, 3), np.uint8)
CORNERS[:24, :32], CORNERS[:24, 32:], CORNERS[24:, :32] = 80, 160, 240
#: What EXIF orientation N makes of it.
UPRIGHT = {
    1: CORNERS, 2: CORNERS[:, ::-1], 3: CORNERS[::-1, ::-1], 4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2), 6: np.rot90(CORNERS, -1),
    7: CORNERS[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(CORNERS)}


def encoded(suffix, image=None):
    return cv2.imencode(suffix, grey(50) if image is None else image)[1].tobytes()


@pytest.mark.parametrize(('names', 'ordered'), [
    (['10.png', '2.png', '1.png', '11.png'], ['1.png', '2.png', '10.png', '11.png']),
    (['f10_1.png', 'f9_10.png', 'f9_9.png'], ['f9_9.png', 'f9_10.png', 'f10_1.png']),
    (['0010.png', '0009.png', '8.png'], ['8.png', '0009.png', '0010.png']),
    (['b.png', 'a.png', '3.png', '²1.png', '01.png', '1.png'],
     ['01.png', '1.png', '3.png', 'a.png', 'b.png', '²1.png'])])
def test_numbers_in_names_count_by_their_value(tmp_path, names, ordered):
    for name in names:
        (tmp_path / name).write_bytes(encoded('.png'))
    assert [path.name for path in image_files(tmp_path)] == ordered


def test_labels_by_number_follow_the_order_of_the_folder(tmp_path):
    for n in range(1, 12):
        cv2.imwrite(str(tmp_path / f'{n}.png'), grey(20 + 10 * n))
    labels = [Label(0.0, 0.0, line=2, frame=frame, image='', face=None) for frame in (1, 9)]
    _, images = labelled_images(tmp_path, labels, tmp_path)
    assert [level(image) for image, *_ in images] == [2, 10]


@pytest.mark.parametrize('name', [
    'a.jpg', 'a.JPE', 'a.jfif', 'a', 'a.b c', '1699999999.25', 'a.dat', 'a.mp4', 'a.png'])
def test_image_is_recognized_by_its_first_bytes(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(encoded('.jpg'))
    source = open_source(path)
    assert isinstance(source, ImageFiles) and level(source.read()) == 3


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.webp', '.tiff', '.ppm', '.pgm', '.jp2'])
def test_every_format_of_images_is_known_without_its_suffix(tmp_path, suffix):
    (tmp_path / 'a').write_bytes(encoded(suffix, grey(50)[..., 0] if suffix == '.pgm' else None))
    assert is_image(tmp_path / 'a')
    assert level(open_source(tmp_path / 'a').read()) == 3


@pytest.mark.parametrize('name', ['a.avi', 'a.mjpeg', 'a.mjpg', 'a'])
def test_videos_are_no_images(tmp_path, name):
    if name.startswith('a.mj'):  # one JPEG after the other
        (tmp_path / name).write_bytes(b''.join(
            encoded('.jpg', grey(20 + 10 * n)) for n in range(12)))
    else:
        os.rename(save_video(tmp_path / 'b.avi', codec='MJPG'), tmp_path / name)
    source = open_source(tmp_path / name)
    assert isinstance(source, VideoFile)
    assert [level(source.read()) for _ in range(12)] == list(range(12))


def test_folder_takes_images_without_suffix_and_no_other_files(tmp_path):
    for name in ('1.jfif', '2', '3.5', '.hidden.jpg', '._5.jpg', 'a.jpg~', 'a.jpg.part', 'x.dat'):
        (tmp_path / name).write_bytes(encoded('.jpg'))
    (tmp_path / 'notes').write_text('no image')
    (tmp_path / 'labels.csv').write_text('frame,pitch,yaw\n')
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    assert [path.name for path in image_files(tmp_path)] == ['1.jfif', '2', '3.5']


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('name', ['a.jpg', 'a.jfif', 'a.jpe', 'a', 'a.png', 'a.webp', 'a.tif',
                                  'a tif', 'a lzw.tif'])
def test_exif_orientation_is_applied_whatever_the_name(tmp_path, name, orientation):
    images = pytest.importorskip('PIL.Image')
    if 'webp' in name and cv2.__version__.startswith('4.'):
        pytest.skip('OpenCV 4.8.1 ignores the orientation of a WebP')
    kind = {'a.png': 'PNG', 'a.webp': 'WEBP'}.get(name, 'TIFF' if 'tif' in name else 'JPEG')
    how = {'quality': 95} if kind != 'TIFF' else {
        'tiffinfo': {274: orientation}, 'compression': 'tiff_lzw' if 'lzw' in name else None}
    if kind != 'TIFF':
        exif = images.Exif()
        exif[274] = orientation
        how['exif'] = exif
    images.fromarray(CORNERS).save(tmp_path / name, kind, **how)
    image, expected = open_source(tmp_path / name).read(), UPRIGHT[orientation]
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 6


def test_animations_are_played_or_reported(tmp_path, caplog):
    images = pytest.importorskip('PIL.Image')
    first, *others = [images.fromarray(grey(20 + 40 * n)) for n in range(3)]
    for name in ('a.png', 'b.webp'):
        first.save(tmp_path / name, save_all=True, append_images=others, duration=[100, 300, 100])
    source = open_source(tmp_path / 'a.png')
    assert isinstance(source, VideoFile)
    assert [level(source.read()) for _ in range(3)] == [0, 4, 8]
    assert source.stamp == pytest.approx(0.4, abs=0.002)
    assert caplog.text == ''
    source = open_source(tmp_path / 'b.webp')
    assert (source.count, level(source.read())) == (1, 0)
    assert "b.webp' is an animation, of which only the first image is read" in caplog.text


def test_heif_is_refused_and_not_played_as_a_tile(tmp_path):
    (tmp_path / 'a').write_bytes(b'\0\0\0\x18ftypheic' + bytes(500))
    with pytest.raises(SourceError, match='is not an image that OpenCV can decode'):
        open_source(tmp_path / 'a')


def test_name_with_a_colon_is_a_file_and_not_a_protocol(tmp_path, monkeypatch):
    save_video(tmp_path / 'a.mp4').rename(tmp_path / '2024-05-01T12:30:05.mp4')
    monkeypatch.chdir(tmp_path)
    for name in ('2024-05-01T12:30:05.mp4',
                 f'file://localhost{tmp_path}/2024-05-01T12%3A30:05.mp4'):
        source = open_source(name)
        assert source.name.endswith('2024-05-01T12:30:05.mp4') and source.read() is not None


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may read it')
def test_unreadable_folder_is_one_line(tmp_path):
    tmp_path.chmod(0)
    with pytest.raises(SourceError, match='cannot be read'):
        open_source(tmp_path)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif', '.bmp', '.jp2'])
def test_cut_image_is_reported_in_one_line_and_opencv_prints_nothing(tmp_path, suffix):
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    (tmp_path / 'b.png').write_bytes(encoded('.png'))
    data = encoded(suffix, image)
    (tmp_path / f'a{suffix}').write_bytes(data[:len(data) // 4])
    done = run_gaze_ros('video', tmp_path, '--json', '-', '--quiet')
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) in (1, 2)  # some decoders return a part
    assert 'ERROR' not in done.stderr and done.stderr.count('\n') <= 2, done.stderr
