"""Videos, bags and snapshots when the disk is full, the folder is removed or a process killed."""
from contextlib import contextmanager
import os
import shutil
import signal
from threading import Event, Thread
import time

import cv2
from gaze_ros.bags.reading import BagReader
from gaze_ros.msg import GazeArray
from gaze_ros.ros.comm import topics
from gaze_ros.ros.comm.conversions import bgr_to_image
from gaze_ros.ros.launch.respawn_policy import LAUNCH_TIME
from helpers import full_disk
from helpers.processes import Process, running, wait_until
from helpers.ros_client import call_service, DiagnosticsProbe, set_parameters
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

OK, ERROR = b'\x00', b'\x02'


@pytest.fixture
def small(tmp_path):
    """Return a disk of 64 MB."""
    if why := full_disk.unavailable_reason():
        pytest.skip(f'{why}; test_video_recorder has a limit of the process instead')
    with full_disk.small_disk(tmp_path / 'disk', '64m') as one:
        yield one


@contextmanager
def publishing(listener, kinds):
    """Publish at 30 Hz the messages that functions create of a header, by (topic, type)."""
    publishers = [(listener.node.create_publisher(kind, topic, topics.default_qos()), make)
                  for (topic, kind), make in kinds.items()]
    ending = Event()

    def run():
        while not ending.wait(1 / 30):
            header = Header(frame_id='cam', stamp=listener.node.get_clock().now().to_msg())
            for publisher, make in publishers:
                publisher.publish(make(header))

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


NOISE = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
IMAGE_AND_GAZE = {
    (topics.IMAGE, Image): lambda header: bgr_to_image(NOISE, header),
    (topics.GAZE, GazeArray): lambda header: GazeArray(header=header)}
RECORDED = {
    (topics.GAZE, GazeArray): lambda header: GazeArray(header=header, model='x'),
    (f'{topics.IMAGE_ANNOTATED}/compressed', CompressedImage): lambda header: CompressedImage(
        header=header, format='jpeg', data=bytes(20_000))}


