"""File names that are not UTF-8, from old disks and archives: OpenCV 5 crashes on them."""
import json
import os
import subprocess

import cv2
from gaze_ros.bags.writing import BagWriter
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.sources.sample import Sample
from helpers.processes import BIN, run_gaze_ros, running, save_sample
from helpers.ros_client import call_service, set_parameters
import pytest
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

#: Latin-1 for 'café', as Python names the file.
LATIN = os.fsdecode(b'caf\xe9')
#: How messages name it.
SHOWN = r'caf\xe9'


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two images, one of them with such a name."""
    folder = tmp_path / 'images'
    folder.mkdir()
    data = cv2.imencode('.jpg', Sample().read())[1].tobytes()
    for name in ('a.jpg', f'{LATIN}.jpg'):
        try:
            (folder / name).write_bytes(data)
        except OSError:
            pytest.skip('this file system takes UTF-8 only')
    return folder


def test_images_with_any_name_are_processed(folder):
    done = run_gaze_ros('video', folder, '--json', '-', '--quiet')
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(line['gazes']) for line in lines] == [1, 1]


def test_videos_outputs_and_weights_with_such_a_name_are_refused_in_one_line(tmp_path, folder):
    clip = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 2)
    latin = tmp_path / f'{LATIN}.avi'
    os.link(clip, latin)
    (tmp_path / 'labels.csv').write_text('frame,pitch,yaw\n0,0.1,0.1\n')
    for words in (('video', latin), ('video', latin, '--rotate', 'auto'),
                  ('video', clip, '--output', tmp_path / f'{LATIN}.mp4'),
                  ('video', clip, '--output', tmp_path / LATIN / 'b.mkv'),
                  ('evaluate', '--input', latin, '--labels', tmp_path / 'labels.csv'),
                  ('benchmark', '--source', latin), ('demo', '--source', latin)):
        done = run_gaze_ros(*words)
        assert done.returncode == 1, (words, done.stderr)
        assert SHOWN in done.stderr and 'not UTF-8' in done.stderr, done.stderr
        assert done.stderr.count('\n') == 1, done.stderr
    done = run_gaze_ros('video', clip, '--weight', tmp_path / f'{LATIN}.onnx')
    assert done.returncode == 2 and f'{SHOWN}.onnx' in done.stderr
    assert 'Traceback' not in done.stderr


def test_relative_names_work_in_a_folder_with_such_a_name(tmp_path, folder):
    inside = tmp_path / LATIN
    inside.mkdir()
    os.link(save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 2), inside / 'a.avi')
    done = run_gaze_ros('video', 'a.avi', '--json', 'b.jsonl', '--quiet', cwd=inside)
    assert done.returncode == 0, done.stderr
    assert len((inside / 'b.jsonl').read_text().splitlines()) == 2


def test_names_on_standard_output_keep_their_bytes(tmp_path, folder):
    inside = tmp_path / LATIN
    folder.rename(inside)
    (inside / 'labels.csv').write_text('frame,pitch,yaw\n0,0.1,0.1\n1,0.1,0.2\n')
    done = run_gaze_ros('evaluate', '--input', inside, inside, errors='surrogateescape')
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'{inside}\n')


@pytest.mark.parametrize('name', ['camera_node', 'visualizer_node', 'pipeline'])
def test_arguments_of_nodes_are_refused_in_one_line(name):
    done = subprocess.run([BIN / name, '--ros-args', '-p', f'source:={LATIN}'], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 2
    assert f"argument 'source:={SHOWN}' is not UTF-8" in done.stderr
    assert done.stderr.count('\n') == 1, done.stderr


def test_source_that_a_peer_sets_does_not_end_the_camera(tmp_path, folder, listener):
    latin = tmp_path / f'{LATIN}.avi'
    os.link(save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 2), latin)
    (folder / f'cut {LATIN}.png').write_bytes(b'\x89PNG')
    listener.subscribe(Image, '/camera/image_raw')  # an image that nobody takes is not decoded
    with running('camera_node', 'source:=sample', 'wait_for_subscribers:=0') as camera:
        camera.wait_for('publishing')
        reason = set_parameters(listener, 'camera', source=f'file://{tmp_path}/caf%E9.avi')
        assert f"{SHOWN}.avi' is not UTF-8" in reason
        assert set_parameters(listener, 'camera', source=str(folder), loop=True) == ''
        camera.wait_for(f"cut {SHOWN}.png' is not an image")
        assert set_parameters(
            listener, 'camera', source=f'file://{folder}/caf%E9.jpg', loop=False) == ''
        camera.wait_for(f"{SHOWN}.jpg' is at its end after 1 frames")
        assert camera.running


def test_nodes_in_a_folder_with_such_a_name_save_and_report_there(
        tmp_path, folder, listener, monkeypatch):
    pytest.importorskip('rosbags')
    inside = tmp_path / LATIN
    inside.mkdir()
    monkeypatch.chdir(inside)
    with running('recorder_node', 'output:=bag') as recorder:
        recorder.wait_for(f"{SHOWN}/bag'")
    assert (inside / 'bag' / 'metadata.yaml').is_file()
    with running('pipeline', 'source:=sample', 'wait_for_subscribers:=0') as pipeline:
        pipeline.wait_for('directions and distances')
        for _ in range(5):  # on a busy machine, no image may come within 2 s
            response = call_service(listener.node, Trigger, '/visualizer/save_snapshot',
                                    Trigger.Request())
            if 'within 2 s' not in response.message:
                break
    assert response.success and f'{SHOWN}/gaze_' in response.message, response.message
    assert [path.suffix for path in inside.iterdir() if path.is_file()] == ['.png']


def test_bag_with_such_a_name_is_refused_in_one_line(tmp_path):
    pytest.importorskip('rosbags')
    with pytest.raises(GazeRosError, match=r"caf\\xe9' cannot be written: its name is not UTF-8"):
        BagWriter(tmp_path / LATIN, {})
    assert not (tmp_path / LATIN).exists()
