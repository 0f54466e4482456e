"""gaze_ros evaluate and gaze_ros models selftest, as a user types them."""
import json
import zipfile

import cv2
from gaze_ros.core.sources.sample import Sample
from helpers.processes import run_gaze_ros, save_sample
import numpy as np
import pytest

FIGURES = {
    'model', 'detector', 'input', 'labels', 'n', 'missed', 'absent', 'mean_error_deg',
    'median_error_deg', 'mean_error_without_bias_deg', 'median_error_without_bias_deg',
    'bias_pitch_deg', 'bias_yaw_deg', 'mean_absolute_pitch_error_deg',
    'mean_absolute_yaw_error_deg', 'correlation_pitch', 'correlation_yaw',
    'zero_baseline_error_deg', 'constant_baseline_error_deg', 'share_over_25_deg',
    'share_over_40_deg', 'by_head_yaw', 'coverage', 'head', 'eyes', 'reliability',
    'head_reliability', 'calibration', 'detection_ms_median', 'estimation_ms_median'}


def gaze_ros(*words):
    done = run_gaze_ros(*words)
    assert 'Traceback' not in done.stderr, done.stderr
    return done


def evaluate(*words):
    done = gaze_ros('evaluate', '--model', 'mediapipe', *words, '--json')
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return save_sample(tmp_path_factory.mktemp('clip') / 'clip.mp4', 'mp4v', 25.0, 12)


@pytest.fixture
def labels(tmp_path):
    def labels(*rows, name='labels.csv'):
        path = tmp_path / name
        path.write_text('\n'.join(rows) + '\n')
        return path
    return labels


def test_a_models_own_gaze_as_labels_has_no_error(clip, labels, tmp_path):
    done = gaze_ros('video', clip, '--json', tmp_path / 'o.jsonl', '--model', 'mediapipe')
    assert done.returncode == 0, done.stderr
    gazes = [json.loads(line)['gazes'][0] for line in (tmp_path / 'o.jsonl').open()]
    figures = evaluate('--input', clip, '--labels', labels(
        'frame,pitch,yaw', *(f'{i},{g["raw_pitch"]},{g["raw_yaw"]}'
                             for i, g in reversed(list(enumerate(gazes))) if i % 2)))
    assert set(figures) == FIGURES
    assert (figures['n'], figures['missed'], figures['absent']) == (6, 0, 0)
    assert figures['mean_error_deg'] < 0.002
    assert figures['correlation_yaw'] > 0.999
    assert figures['detection_ms_median'] > 0 and figures['estimation_ms_median'] > 0


def test_table_and_warning_about_labels_without_an_image(clip, labels):
    done = gaze_ros('evaluate', '--input', clip, '--labels', labels(
        'frame,pitch_deg,yaw_deg,settled', '0,5,5,1', '3,5,5,1', '4,5,5,0', '12,5,5,1',
        '90,5,5,1'))
    assert done.returncode == 0, done.stderr
    assert '2 gazes compared, 0 labels without a gaze' in done.stdout
    assert 'angular error' in done.stdout and 'bias' in done.stdout
    assert '2 labels have no image in the input, the first in line 5: frame 12' in done.stderr