def frames(path):
    """Return how many images of a video can be decoded."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count


def gazes(path):
    """Return how many gazes a bag has."""
    reader = BagReader(path)
    try:
        return reader.topics['/gaze'].count
    finally:
        reader.close()


def wait_for_more(heard, count=10):
    """Wait for more messages."""
    before = len(heard)
    wait_until(lambda: len(heard) > before + count, 20, 'more')


def test_saving_stops_before_the_disk_is_full_and_resumes_with_space(
        listener, small, rounds):
    video, bag = rounds(('.mp4', '.mcap'), ('.mp4', ''))
    drawing, writing = (
        DiagnosticsProbe(listener, 'visualizer: Display'),
        DiagnosticsProbe(listener, 'recorder: Recorder'),
    )
    heard = listener.subscribe(Image, topics.IMAGE_ANNOTATED, lambda m: 1)
    folder = small.folder
    with publishing(listener, {**IMAGE_AND_GAZE, **RECORDED}), running(
            'visualizer_node', f'output:={folder}/a{video}', 'queue_depth:="4"',
            prefix=small.prefix) as visualizer, running(
            'recorder_node', f'output:={folder}/b{bag}', 'images:=true',
            prefix=small.prefix) as recorder:
        drawing.wait(OK)
        writing.wait(OK)
        wait_for_more(heard)
        # Fill the disk between two checks of the processes: at the next one they release the
        # reserve for the end of the files, which other programs may use up as well.
        for process in (visualizer, recorder):
            process.send(signal.SIGSTOP)
        small.fill()
        for process in (visualizer, recorder):
            process.send(signal.SIGCONT)
        drawing.wait(ERROR, 'not recording')
        writing.wait(ERROR, 'not recording')
        wait_for_more(heard)
        for process in (visualizer, recorder):
            process.wait_for("saved '")
            assert process.text.count('its disk is full') == 1, process.text
            assert 'Failed to write' not in process.text
        assert frames(small.visible_folder / f'a{video}') >= 10
        recorded = gazes(small.visible_folder / f'b{bag}')
        assert recorded >= 10
        small.fill()  # the reserve for the end of the files is free again
        assert not set_parameters(listener, 'visualizer', snapshot_folder=str(folder))
        answer = call_service(
            listener.node, Trigger, '/visualizer/save_snapshot', Trigger.Request()
        )
        assert not answer.success and 'No space left' in answer.message, answer.message
        assert not [*small.visible_folder.glob('*.png')], 'an incomplete image is left'
        small.free()
        visualizer.wait_for(f"the video continues in '{folder}/a_2{video}'")
        recorder.wait_for(f"to '{folder}/b_2{bag}'")
        drawing.wait(OK)
        wait_for_more(heard)
    assert frames(small.visible_folder / f'a_2{video}') >= 10
    assert gazes(small.visible_folder / f'b_2{bag}') >= 1
    assert gazes(small.visible_folder / f'b{bag}') == recorded
    assert sorted(p.name for p in small.visible_folder.iterdir()) == [
        f'a{video}', f'a_2{video}', f'b{bag}', f'b_2{bag}']


def test_removed_video_is_reported_and_started_again(listener, tmp_path, rounds):
    if not rounds(False, True):
        pytest.skip('in the full suite')
    status = DiagnosticsProbe(listener, 'visualizer: Display')
    heard = listener.subscribe(Image, topics.IMAGE_ANNOTATED, lambda m: 1)
    folder = tmp_path / 'videos'
    path = folder / 'a.mkv'

    def replace_folder():
        shutil.rmtree(folder)
        folder.write_text('mine')

    with publishing(listener, IMAGE_AND_GAZE), running(
            'visualizer_node', f'output:={path}') as process:
        status.wait(OK)
        removals = path.unlink, replace_folder
        for number, remove in enumerate(removals, 1):
            wait_for_more(heard)
            remove()
            status.wait(ERROR, 'removed')
            wait_for_more(heard)
            if remove is replace_folder:
                assert folder.read_text() == 'mine'
                folder.unlink()
            wait_for_continuation(process, path, number)
            status.wait(OK)
        wait_for_more(heard)
        check_other_videos(listener, process, heard, path, folder)
    assert process.text.count('removed') == len(removals), process.text
    assert frames(path) >= 5


def wait_for_continuation(process, path, number):
    """Wait until a video has been continued ``number`` times."""
    words = f"the video continues in '{path}'"
    wait_until(lambda: process.text.count(words) == number, 20, words)


def check_other_videos(listener, process, heard, path, folder):
    """Try a second process on the same video, set the same output again, and another one."""
    second = Process('visualizer_node', f'output:={path}', more=('-r', '__ns:=/second'))
    assert second.end() == 1
    assert f"'{path}' cannot be written: it is being written already" in second.text
    assert not set_parameters(listener, 'visualizer', output=str(path))
    assert not process.text.count(f"saved '{path}'")
    os.chmod(folder, 0o500)  # does not affect an open file
    wait_for_more(heard)
    os.chmod(folder, 0o700)
    other = folder / 'b.mkv'
    assert not set_parameters(listener, 'visualizer', output=str(other))
    wait_for_more(heard)
    assert process.text.count(f"saved '{path}'") == 1
    assert not set_parameters(listener, 'visualizer', output='')
    assert process.text.count(f"saved '{other}'") == 1
    assert frames(other) >= 5


def test_restarted_process_overwrites_nothing_it_wrote_before(
        listener, tmp_path, rounds):
    """As launch starts them, with the time of its start."""
    if not rounds(False, True):
        pytest.skip('7 s: only with --full; test_video_recorder and test_bags have the rule')
    env = {LAUNCH_TIME: str(time.time())}
    video, bag = tmp_path / 'a.avi', tmp_path / 'b'
    drawn = listener.subscribe(Image, topics.IMAGE_ANNOTATED, lambda m: 1)
    gaze = topics.GAZE, GazeArray
    with publishing(listener, {**IMAGE_AND_GAZE, gaze: RECORDED[gaze]}):
        first = (Process('visualizer_node', f'output:={video}', env=env),
                 Process('recorder_node', f'output:={bag}', env=env))
        wait_for_more(drawn)
        first[1].wait_for('recording')
        for process in first:
            process.send(signal.SIGKILL)
            assert process.end() == -signal.SIGKILL
        left = video.read_bytes(), (bag / 'b_0.mcap').read_bytes()
        writing = DiagnosticsProbe(listener, 'recorder: Recorder')
        with running('visualizer_node', f'output:={video}', env=env) as visualizer, \
                running('recorder_node', f'output:={bag}', env=env) as recorder:
            visualizer.wait_for(f"the video continues in '{tmp_path}/a_2.avi'")
            recorder.wait_for(f"'{bag}' was recorded before this process was restarted")
            writing.wait(OK)
            wait_for_more(drawn)
    assert left == (video.read_bytes(), (bag / 'b_0.mcap').read_bytes())
    assert frames(tmp_path / 'a_2.avi') >= 5
    assert gazes(tmp_path / 'b_2') >= 5


def test_invalid_message_is_reported_and_skipped(listener, tmp_path):
    status = DiagnosticsProbe(listener, 'recorder: Recorder')
    short = {(topics.GAZE, GazeArray): lambda header: b'\0\1\0\0'}
    with publishing(listener, short), running(
            'recorder_node', f'output:={tmp_path}/rec') as process:
        process.wait_for('message skipped: /gaze: a message of 4 bytes has no header')
        status.wait(ERROR, 'images fail')
    assert process.text.count('skipped: /gaze') == 1, process.text
    assert gazes(tmp_path / 'rec') == 0


def test_killed_recorder_leaves_all_but_the_last_seconds(listener, tmp_path, rounds):
    if not rounds(False, True):
        pytest.skip('in the full suite')
    from mcap.exceptions import McapError
    from mcap.stream_reader import StreamReader
    messages = {(topics.GAZE, GazeArray): RECORDED[topics.GAZE, GazeArray]}
    with publishing(listener, messages):
        process = Process('recorder_node', f'output:={tmp_path}/rec')
        process.wait_for('recording')
        file = tmp_path / 'rec' / 'rec_0.mcap'
        wait_until(lambda: file.stat().st_size > 8000, 20, 'the queued messages are written')
        process.send(signal.SIGKILL)
        process.end()
    with pytest.raises(Exception, match='interrupted'):
        BagReader(tmp_path / 'rec')
    with pytest.raises(Exception, match='mcap recover'):
        BagReader(file)
    count = 0
    with open(file, 'rb') as stream:
        # As 'mcap recover' does: record by record, up to the point of interruption.
        try:
            for record in StreamReader(stream).records:
                count += type(record).__name__ == 'Message'
        except McapError:
            pass
    assert count >= 20
