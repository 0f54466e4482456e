"""The service gaze/calibrate of a running gaze node, with images of a face that looks at it."""
from contextlib import contextmanager
from itertools import cycle, islice
import math
import signal
from threading import Event, Thread
import time

from gaze_ros.core.geometry.camera_model import angle_to_lens
from gaze_ros.core.tracking.gaze_calibration import load_correction
from gaze_ros.ros.publishers.gaze_calibration import transformed
from gaze_ros.srv import CalibrateGaze
from geometry_msgs.msg import Point, PointStamped, Quaternion, Transform, Vector3
from helpers.image_feeder import ImageFeeder, sample_images
from helpers.processes import running, wait_until
from helpers.ros_client import call_service, Listener, set_parameters
import numpy as np
import pytest
from std_msgs.msg import Header

#: Images after which the same faces come again.
_PERIOD = 40


def there_and_back():
    """Return images of a face that moves to and fro; the sample's own path is 315 s long."""
    there = [*islice(sample_images(), _PERIOD // 2 + 1)]
    return cycle(there + there[-2:0:-1])


@contextmanager
def feeding(listener):
    """Publish images all the time; yield the feeder, once the gaze node answers."""
    feeder, ending = ImageFeeder(listener, there_and_back()), Event()

    def feed() -> None:
        while not ending.is_set():
            feeder.send()

    feeder.open(subscribers=1)
    thread = Thread(target=feed, daemon=True)
    thread.start()
    try:
        # The first gazes differ from those of a track that has settled.
        wait_until(lambda: len(feeder.stamps_with_face()) > 20 + _PERIOD, 60, 'gazes')
        yield feeder
    finally:
        ending.set()
        thread.join(5)


def angle_of_last(feeder):
    """Return the median angle in radians between the gazes of the last period and the lens."""
    gazes = [gaze for message in feeder.results[-_PERIOD:] for gaze in message.gazes]
    return np.median([angle_to_lens(gaze.raw_pitch, gaze.raw_yaw) for gaze in gazes])


def calibrate(listener, **request):
    return call_service(listener.node, CalibrateGaze, '/gaze/calibrate',
                        CalibrateGaze.Request(**request), again=10.0)


def at(frame, x=0.0, y=0.0, z=0.0):
    return PointStamped(header=Header(frame_id=frame), point=Point(x=x, y=y, z=z))


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    return tmp_path_factory.mktemp('user') / 'kiosk' / 'calibration.yaml'


@pytest.fixture(scope='module')
def node(ros, file):
    listener = Listener('test_calibration')
    with running('gaze_node', f'gaze_calibration_file:={file}') as process:
        process.wait_for('does not exist yet')
        with feeding(listener) as feeder:
            yield listener, feeder, process
    listener.close()


@pytest.mark.parametrize('request_,message', [
    ({'track_id': 'f99', 'duration': 0.5}, "track 'f99' was not seen"),
    ({'duration': 0.5}, 'at least 15 are needed'),
    ({'duration': -1.0}, 'duration is -1 s; expected more than 0, at most 60'),
    ({'duration': math.nan}, 'duration is nan'), ({'duration': 61.0}, 'duration is 61'),
    ({'target': at('cam_optical', x=math.nan)}, 'not finite')])
def test_refusal_names_the_reason_and_changes_nothing(node, request_, message):
    listener, feeder, _ = node
    before = angle_of_last(feeder)
    answer = calibrate(listener, **request_)
    assert not answer.success and message in answer.message
    assert (answer.residual_before, answer.residual_after) == (0, 0)
    assert angle_of_last(feeder) == pytest.approx(before, abs=0.05)


def test_target_in_another_frame_needs_tf(node):
    listener, _, _ = node
    answer = calibrate(listener, target=at('map', 1.0))
    assert not answer.success
    assert 'tf2_ros is not installed' in answer.message or 'does not connect' in answer.message
    assert 'map' in answer.message and 'cam_optical' in answer.message


def test_gaze_is_corrected_and_the_file_is_for_every_later_track(node, file):
    listener, feeder, process = node
    before = angle_of_last(feeder)
    stddev = feeder.results[-1].gazes[0].gaze_stddev
    answer = calibrate(listener, duration=6.0, save=True)
    assert answer.success, answer.message
    assert answer.track_id == feeder.results[-1].gazes[0].track_id
    assert answer.samples >= 15
    assert 0 <= answer.residual_after < answer.residual_before
    assert answer.residual_before == pytest.approx(before, abs=0.05)
    assert f"saved in '{file}'" in answer.message
    count = len(feeder.results)
    wait_until(lambda: len(feeder.results) > count + 2 + _PERIOD, 20, 'corrected gazes')
    assert angle_of_last(feeder) < 0.9 * before
    after = feeder.results[-1].gazes[0].gaze_stddev
    assert math.isnan(stddev) or after < 1.05 * stddev

    # A point of the optical frame: its origin is the lens.
    answer = calibrate(listener, duration=6.0, target=at('cam_optical'))
    assert answer.success, answer.message
    assert 'of 1 target' in answer.message

    assert load_correction(file).residual_before == pytest.approx(before, abs=0.05)
    # Without the file the track keeps its own correction; a new track has none.
    assert not set_parameters(listener, 'gaze', gaze_calibration_file='')
    answer = calibrate(listener, save=True)
    assert not answer.success and 'set the parameter gaze_calibration_file' in answer.message
    bad = file.with_name('bad.yaml')
    bad.write_text('model: 5')
    assert 'is not a file that gaze/calibrate saved' in set_parameters(
        listener, 'gaze', gaze_calibration_file=str(bad))
    assert process.running
    with running('gaze_node', f'gaze_calibration_file:={file}', more=(
            '-r', '__node:=other', '-r', 'gaze:=other_gaze')) as other:
        other.wait_for('the gaze is corrected by')


def test_point_is_transformed_by_rotation_and_translation():
    # A quarter turn about z, with a quaternion that is not normalised.
    transform = Transform(translation=Vector3(x=1.0, y=2.0, z=3.0),
                          rotation=Quaternion(z=3.0, w=3.0))
    assert transformed(np.array([1.0, 0.0, 0.5]), transform) == pytest.approx([1.0, 3.0, 3.5])


def test_node_stops_during_a_calibration(listener):
    with running('gaze_node') as process:
        process.wait_for('model ', 40)
        client = listener.node.create_client(CalibrateGaze, '/gaze/calibrate')
        assert client.wait_for_service(20)
        time.sleep(0.5)
        future = client.call_async(CalibrateGaze.Request(duration=60.0))
        time.sleep(1)
        assert not future.done()
        start = time.monotonic()
        process.send(signal.SIGINT)
        assert process.end() == 0
        assert time.monotonic() - start < 5