def test_folder_labelled_by_name_and_by_index(labels, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    cv2.imwrite(str(folder / 'face.png'), Sample().read())
    cv2.imwrite(str(folder / 'a.png'), np.full((100, 100, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / 'beside.png'), Sample().read())
    by_name = evaluate('--input', folder, '--labels', labels(
        'image,pitch_deg,yaw_deg', 'face.png,1,2', 'a.png,1,2', 'beside.png,1,2', 'none.png,1,2'))
    assert (by_name['n'], by_name['missed'], by_name['absent']) == (2, 1, 1)
    assert by_name['correlation_pitch'] is None
    by_index = evaluate('--input', folder, '--labels', labels(
        'frame,pitch_deg,yaw_deg', '0,1,2', '1,1,2', '2,1,2'))
    assert (by_index['n'], by_index['missed'], by_index['absent']) == (1, 1, 1)
    assert by_index['mean_error_deg'] == pytest.approx(by_name['mean_error_deg'])


def test_label_selects_a_face_by_a_point_in_it(labels, tmp_path):
    one = Sample().read()
    cv2.imwrite(str(tmp_path / 'two.png'), np.hstack([one, cv2.flip(one, 1)]))
    rows = ('frame,pitch,yaw,face_x,face_y', '0,0,0,320,230', '0,0,0,959,230')
    both = evaluate('--input', tmp_path / 'two.png', '--labels', labels(*rows))
    assert (both['n'], both['missed']) == (2, 0)
    first, second = (evaluate('--input', tmp_path / 'two.png', '--labels', labels(rows[0], row))
                     for row in rows[1:])
    assert abs(first['bias_yaw_deg'] - second['bias_yaw_deg']) > 1
    assert both['bias_yaw_deg'] == pytest.approx(
        (first['bias_yaw_deg'] + second['bias_yaw_deg']) / 2)
    no_face = gaze_ros('evaluate', '--input', tmp_path / 'two.png', '--labels', labels(
        rows[0], '0,0,0,640,5'))
    assert no_face.returncode == 1
    assert 'none of the 1 labelled images has a face with a gaze' in no_face.stderr


@pytest.mark.parametrize('rows,more,reason', [
    (['a,b', '1,2'], [], 'no column for the image'),
    (['frame,pitch,yaw', '0,0,x'], [], "line 2, column yaw: 'x' is not a number"),
    (['frame,pitch,yaw', '0,0,0', '0,0,1'], [], 'line 3: 0 has more than one label'),
    (['frame,pitch,yaw', '90,0,0'], [], 'none of the 1 labelled images is in the input'),
    (['image,pitch,yaw', 'a.png,0,0'], [], 'is a video: add the column frame'),
    (['frame,pitch,yaw', '0,0,0'], ['--labels', '/nowhere.csv'], 'No such file'),
    (['frame,pitch,yaw', '0,0,0'], ['--labels', ''], '--labels is needed'),
    (['frame,pitch,yaw', '0,0,0'], ['--input', '/nowhere.mp4'], 'does not exist'),
    (['frame,pitch,yaw', '0,0,0'], ['--input', '/dev/null'], 'is not a file'),
])
def test_invalid_input_is_reported_in_one_line(clip, labels, rows, more, reason):
    done = gaze_ros('evaluate', '--input', clip, '--labels', labels(*rows), *more)
    errors = [line for line in done.stderr.splitlines() if line.startswith('gaze_ros evaluate: ')]
    assert done.returncode == 1 and not done.stdout
    assert len(errors) == 1 and reason in errors[0], done.stderr


def test_folder_with_its_labels_and_several_inputs(clip, labels, tmp_path):
    cv2.imwrite(str(tmp_path / 'face.png'), Sample().read())
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((100, 100, 3), 90, np.uint8))
    folder = labels(
        'file,pitch_up_deg,yaw_image_right_deg,head_pitch_up_deg,head_yaw_image_right_deg,'
        'head_roll_deg,eyes_open,face_x,face_y', 'face.png,1,2,0,-25,,1,320,230',
        'grey.png,,,,70,3,,,').parent
    figures = evaluate('--input', folder)
    assert set(figures) == FIGURES and figures['labels'] == str(folder / 'labels.csv')
    assert (figures['n'], figures['missed']) == (1, 0)  # the other one has no labelled gaze
    assert figures['coverage'] == {
        'labels': 2, 'found': 1, 'with_gaze': 1, 'found_share': 0.5, 'gaze_share': 0.5}
    assert [b['labels'] for b in figures['by_head_yaw']] == [0, 1, 0, 1]
    assert [b['n'] for b in figures['by_head_yaw']] == [0, 1, 0, 0]
    assert figures['head']['n'] == 1 and figures['eyes']['open'] == 1
    other = labels('frame,pitch,yaw', '0,0,0', '3,0,0', name='other.csv')
    words = '--input', folder, clip, '--labels', folder / 'labels.csv', other
    both = evaluate(*words)
    assert set(both) == FIGURES | {'inputs'}
    assert both['input'] == [str(folder), str(clip)] and both['n'] == 3
    first, second = both['inputs']
    assert {**first, 'model': 0, 'detector': 0}.keys() == FIGURES
    assert (first['n'], second['n']) == (1, 2)
    assert first['mean_error_deg'] == figures['mean_error_deg']
    table = gaze_ros('evaluate', '--model', 'mediapipe', *words).stdout
    assert 'all 2 inputs\n' in table and f'{clip}\n' in table
    assert '1 of 2 labelled faces found (50 %), 1 with a gaze (50 %)' in table
    assert '  |head yaw| 60+' in table


def test_calibration_on_the_first_labels(clip, labels):
    path = labels('frame,pitch_deg,yaw_deg', *(f'{index},8,9' for index in range(12)))
    figures = evaluate('--input', clip, '--labels', path, '--calibrate-first', '6')
    result = figures['calibration']
    assert (result['first'], result['subjects'], result['n'], figures['n']) == (6, 1, 6, 6)
    assert result['mean_error_deg'] == pytest.approx(figures['mean_error_deg'])
    assert result['mean_error_deg'] < 0.7 * result['mean_error_before_deg']
    table = gaze_ros('evaluate', '--input', clip, '--labels', path, '--model', 'mediapipe',
                     '--calibrate-first', '6').stdout
    assert 'calibrated on the first 6 labels of 1 subjects; 0 refused' in table
    for n, reason in (('1', 'expected at least 2'), ('12', 'no subject has more than 12')):
        done = gaze_ros('evaluate', '--input', clip, '--labels', path, '--model', 'mediapipe',
                        '--calibrate-first', n)
        assert done.returncode == 1 and reason in done.stderr


def test_labels_that_do_not_fit_the_inputs(clip, labels):
    path = labels('frame,pitch,yaw', '0,0,0')
    for words, reason in (
            (('--input', clip), '--labels is needed'),
            (('--input', path.parent, clip), '--labels is needed'),
            (('--input', clip, clip, '--labels', path), '2 inputs have 1 files of labels'),
            (('--input', clip, '--labels', path, path), '1 inputs have 2 files of labels')):
        done = gaze_ros('evaluate', *words)
        assert done.returncode == 1 and reason in done.stderr.splitlines()[-1]


def test_rendered_faces(shared):
    folder = shared / 'labelled' / 'rendered_faces'
    figures = evaluate('--input', folder, '--detector', 'yunet', '--detector-weight',
                       shared / 'models' / 'face_detection_yunet_2026may.onnx')
    assert figures['coverage']['labels'] == 16 and figures['coverage']['found'] >= 15
    assert figures['n'] + figures['missed'] == 16 and figures['n'] >= 14
    assert figures['mean_error_deg'] <= 20 and figures['share_over_40_deg'] <= 0.1
    assert [b['labels'] for b in figures['by_head_yaw']] == [9, 2, 3, 2]
    assert sum(b['n'] for b in figures['by_head_yaw']) == figures['n']
    assert figures['head']['n'] == figures['coverage']['found']
    assert figures['eyes'] is None
    assert figures['zero_baseline_error_deg'] > 40


def test_rendered_small_and_photographs_of_shut_eyes(shared):
    """16-bit images with alpha, and GIFs without a labelled gaze."""
    small, photographs = evaluate('--input', *(
        shared / 'labelled' / name for name in ('rendered_small', 'eyes_open')),
        '--detector', 'yunet', '--detector-weight',
        shared / 'models' / 'face_detection_yunet_2026may.onnx')['inputs']
    assert small['coverage']['found'] == 51 and small['n'] + small['missed'] == 51
    assert small['mean_error_deg'] <= 17
    assert photographs['coverage']['found'] == 32 and photographs['absent'] == 0
    assert photographs['n'] == photographs['missed'] == 0
    assert photographs['head']['mean_error_deg'] <= 9
    assert (photographs['eyes']['shut'], photographs['eyes']['open']) == (8, 16)


@pytest.fixture
def eyes(tmp_path):
    def eyes(**members):
        path = tmp_path / 'eyes.zip'
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in members.items():
                archive.writestr(name.replace('_csv', '.csv'), data)
        return path
    return eyes


HEAD = 'left_eye,right_eye,head_yaw_P_deg,pitch_up_V_deg,yaw_H_deg_image_right\n'


@pytest.mark.parametrize('members,reason', [
    ({}, "labels 'labels.csv' are neither in"),
    ({'labels_csv': 'left_eye,right_eye\n'}, "no column for the head's yaw"),
    ({'labels_csv': HEAD + 'l,r,0,1,2\n'}, "model 'mediapipe' needs whole faces"),
])
def test_invalid_eyes_are_reported_in_one_line(eyes, members, reason):
    done = gaze_ros('evaluate', '--eyes', eyes(**members), '--model', 'mediapipe')
    assert done.returncode == 1
    assert reason in done.stderr.splitlines()[-1]


def test_invalid_zip_and_wrong_usage(clip):
    assert 'is not a readable zip' in gaze_ros('evaluate', '--eyes', clip).stderr
    assert gaze_ros('evaluate').returncode == 2
    assert gaze_ros('evaluate', '--eyes', clip, '--input', clip).returncode == 2


def test_selftest_is_inconclusive_for_a_constant_gaze(clip):
    done = gaze_ros('models', 'selftest', '--input', clip, '--model', 'mediapipe')
    assert done.returncode == 1
    assert '12 faces in 12 images' in done.stdout
    assert 'inconclusive: the gaze varies by' in done.stderr.splitlines()[-1]


def test_selftest_of_the_default_model_is_right(shared):
    done = gaze_ros('models', 'selftest', '--model', 'mediapipe', '--input',
                    shared / 'labelled' / 'four_targets' / 'video.mp4')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith('right: ')


def test_selftest_finds_exchanged_heads(shared):
    pytest.importorskip('torch')
    done = gaze_ros('models', 'selftest', '--input',
                    shared / 'labelled' / 'four_targets' / 'video.mp4', '--model', 'mobileone_s0',
                    '--weight', shared / 'models' / 'mobileone_s0.pt', '--head-order', 'as_named')
    assert done.returncode == 1
    assert 'exchanged: ' in done.stderr.splitlines()[-1]


def test_default_model_on_known_targets(shared):
    folder = shared / 'labelled' / 'four_targets'
    figures = evaluate('--input', folder / 'video.mp4', '--labels', folder / 'labels.csv')
    assert figures['n'] + figures['missed'] == 46 and figures['missed'] <= 1
    assert figures['mean_error_deg'] <= 9.5
    assert figures['mean_error_without_bias_deg'] <= 4.2
    assert min(figures['correlation_pitch'], figures['correlation_yaw']) > 0.95
    assert figures['zero_baseline_error_deg'] == pytest.approx(24.99, abs=0.01)
    assert figures['constant_baseline_error_deg'] == pytest.approx(22.31, abs=0.01)


def test_adas_on_the_eyes_of_columbia_gaze(shared):
    pytest.importorskip('openvino')
    figures = evaluate(
        '--eyes', shared / 'labelled' / 'columbia_eyes_420.zip', '--model', 'adas', '--weight',
        shared / 'models' / 'intel' / 'gaze-estimation-adas-0002.xml')
    assert figures['n'] + figures['missed'] == 420 and figures['missed'] <= 10
    assert figures['detector'] is None
    assert figures['mean_error_deg'] <= 7.3
    assert min(figures['correlation_pitch'], figures['correlation_yaw']) > 0.75
    assert figures['zero_baseline_error_deg'] == pytest.approx(12.05, abs=0.01)
