"""Matching of labels and faces, independence of stills, calibration on the first labels."""
from contextlib import closing
from dataclasses import replace
import math

import cv2
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import GazeRosError
from gaze_ros.core.evaluation.calibration import calibrate
from gaze_ros.core.evaluation.evaluate import (
    EstimatedFace,
    evaluate,
    labelled_images,
    LabelledImage,
    measure_results,
    merged,
    process_images,
    Results,
)
from gaze_ros.core.evaluation.labels import Label, read_labels
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.sources.sample import Sample
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

NAN = math.nan
LABEL = Label(0.1, 0.2, 2, 0, '', None)


@pytest.fixture
def engine(mediapipe):
    with closing(create_detector()) as detector:
        yield Engine(detector, mediapipe)


@pytest.fixture
def folder(tmp_path):
    image = Sample().read()
    for index in range(3):  # of faces that would continue a track
        cv2.imwrite(str(tmp_path / f'{index}.png'), np.roll(image, 3 * index, axis=1))
    cv2.imwrite(str(tmp_path / 'two.png'), np.hstack([image, cv2.flip(image, 1)]))
    cv2.imwrite(str(tmp_path / 'deep.png'), cv2.cvtColor(image, cv2.COLOR_BGR2BGRA).astype(
        np.uint16) * 257)
    (tmp_path / 'text.png').write_text('not an image')
    return tmp_path


def process(engine, folder, *rows):
    path = folder / 'labels.csv'
    path.write_text('\n'.join(('file,pitch,yaw,face_x,face_y,eyes_open', *rows)) + '\n')
    return process_images(engine, labelled_images(folder, read_labels(path), folder)[1])


def test_stills_are_independent(engine, folder):
    rows = [f'{index}.png,0,0,,,' for index in range(3)]
    together = process(engine, folder, *rows)
    alone = [process(engine, folder, row).faces[0] for row in rows]
    for one, other in zip(together.faces, alone):
        assert one.gaze == other.gaze and one.head == other.head
    # No still continued the track of another: each face got an id of its own.
    assert len(engine.tracker) == 1
    frame = engine.process(cv2.imread(str(folder / '0.png')), 100.0)
    assert int(frame.gazes[0].track_id.lstrip('f')) >= 5


def test_frames_of_a_video_share_a_track(engine, folder):
    images = [cv2.imread(str(folder / f'{index}.png')) for index in range(3)]
    first = engine.process(images[0], 0.0).gazes[0].track_id
    process_images(engine, (
        LabelledImage(image, [LABEL], 0.04 * index) for index, image in enumerate(images)))
    last = engine.process(images[2], 0.12).gazes[0].track_id
    assert int(last.lstrip('f')) == int(first.lstrip('f')) + 1


def test_a_face_belongs_to_one_label(engine, folder):
    results = process(engine, folder, 'two.png,0,0,320,230,', 'two.png,0,0,330,240,',
                      'two.png,0,0,959,230,', 'two.png,0,0,640,5,')
    assert sorted(face.found for face in results.faces) == [False, False, True, True]
    left, near, right, none = results.faces
    assert left.found != near.found and right.found and not none.found
    evaluation = evaluate(results)
    assert (evaluation.coverage.found_share, evaluation.accuracy.missed) == (0.5, 2)


def test_sixteen_bit_images_with_alpha_are_read_as_eight_bit(engine, folder):
    eight, sixteen = process(engine, folder, '0.png,0,0,,,', 'deep.png,0,0,,,').faces
    assert sixteen.gaze == pytest.approx(eight.gaze, abs=1e-6)


def test_undecodable_image_is_absent(engine, folder, caplog):
    results = process(engine, folder, '0.png,0,0,,,', 'text.png,0,0,,,')
    assert [label.image for label in results.absent] == ['text.png']
    assert "text.png' (12 bytes) is not an image" in caplog.text


