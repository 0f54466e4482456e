"""Output files of gaze_ros on a full disk, and output that would overwrite the input."""
from functools import partial
import os
from pathlib import Path
import sys

import cv2
from gaze_ros.core.sources.sample import Sample
from helpers.processes import Process, run_gaze_ros, running, save_sample
from helpers.ros_client import set_parameters
import pytest

if sys.platform != 'win32':
    import resource


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='there is no /dev/full')
def test_jsonl_on_a_full_disk_is_reported_in_one_line(tmp_path, rounds):
    clip = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 4)
    labels = tmp_path / 'labels.csv'
    labels.write_text('frame,pitch,yaw\n0,0.1,0.1\n1,0.1,0.2\n2,0.2,0.1\n')
    video, evaluate = ('video', clip, '--json', '-', '--quiet'), (
        'evaluate', '--input', clip, '--labels', labels)
    # Buffered, as for a user: unbuffered output fails at the first line, which hides the order.
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'}
    for words in rounds((video,), (video, evaluate, (*evaluate, '--json'))):
        with open('/dev/full', 'w') as full:
            done = run_gaze_ros(*words, stdout=full, env=env)
        assert done.returncode == 1
        assert done.stderr == (f'gaze_ros {words[0]}: the output does not fit on its disk: '
                               'No space left on device\n')


@pytest.mark.skipif(sys.platform == 'win32', reason='needs a limit on files')
def test_video_on_a_full_disk_is_reported_in_one_line_and_plays_so_far(tmp_path, rounds):
    """Simulated by a file size limit of the process, which needs no root."""
    clip, out = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 60), tmp_path / 'b.avi'
    # Bytes: less than the reserve for the end, and slightly more than the size at which it stops.
    for limit in rounds((4300 << 10,), (1 << 20, 4300 << 10)):
        done = run_gaze_ros('video', clip, '--output', out, '--quiet', preexec_fn=partial(
            resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)))
        assert done.returncode == 1
        assert f"gaze_ros video: '{out}'" in done.stderr and 'its disk is full' in done.stderr
        assert done.stderr.count('\n') == 1, done.stderr
    capture = cv2.VideoCapture(str(out))
    assert 5 <= sum(1 for _ in iter(capture.grab, False)) < 60


def test_input_is_never_overwritten(tmp_path, rounds):
    clip = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 4)
    before = clip.read_bytes()
    os.link(clip, tmp_path / 'hard.avi')
    os.symlink(clip, tmp_path / 'soft.avi')
    for name in rounds(('hard',), ('a', 'hard', 'soft')):
        done = run_gaze_ros('video', clip, '--output', tmp_path / f'{name}.avi', '--quiet')
        assert done.returncode == 1
        assert 'is the input' in done.stderr, done.stderr
        assert clip.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.avi', 'hard.avi', 'soft.avi']


def test_outputs_overwrite_neither_each_other_nor_an_input(tmp_path):
    clip = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 2)
    for n in (1, 2):
        cv2.imwrite(str(tmp_path / f'{n}.jpg'), Sample().read())
    (tmp_path / 'weight.onnx').write_bytes(b'precious')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    os.symlink('b.avi', tmp_path / 'link.avi')
    for words, reason in (
            ((clip, '--output', 'b.avi', '--json', 'b.avi'), 'two outputs'),
            ((clip, '--output', 'b.avi', '--json', f'../{tmp_path.name}/./b.avi'), 'two outputs'),
            ((clip, '--output', 'b.avi', '--json', 'link.avi'), 'two outputs'),
            ((tmp_path, '--json', '2.jpg'), 'is the input'),
            ((clip, '--json', 'weight.onnx', '--weight', 'weight.onnx'), 'is the input')):
        done = run_gaze_ros('video', *words, '--quiet', cwd=tmp_path)
        assert done.returncode == 1 and reason in done.stderr, done.stderr
        assert done.stderr.count('\n') == 1, done.stderr
    (tmp_path / 'link.avi').unlink()
    done = run_gaze_ros('demo', '--source', 'demo.mp4', '--out', '.', cwd=tmp_path)
    assert done.returncode == 1 and 'is not a file' not in done.stderr
    assert 'is the input' in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_output_below_the_root_is_compared_with_the_input_there(tmp_path):
    (tmp_path / 'root').mkdir()
    clip = save_sample(tmp_path / 'root' / 'a.avi', 'MJPG', 10.0, 2)
    before = clip.read_bytes()
    done = run_gaze_ros('video', clip, '--output', 'a.avi', '--quiet', cwd=tmp_path, env={
        **os.environ, 'GAZE_ROS_OUTPUT_ROOT': str(tmp_path / 'root')})
    assert done.returncode == 1 and 'is the input' in done.stderr
    assert clip.read_bytes() == before


def test_source_that_is_the_output_is_refused_in_either_order(tmp_path, listener):
    clip = save_sample(tmp_path / 'a.avi', 'MJPG', 10.0, 4)
    before = clip.read_bytes()
    process = Process('pipeline', f'source:={clip}', f'output:={clip}')
    assert process.end(60) == 1
    assert f"source '{clip}' is being written by gaze_ros" in process.text
    with running('camera_node', f'source:={clip}', 'loop:=true', 'wait_for_subscribers:=0') as (
            camera), running('visualizer_node'):
        camera.wait_for('publishing')
        reason = set_parameters(listener, 'visualizer', output=str(clip))
        assert 'is being written already, or played as a source' in reason
    assert clip.read_bytes() == before
