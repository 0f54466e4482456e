"""Real pictures, faces and models, each loaded once."""
import csv

import cv2
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.estimators import create_estimator, Settings
import numpy as np
import pytest


@pytest.fixture(scope='session')
def mediapipe():
    """Return the model that arrives with pip, loaded once."""
    pytest.importorskip('mediapipe')
    estimator = create_estimator('mediapipe')
    yield estimator
    estimator.close()


@pytest.fixture(scope='session')
def adas(shared):
    """Return Intel's gaze model with its companions in fp32, loaded once."""
    pytest.importorskip('openvino')
    weight = shared / 'models' / 'intel' / 'gaze-estimation-adas-0002.xml'
    estimator = create_estimator('adas', Settings(
        weight=str(weight), precision='fp32', threads=1))
    yield estimator
    estimator.close()


@pytest.fixture(scope='session')
def detector(shared):
    """Return the detector that ``auto`` takes where every file is there."""
    weight = shared / 'models' / 'face_detection_yunet_2026may.onnx'
    detector = create_detector('yunet', weight=str(weight))
    yield detector
    detector.close()


def _every(path, step):
    capture = cv2.VideoCapture(str(path))
    index = 0
    while capture.grab():
        if index % step == 0:
            yield index, capture.retrieve()[1]
        index += 1
    assert index


@pytest.fixture(scope='session')
def every():
    """Return a generator of every step-th picture of a video, with its number."""
    return _every


@pytest.fixture(scope='session')
def four_targets(shared, detector):
    """Return picture, face, and the true pitch and yaw in radians, of every settled frame."""
    clip = shared / 'labelled' / 'four_targets'
    with open(clip / 'labels.csv', encoding='utf-8') as file:
        rows = [*csv.DictReader(file)]
    seen = [(picture, detector.detect(picture)[0],
             np.radians([float(row['pitch_up_deg']), float(row['yaw_image_right_deg'])]))
            for row, (_, picture) in zip(rows, _every(clip / 'video.mp4', 1))
            if row['settled'] == '1']
    assert len(seen) > 40
    return seen


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Keep models that this machine has out of sight; return a folder for others."""
    monkeypatch.setenv('GAZE_ROS_MODELS', str(tmp_path / 'models'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'models').mkdir()
    return tmp_path / 'models'
