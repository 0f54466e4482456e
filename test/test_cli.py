"""gaze_ros video and demo, as a user types them."""
import json
import subprocess

import cv2
from gaze_ros.core.sources.sample import Sample
from helpers.processes import BIN, run_gaze_ros, save_sample
import numpy as np
import pytest

FIELDS = {
    'track_id', 'box', 'score', 'pitch', 'yaw', 'raw_pitch', 'raw_yaw', 'confidence',
    'gaze_stddev', 'head_pitch', 'head_yaw', 'head_roll', 'head_stddev', 'left_eye_openness',
    'right_eye_openness', 'direction', 'origin', 'looking_at_camera'}


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return save_sample(tmp_path_factory.mktemp('clip') / 'clip.mp4', 'mp4v', 25.0, 30)


def test_video_writes_every_frame_to_json_and_video(clip, tmp_path):
    done = run_gaze_ros(
        'video', clip, '--output', tmp_path / 'o.mp4', '--json', tmp_path / 'o.jsonl'
    )
    assert done.returncode == 0, done.stderr
    assert '30 frames, 1.00 faces per frame' in done.stderr
    lines = [json.loads(line) for line in (tmp_path / 'o.jsonl').read_text().splitlines()]
    assert [line['frame'] for line in lines] == list(range(30))
    assert [line['stamp'] for line in lines] == pytest.approx([i / 25 for i in range(30)])
    for line in lines:
        assert set(line) == {'frame', 'stamp', 'width', 'height', 'gazes'}
        assert (line['width'], line['height']) == (640, 480)
        for gaze in line['gazes']:
            assert set(gaze) == FIELDS
            assert gaze['track_id'] == 'f1'
            assert abs(gaze['pitch']) < 0.6 and abs(gaze['yaw']) < 0.6
    video = cv2.VideoCapture(str(tmp_path / 'o.mp4'))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    count, drawn = 0, 0
    plain = cv2.VideoCapture(str(clip))
    while True:
        (ok, a), (_, b) = video.read(), plain.read()
        if not ok:
            break
        count += 1
        drawn += np.abs(a.astype(int) - b).max() > 100
    assert (count, drawn) == (30, 30)


def test_image_and_folder_are_accepted_as_input(tmp_path):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f'{i}.png'), Sample().read())
    (tmp_path / 'no.txt').write_text('not an image')
    one = run_gaze_ros('video', tmp_path / '0.png', '--json', '-', '--quiet')
    assert one.returncode == 0, one.stderr
    assert len(json.loads(one.stdout)['gazes']) == 1
    three = run_gaze_ros('video', tmp_path, '--json', '-', '--quiet')
    assert len(three.stdout.splitlines()) == 3


@pytest.mark.parametrize('rotate', ['90', 'auto'])
def test_video_of_a_camera_on_its_side_is_rotated(tmp_path, rotate):
    path = tmp_path / 'side.png'
    cv2.imwrite(str(path), cv2.rotate(Sample().read(), cv2.ROTATE_90_COUNTERCLOCKWISE))
    done = run_gaze_ros('video', path, '--json', '-', '--quiet', '--rotate', rotate)
    assert done.returncode == 0, done.stderr
    frame = json.loads(done.stdout)
    assert (frame['width'], frame['height']) == (640, 480)
    x, y, w, h = frame['gazes'][0]['box']
    assert abs(x + w / 2 - 320) < 60 and abs(y + h / 2 - 223) < 60


def test_no_face_gives_an_empty_list_and_no_error(tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((100, 100, 3), 90, np.uint8))
    done = run_gaze_ros('video', tmp_path / 'grey.png', '--json', '-')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['gazes'] == []


