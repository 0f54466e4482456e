"""Streams and files that stall, change, are truncated or disappear, and a killed camera node."""
import os
import re
import signal
import time

import cv2
from gaze_ros.msg import GazeArray
from helpers.processes import Process, running, save_sample, wait_until
from helpers.video_files import of_codec, save_video
from helpers.virtual_cameras import CameraProbe, ERROR, network_camera, virtual_camera_node
import numpy as np
import pytest
from sensor_msgs.msg import Image

#: Variables that make OpenCV and FFmpeg log verbosely.
VERBOSE = {'OPENCV_FFMPEG_DEBUG': '1', 'OPENCV_FFMPEG_LOGLEVEL': '56',
           'OPENCV_VIDEOIO_DEBUG': '1', 'OPENCV_LOG_LEVEL': 'VERBOSE'}

CALIBRATION = """
image_width: 640
image_height: 480
distortion_model: plumb_bob
camera_matrix: {data: [500, 0, 320, 0, 500, 240, 0, 0, 1]}
distortion_coefficients: {data: [0, 0, 0, 0, 0]}
projection_matrix: {data: [500, 0, 320, 0, 0, 500, 240, 0, 0, 0, 1, 0]}
"""


@pytest.fixture
def seen(listener):
    return CameraProbe(listener)


@pytest.fixture
def full(request):
    """Skip a test without --full."""
    if not request.config.getoption('--full'):
        pytest.skip('takes longer: only with --full')


def test_stalled_stream_recovers_and_its_password_is_never_printed(seen, tmp_path, rounds):
    with network_camera() as camera, virtual_camera_node(
            tmp_path, f'source:=http://someone:secret@127.0.0.1:{camera.port}/?pwd=secret',
            timeout=3, env=VERBOSE) as process:
        seen.wait_for_more()

        def logs_more(words):
            """Return a function that returns whether the process has logged the words since."""
            before = len(process.lines_with(words))
            return lambda: len(process.lines_with(words)) > before

        for fault in rounds(['stall'], ['stall', 'close']):
            failed, back = logs_more('[ERROR]'), logs_more('is back')
            camera.mode = fault
            wait_until(failed, 20, fault)
            seen.wait_for(ERROR, f"source 'http://***@127.0.0.1:{camera.port}/?pwd=***'")
            # It does not answer a new connection either.
            wait_until(lambda: 'cannot be opened' in seen.status().message, 20, 'opened again')
            camera.mode = 'flow'
            wait_until(back, 20, 'back')
            seen.wait_for_more()
        camera.mode = 'stall'
        time.sleep(0.3)  # the signal arrives during a blocked read
    # The output of OpenCV and FFmpeg for every attempt is not passed on.
    assert len(process.lines) < 20, process.text
    assert 'secret' not in process.text and 'someone' not in process.text, process.text


def test_images_of_other_sizes_pass_with_matching_camera_info(seen, tmp_path):
    path = tmp_path / 'camera.yaml'
    path.write_text(CALIBRATION)
    folder = tmp_path / 'images'
    folder.mkdir()
    for n, (width, height) in enumerate([(640, 480), (320, 240), (640, 360)]):
        cv2.imwrite(str(folder / f'{n}.jpg'), np.zeros((height, width, 3), np.uint8))
    with running('camera_node', f'source:={folder}', 'loop:=true', 'fps:=30.0',
                 f'camera_info_url:={path}') as process:
        seen.wait_for_more(12)
        wait_until(lambda: len({*seen.infos}) == 3, 10, 'all sizes')
    # The calibration is scaled for the same aspect ratio, and not used for another one.
    assert {*seen.infos} == {(640, 480, 500.0), (320, 240, 250.0), (640, 360, 0.0)}
    assert {image[:2] for image in seen.images} == {(640, 480), (320, 240), (640, 360)}
    text = process.text
    assert text.count('calibration is for 640x480, but images have 320x240: it is scaled') == 1
    assert text.count('have 640x360: the aspect ratio differs, so it is not used') == 1
    assert '[ERROR]' not in text, text


def test_stream_that_changes_its_size_plays_to_the_end(seen, listener, full):
    """With OpenCV 4.6 images have their size, later that of the first image."""
    drawn = listener.subscribe(Image, '/gaze/image_annotated', lambda m: (m.width, m.height))
    with network_camera() as camera, running(
            'pipeline', f'source:=http://127.0.0.1:{camera.port}/') as process:
        for size in ((320, 240), (640, 480)):
            wait_until(lambda: len(drawn) > 5, 30, 'annotated images')
            camera.size = size
            seen.wait_for_more(30)
            del drawn[:]
        wait_until(lambda: len(drawn) > 5, 30, 'annotated images')
    assert {image[:2] for image in seen.images} <= {(640, 480), (320, 240)}
    assert {info[:2] for info in seen.infos} == {image[:2] for image in seen.images}
    assert '[ERROR]' not in process.text, process.text


def test_file_truncated_during_playback_ends_and_is_reported(seen, tmp_path):
    # 8 s: the test may discover the publisher seconds late.
    path = save_sample(tmp_path / 'a.avi', 'MJPG', 30.0, 240)
    process = Process('camera_node', f'source:={path}', 'exit_on_end:=true')
    seen.wait_for_more(10)
    os.truncate(path, path.stat().st_size // 2)
    assert process.end(30) == 0, process.text
    short, whole = re.search(
        r"a.avi' ends after (\d+) of (\d+) images, .* complete", process.text).groups()
    assert 10 < int(short) < int(whole) == 240
    assert f"a.avi' is at its end after {short} frames" in process.text


def test_camera_killed_and_restarted(seen, listener, full):
    """Gaze resumes by itself; a face that was missing for longer than track_timeout is new."""
    gazes = listener.subscribe(GazeArray, '/gaze', lambda m: [g.track_id for g in m.gazes])
    with running('gaze_node') as gaze:
        camera = Process('camera_node', 'source:=sample')
        wait_until(lambda: len(gazes) > 5 and gazes[-1], 60, 'gaze')
        first = gazes[-1]
        camera.send(signal.SIGKILL)
        camera.end()
        # Fast DDS takes 20 s to detect that a killed publisher is gone.
        seen.wait_for(ERROR, 'no ', 'gaze: Inference')
        del gazes[:]
        with running('camera_node', 'source:=sample'):
            wait_until(lambda: len(gazes) > 5 and gazes[-1], 30, 'gaze again')
        assert len(first) == len(gazes[-1]) == 1
        assert first[0] not in {track for tracks in gazes for track in tracks}
        assert gaze.running and '[ERROR]' not in gaze.text


def test_video_of_a_codec_that_cannot_be_decoded_ends_the_node_with_its_name(tmp_path):
    path = of_codec(save_video(tmp_path / 'a.mp4'), b'av01')
    process = Process('camera_node', f'source:={path}', 'exit_on_end:=true')
    assert process.end(30) == 1
    assert "its codec is 'AV01'" in process.text and 'Traceback' not in process.text
