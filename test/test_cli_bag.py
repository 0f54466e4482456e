"""gaze_ros bag: every image of a bag, with its stamp, reproducibly."""
import math
import signal
import subprocess
import sys

from gaze_ros.bags.reading import BagReader
from gaze_ros.bags.stamps import shift_stamp, stamp_of
from gaze_ros.cli.main import main
from gaze_ros.core.pipeline.engine import create_engine
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm.conversions import compressed_to_bgr
from helpers.bag_files import (
    camera_messages,
    COMPRESSED,
    compressed_cdr,
    corrupt_last_chunk,
    IMAGE,
    INFO,
    PERIOD,
    RECORDING_DELAY,
    sample_images,
    START,
    write_bag,
    write_db3,
)
from helpers.processes import wait_until
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage

MODEL = '--model', 'mediapipe', '--detector', 'mediapipe', '--quiet'


def bag(*words):
    return main(['bag', *map(str, words), *MODEL])


def read(path, topic='/gaze', kind=GazeArray):
    """Return time of recording, bytes and message of each."""
    reader = BagReader(path)
    try:
        assert topic in reader.topics
        return [(r.time, r.cdr, deserialize_message(r.cdr, kind))
                for r in reader.records([topic])]
    finally:
        reader.close()


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Return a folder with a bag of 300 images, ``in``, and its gaze, ``out``."""
    folder = tmp_path_factory.mktemp('bags')
    write_bag(folder / 'in', camera_messages(300))
    assert bag(folder / 'in', folder / 'out') == 0
    return folder


def test_300_images_give_their_stamps_ids_and_angles(made):
    got = read(made / 'out')
    assert len(got) == 300
    engine = create_engine({'model': 'mediapipe', 'detector': 'mediapipe'})
    faces = 0
    for (stamp, header, image), (time, cdr, message) in zip(sample_images(300), got):
        assert time == stamp + RECORDING_DELAY
        assert stamp_of(cdr) == stamp
        assert message.header == header
        frame = engine.process(image, header.stamp.sec + 1e-9 * header.stamp.nanosec)
        assert [g.track_id for g in message.gazes] == [g.track_id for g in frame.gazes]
        for one, wanted in zip(message.gazes, frame.gazes):
            for name in ('pitch', 'yaw', 'raw_pitch', 'raw_yaw', 'confidence'):
                value = np.float32(getattr(wanted, name))
                assert np.float32(getattr(one, name)) == value or np.isnan(value)
        faces += len(message.gazes)
    engine.close()
    assert faces >= 290
    # The calibration in the bag was used; computation times are left out.
    assert all(m.calibrated for _, _, m in got)
    assert {(m.detection_duration.nanosec, m.estimation_duration.nanosec)
            for _, _, m in got} == {(0, 0)}


def exchanged(numbers):
    """Exchange neighbours, five times a second."""
    for i in range(0, len(numbers) - 1, 6):
        numbers[i], numbers[i + 1] = numbers[i + 1], numbers[i]
    return numbers


MS = 10**6
#: For images 0..59: their order, and their stamps as functions of number and regular stamp.
IRREGULAR = {
    'exchanged': (exchanged(list(range(60))), lambda i, stamp: stamp),
    'exchanged in threes': ([j for i in range(0, 60, 3) for j in (i + 2, i + 1, i)],
                            lambda i, stamp: stamp),
    'exchanged stamps': (range(60), lambda i, stamp: START + PERIOD * exchanged(
        list(range(60)))[i]),
    'in pairs': (range(60), lambda i, stamp: START + PERIOD * (i // 2 * 2)),
    'in fours': (range(60), lambda i, stamp: START + PERIOD * (i // 4 * 4)),
    'back by 40 ms': (range(60), lambda i, stamp: stamp - 40 * MS * (i >= 30)),
    'back by 40 ms, often': (range(60), lambda i, stamp: stamp - 40 * MS * (i // 10)),
    'back by 0.9 s': (range(60), lambda i, stamp: stamp - 900 * MS * (i >= 30)),
    'sometimes none': (range(60), lambda i, stamp: stamp * (i % 7 != 3)),
    'none': (range(60), lambda i, stamp: 0),
    'one': (range(60), lambda i, stamp: START),
    'sometimes another year': (range(60), lambda i, stamp: stamp + 10**17 * (i % 20 == 9))}


@pytest.mark.parametrize('kind', IRREGULAR)
def test_stamps_that_do_not_rise_change_neither_ids_nor_states(tmp_path, kind):
    order, stamp_of_image = IRREGULAR[kind]
    images = [(time, shift_stamp(cdr, stamp_of_image(i, START + PERIOD * i) - stamp_of(cdr)))
              for i, (_, _, time, cdr) in enumerate(camera_messages(60, info=False))]
    times = [time for time, _ in images]
    write_bag(tmp_path / 'in', (
        ('/camera/image_raw', IMAGE, time, images[i][1]) for time, i in zip(times, order)))
    assert bag(tmp_path / 'in', tmp_path / 'out', '--looking-at-camera-angle', '0.9') == 0
    results = [message for _, _, message in read(tmp_path / 'out')]
    assert len(results) == 60
    faces = [gaze for message in results for gaze in message.gazes]
    assert {gaze.track_id for gaze in faces} == {'f1'}
    assert len(faces) >= 58
    # After the dwell of 0.2 s.
    assert 45 <= sum(gaze.looking_at_camera for gaze in faces) <= 56
    # Smoothed: the angles vary less than the raw ones.
    smooth, raw = (np.array([getattr(gaze, name) for gaze in faces]) for name in (
        'yaw', 'raw_yaw'))
    assert np.abs(np.diff(smooth)).mean() < 0.8 * np.abs(np.diff(raw)).mean()


def test_stamps_that_jump_back_by_seconds_are_another_time(tmp_path):
    write_bag(tmp_path / 'in', (
        ('/camera/image_raw', IMAGE, time, shift_stamp(cdr, -1500 * MS * (i // 30)))
        for i, (_, _, time, cdr) in enumerate(camera_messages(90, info=False))))
    assert bag(tmp_path / 'in', tmp_path / 'out') == 0
    ids = [[g.track_id for g in message.gazes] for _, _, message in read(tmp_path / 'out')]
    assert [i for image in ids[:30] for i in image] == ['f1'] * 30
    assert [i for image in ids[30:60] for i in image] == ['f2'] * 30
    assert [i for image in ids[60:] for i in image] == ['f3'] * 30


def test_same_bag_gives_the_same_bytes(made, tmp_path):
    assert bag(made / 'in', tmp_path / 'again') == 0
    first, second = ([cdr for _, cdr, _ in read(p)] for p in (made / 'out', tmp_path / 'again'))
    assert first == second


def test_openvino_networks_give_the_same_bytes(shared, tmp_path, monkeypatch):
    monkeypatch.setenv('GAZE_ROS_MODELS', str(shared / 'models'))
    write_bag(tmp_path / 'in', camera_messages(40))
    for name in ('one', 'two'):
        assert main(['bag', str(tmp_path / 'in'), str(tmp_path / name), '--quiet',
                     '--model', 'adas', '--detector', 'yunet', '--annotated']) == 0
    first, second = ([cdr for _, cdr, _ in read(tmp_path / name)] for name in ('one', 'two'))
    assert len(first) == 40
    assert first == second
    assert sum(len(m.gazes) for _, _, m in read(tmp_path / 'one')) >= 38


def test_result_does_not_depend_on_the_bag_format(tmp_path):
    content = list(camera_messages(30))
    forms = [
        write_bag(tmp_path / 'mcap', content), write_bag(tmp_path / 'db3', content, 'SQLITE3'),
        write_bag(tmp_path / 'zstd', content, mode='MESSAGE'),
        write_bag(tmp_path / 'files', content, mode='FILE'),
        write_db3(tmp_path / 'humble' / 'x_0.db3', content)]
    forms.append(forms[0] / 'mcap.mcap')
    results = []
    for number, form in enumerate(forms):
        assert bag(form, tmp_path / f'out{number}.mcap') == 0
        results.append([(t, cdr) for t, cdr, _ in read(tmp_path / f'out{number}.mcap')])
    assert len(results[0]) == 30
    assert all(result == results[0] for result in results)


def test_overlays_are_boxes_of_the_gaze(tmp_path):
    reading = pytest.importorskip('mcap_ros2.reader')
    write_bag(tmp_path / 'in', camera_messages(3))
    assert bag(tmp_path / 'in', tmp_path / 'out.mcap', '--overlays') == 0
    overlays = [*reading.read_ros2_messages(str(tmp_path / 'out.mcap'), ['/gaze/annotations'])]
    assert len(overlays) == 3
    for overlay, (time, _, gaze) in zip(overlays, read(tmp_path / 'out.mcap')):
        assert overlay.log_time_ns == time
        message, roi = overlay.ros_msg, gaze.gazes[0].roi
        (x, y), _, opposite, _ = [(p.x, p.y) for p in message.points[0].points]
        assert (x, y) == (roi.x_offset, roi.y_offset)
        assert opposite == (x + roi.width, y + roi.height)
        assert message.texts[0].text.startswith('f1 p ')
        assert message.texts[0].timestamp.nanosec == gaze.header.stamp.nanosec


def test_compressed_images_in_a_namespace_and_annotated_output(tmp_path, capsys):
    write_bag(tmp_path / 'in', camera_messages(20, compressed=True, prefix='/front/camera'))
    assert bag(tmp_path / 'in', tmp_path / 'out', '--annotated') == 0
    assert "20 frames, 1.00 faces per frame, in '" in capsys.readouterr().err
    gazes = read(tmp_path / 'out', '/front/gaze')
    drawn = read(tmp_path / 'out', '/front/gaze/image_annotated/compressed', CompressedImage)
    assert len(gazes) == len(drawn) == 20
    for (time, _, gaze), (other, _, image_message) in zip(gazes, drawn):
        assert time == other
        assert gaze.header == image_message.header
        roi = gaze.gazes[0].roi
        image = compressed_to_bgr(image_message)
        assert image.shape == (240, 320, 3)
        edge = image[roi.y_offset + roi.height // 3, roi.x_offset].astype(int)
        colours = [80, 220, 80], [60, 170, 255], [170, 170, 170]
        assert min(np.abs(edge - c).max() for c in colours) < 90


def test_broken_message_is_skipped_and_reported(tmp_path, capsys):
    content = list(camera_messages(10, info=False))
    name, kind, time, cdr = content[4]
    content[4] = name, kind, time, cdr[:50]
    name, kind, time, cdr = content[7]
    content[7] = name, kind, time, cdr.replace(b'bgr8', b'odd8')
    write_bag(tmp_path / 'in', content)
    assert bag(tmp_path / 'in', tmp_path / 'out') == 0
    err = capsys.readouterr().err
    assert "image skipped: encoding 'odd8' is not one of" in err
    assert '2 of 10 images were skipped' in err
    stamps = [stamp_of(cdr) for _, cdr, _ in read(tmp_path / 'out')]
    assert stamps == [START + n * PERIOD for n in range(10) if n not in (4, 7)]


def test_broken_bag_keeps_the_gaze_before_the_break(tmp_path, capsys):
    path = write_bag(tmp_path / 'in', camera_messages(20, info=False), mode='STORAGE') / 'in.mcap'
    corrupt_last_chunk(path)
    assert bag(tmp_path / 'in', tmp_path / 'out') == 1
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'cannot be read' in err and "out.incomplete'" in err
    assert not (tmp_path / 'out').exists()
    assert 0 < len(read(tmp_path / 'out.incomplete')) < 20


def test_invalid_input_is_reported_and_leaves_no_files(tmp_path, capsys):
    write_bag(tmp_path / 'in', camera_messages(2))
    write_bag(tmp_path / 'odd', [('/camera/image_raw', IMAGE, 5, b'\0\1\0\0')])
    write_bag(tmp_path / 'no', [m for m in camera_messages(2) if m[1] != IMAGE])
    (tmp_path / 'existing').mkdir()
    for words, reason in [
            (('in', 'existing'), "existing' already exists, and no bag is overwritten"),
            (('nowhere', 'out'), "nowhere' does not exist"),
            (('odd', 'out'), 'holds no image that can be decoded'),
            (('no', 'out'), 'the bag has no images; it has /camera/camera_info (2 sensor'),
            (('in', 'out', '--topic', '/x'), "'/x' has no images in the bag; it has /camera"),
            (('in', 'out', '--camera-info', '/x'), "'/x' has no sensor_msgs/msg/CameraInfo"),
            (('in', 'out', '--detect-interval', '0'), 'detect_interval 0 adapts to this machine')]:
        paths = [tmp_path / w for w in words[:2]]
        assert bag(*paths, *words[2:]) == 1
        err = capsys.readouterr().err.strip().splitlines()
        assert reason in err[-1] and err[-1].startswith('gaze_ros bag: '), err
        assert not list(tmp_path.glob('out*'))
    assert not list((tmp_path / 'existing').iterdir())


def test_full_disk_is_reported_and_leaves_no_files(tmp_path, capsys):
    resource = pytest.importorskip('resource')
    write_bag(tmp_path / 'in', camera_messages(30))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    try:
        assert bag(tmp_path / 'in', tmp_path / 'out') == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "out_0.mcap' cannot be written: its disk is full" in capsys.readouterr().err
    assert not list(tmp_path.glob('out*'))


def test_ctrl_c_leaves_a_readable_incomplete_bag(made, tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', 'import sys; from gaze_ros.cli.main import main; sys.exit(main())',
         'bag', made / 'in', tmp_path / 'out', *MODEL[:-1]], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / 'out').exists(), 60, 'the bag')
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    if process.returncode == 0:
        pytest.skip('it was done before the signal came')
    assert process.returncode == 130, err
    got = read(tmp_path / 'out.incomplete')
    assert not (tmp_path / 'out').exists()
    assert 0 < len(got) < 300
    assert f'interrupted after {len(got)} of 300 images' in err
    first = [cdr for _, cdr, _ in read(made / 'out')]
    assert [cdr for _, cdr, _ in got] == first[:len(got)]


def test_images_without_stamps_use_the_recording_time(tmp_path):
    content = []
    for stamp, header, image in sample_images(10):
        header.stamp.sec = header.stamp.nanosec = 0
        content.append(('/image/compressed', 'sensor_msgs/msg/CompressedImage', stamp,
                        compressed_cdr(image, header)))
    write_bag(tmp_path / 'in', content)
    assert bag(tmp_path / 'in', tmp_path / 'out') == 0
    got = read(tmp_path / 'out')
    assert [time for time, _, _ in got] == [START + n * PERIOD for n in range(10)]
    assert {stamp_of(cdr) for _, cdr, _ in got} == {0}
    yaws = [(m.gazes[0].yaw, m.gazes[0].raw_yaw) for _, _, m in got]
    assert any(not math.isclose(smooth, raw, abs_tol=1e-6) for smooth, raw in yaws[1:])


def test_first_calibration_applies_to_earlier_images(tmp_path):
    content = sorted(camera_messages(4), key=lambda m: (m[2], m[1] != IMAGE))
    assert content[0][1] == IMAGE
    write_bag(tmp_path / 'in', content)
    assert bag(tmp_path / 'in', tmp_path / 'out') == 0
    assert [m.calibrated for _, _, m in read(tmp_path / 'out')] == [True] * 4


def test_calibration_of_another_shape_or_without_k_is_reported(tmp_path, caplog):
    def changed(**fields):
        for name, kind, time, cdr in camera_messages(4):
            if kind == INFO:
                info = deserialize_message(cdr, CameraInfo)
                for field, value in fields.items():
                    setattr(info, field, value)
                cdr = serialize_message(info)
            yield name, kind, time, cdr

    for number, (fields, words, calibrated) in enumerate((
            ({'height': 180}, 'is for images of 320x180, but they have 320x240', False),
            ({'binning_x': 2}, 'is for images of 160x240, but they have 320x240', False),
            ({'k': [0.0] * 9}, 'P of camera_info, without distortion, as K is 0', True),
            ({'width': 640, 'height': 480}, '', True))):
        caplog.clear()
        write_bag(tmp_path / f'in{number}', changed(**fields))
        assert bag(tmp_path / f'in{number}', tmp_path / f'out{number}') == 0
        warnings = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
        assert [words in w for w in warnings if 'directions' in w] == [True] * bool(words)
        messages = [m for _, _, m in read(tmp_path / f'out{number}')]
        assert [m.calibrated for m in messages] == [calibrated] * 4


def test_reasons_that_differ_in_numbers_are_one_reason(tmp_path, capsys):
    def cut():
        for i, (name, kind, time, cdr) in enumerate(camera_messages(30, compressed=True)):
            if kind == COMPRESSED and i % 4:
                message = deserialize_message(cdr, CompressedImage)
                message.data = message.data[:1000 + 17 * i]
                cdr = serialize_message(message)
            yield name, kind, time, cdr

    write_bag(tmp_path / 'in', cut())
    assert bag(tmp_path / 'in', tmp_path / 'out') in (0, 1)
    assert capsys.readouterr().err.count('is truncated') == 1


def test_unusable_calibration_is_reported_once(tmp_path, capsys):
    content = []
    for name, kind, time, cdr in camera_messages(4):
        if kind == INFO:
            info = deserialize_message(cdr, CameraInfo)
            info.distortion_model = 'odd'
            info.d[0] = 0.1
            cdr = serialize_message(info)
        content.append((name, kind, time, cdr))
    write_bag(tmp_path / 'in', content)
    assert bag(tmp_path / 'in', tmp_path / 'out') == 0
    err = capsys.readouterr().err
    assert err.count("camera_info cannot be used: distortion_model 'odd' is not one of") == 1
    assert 'horizontal_fov is assumed' in err
    assert [m.calibrated for _, _, m in read(tmp_path / 'out')] == [False] * 4