@pytest.mark.parametrize('words,reason', [
    (['/nowhere.mp4'], "input '/nowhere.mp4' does not exist"),
    (['CLIP', '--model', 'resnet18'], 'licence: Gaze360'),
    (['CLIP', '--model', 'mobileone_s0', '--weight', 'CLIP'], "clip.mp4' ends in '.mp4'; supp"),
    (['CLIP', '--weight', 'CLIP'], 'set model to the one'),
    (['CLIP', '--detector', 'yunet', '--detector-weight', 'CLIP'], 'YuNet'),
    (['CLIP', '--output', 'x.gif'], "output 'x.gif' must end in .mp4"),
    (['CLIP', '--json', '/proc/nowhere/x'], '/proc/nowhere/x'),
    (['CLIP', '--device', 'cuda'], 'CPU only'),
    (['CLIP', '--output', 'CLIP'], 'it would be overwritten'),
    (['EMPTY'], 'is not a video that OpenCV can decode'),
    (['FOLDER'], 'folder without images'),
])
def test_invalid_input_is_reported_in_one_line(clip, tmp_path, words, reason):
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'folder').mkdir()
    paths = {'CLIP': clip, 'EMPTY': tmp_path / 'empty.mp4', 'FOLDER': tmp_path / 'folder'}
    done = run_gaze_ros('video', *(paths.get(w, w) for w in words), cwd=tmp_path)
    errors = [line for line in done.stderr.splitlines() if line.startswith('gaze_ros video: ')]
    assert done.returncode == 1, done.stderr
    assert len(errors) == 1 and reason in errors[0], done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('words,reason', [
    (['--model', 'resnet99'], "model 'resnet99' is not one of: auto, fused, mediapipe"),
    (['--detector', 'eyes'], "detector 'eyes' is not one of: auto, yunet, retinaface, adas-0001"),
    (['--runtime', 'tensorrt'], "runtime 'tensorrt' is not one of: auto, openvino, onnx"),
    (['--crop-scale', '9'], 'crop_scale 9.0 is not in 0.3..3'),
    (['--max-faces', '-1'], 'max_faces -1 is not in 0..100'),
    (['--min-score', 'nan'], 'min_score nan is not in 0..1'),
    (['--threads', 'many'], "invalid int value: 'many'"),
])
def test_invalid_values_are_usage_errors(clip, words, reason):
    done = run_gaze_ros('video', clip, *words)
    assert done.returncode == 2
    assert reason in done.stderr


def test_closed_pipe_ends_it_quietly(clip):
    command = f'"{BIN / "gaze_ros"}" video "{clip}" --json - --quiet | head -n 1'
    done = subprocess.run(['sh', '-c', command], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)['frame'] == 0
    assert 'Traceback' not in done.stderr


def test_closed_stdout_is_not_an_error(clip):
    command = f'"{BIN / "gaze_ros"}" video "{clip}" --quiet >&-'
    done = subprocess.run(['sh', '-c', command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, 'Traceback' in done.stderr) == (0, False), done.stderr


def test_camera_is_refused_as_input():
    done = run_gaze_ros('video', '/dev/null')
    assert done.returncode == 1
    assert 'for a camera use the pipeline' in done.stderr


def test_help_and_wrong_usage():
    assert 'video' in run_gaze_ros('--help').stdout
    assert run_gaze_ros('video', '--help').returncode == 0
    assert run_gaze_ros().returncode == 2
    assert run_gaze_ros('video').returncode == 2


def test_demo_succeeds_with_faces_and_fails_without(tmp_path):
    good = run_gaze_ros('demo', '--seconds', '2', '--out', tmp_path / 'good')
    assert good.returncode == 0, good.stdout + good.stderr
    assert '=== Pipeline Statistics ===' in good.stdout
    lines = (tmp_path / 'good' / 'gaze.jsonl').read_text().splitlines()
    assert lines  # up to 60; speed on a busy machine is not the subject
    assert all(len(json.loads(line)['gazes']) == 1 for line in lines)
    video = cv2.VideoCapture(str(tmp_path / 'good' / 'demo.mp4'))
    assert video.read()[0]
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((100, 100, 3), 90, np.uint8))
    bad = run_gaze_ros('demo', '--seconds', '1', '--out', tmp_path / 'bad', '--source',
                       tmp_path / 'grey.png')
    assert bad.returncode == 1
    assert 'no face was found' in bad.stderr
    broken = run_gaze_ros('demo', '--seconds', '1', '--out', tmp_path / 'bad', '-p', 'model:=x')
    assert broken.returncode == 1
    assert 'exit code 1' in broken.stderr