def test_nothing_to_compare_is_an_error():
    with pytest.raises(GazeRosError, match='none of the 1 labelled images is in the input'):
        evaluate(Results(absent=[LABEL]))
    missed = EstimatedFace(LABEL, ())
    with pytest.raises(GazeRosError, match='has a face with a gaze: nothing can be compared'):
        evaluate(Results([missed]))
    head_only = replace(LABEL, pitch=NAN, yaw=NAN, head_pitch=0.0, head_yaw=0.0)
    with pytest.raises(GazeRosError, match='has a face with a head pose or an openness'):
        evaluate(Results([EstimatedFace(head_only, ())]))
    evaluation = evaluate(Results([
        EstimatedFace(head_only, (), True, head=(0.1, 0.0, 0.0)), missed]))
    assert evaluation.accuracy is None and evaluation.gaze_labels == 1
    assert evaluation.head.mean_error_deg == pytest.approx(math.degrees(0.1))
    assert measure_results(Results([missed])).coverage.found == 0
    assert measure_results(Results()).coverage.found_share is None


def test_merged_results_are_those_of_all_inputs():
    one = Results([EstimatedFace(LABEL, (), True, (0.1, 0.2))], [LABEL], [1.0], [2.0])
    whole = evaluate(merged([one, one]))
    assert (whole.accuracy.n, len(whole.absent), whole.detection_ms) == (2, 2, 1000.0)


@given(st.integers(0, 2 ** 32 - 1), st.booleans())
def test_constant_offset_in_the_frame_of_the_head_is_mostly_removed(seed, known_heads):
    rng = np.random.default_rng(seed)
    n = 60
    true = rng.uniform(-0.3, 0.3, (n, 2))
    heads = [cv2.Rodrigues(v)[0] if known_heads else None for v in rng.uniform(-0.5, 0.5, (n, 3))]
    subjects = np.arange(n) % 2
    offsets = rng.choice([-1, 1], (2, 2)) * rng.uniform(0.1, 0.25, (2, 2))
    gazes = []
    for label, head, subject in zip(true, heads, subjects):
        axes = np.eye(3) if head is None else head
        p, y = unit_to_angles(axes.T @ angles_to_unit(*label))
        dp, dy = offsets[subject]
        gazes.append(unit_to_angles(axes @ angles_to_unit(p - dp, y - dy)))
    gazes, stddevs = np.array(gazes), np.full(n, 0.2)
    gazes[[3, 50]] = NAN
    calibrated = calibrate(gazes, stddevs, true, heads, subjects, 10)
    result = calibrated.result
    assert (result.subjects, result.skipped, result.refused) == (2, 0, 0)
    # Labels that were fitted, or come before the last of them, are not compared.
    assert not calibrated.compared[:20].any()
    assert calibrated.compared[22:].all()
    assert result.mean_error_deg < 0.5 * result.mean_error_before_deg
    assert (calibrated.stddevs[22:] <= 0.2).all()
    assert (calibrated.stddevs[22:][np.isfinite(gazes[22:, 0])] < 0.2).all()
    assert np.isnan(calibrated.gazes[50]).all()


def test_subjects_with_few_labels_are_skipped():
    true = np.zeros((5, 2))
    subjects = ['a', 'b', 'a', 'b', 'a']
    result = calibrate(
        true + 0.1, np.full(5, NAN), true, [None] * 5, subjects, 2).result
    assert (result.subjects, result.skipped, result.n) == (1, 1, 1)
    none = calibrate(true + 0.1, np.full(5, NAN), true, [None] * 5, subjects, 3).result
    assert (none.subjects, none.n, none.mean_error_deg) == (0, 0, None)
    with pytest.raises(GazeRosError, match='no subject has more than 3 labels with a gaze'):
        evaluate(Results([
            EstimatedFace(LABEL, (subject,), True, (0.0, 0.0)) for subject in subjects]), 3)


def test_a_correction_that_does_not_help_is_refused():
    true = np.zeros((6, 2))
    gazes = true + np.array([[0.1, 0], [-0.1, 0], [0.1, 0], [-0.1, 0], [0.1, 0], [-0.1, 0]])
    calibrated = calibrate(gazes, np.full(6, 0.2), true, [None] * 6, ['a'] * 6, 4)
    assert calibrated.result.refused == 1
    assert (calibrated.gazes == gazes).all() and (calibrated.stddevs == 0.2).all()
    assert calibrated.result.mean_error_deg == calibrated.result.mean_error_before_deg
