"""Faces between two detections: on textures whose motion is known, and in real clips."""
import math

import cv2
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.tracking import optical_flow
from gaze_ros.core.tracking.optical_flow import (
    DetectionScheduler,
    MAX_INTERVAL,
    OpticalFlowTracker,
)
from gaze_ros.core.types import Estimate, Face
from hypothesis import example, given
from hypothesis import strategies as st
import numpy as np
import pytest

RNG = np.random.default_rng(7)


def texture(width=640, height=480):
    """Return something with detail of a few sizes, as skin, eyes and hair have it."""
    noise = sum(
        cv2.GaussianBlur(RNG.normal(size=(height, width, 3)), (0, 0), s) * s for s in (2, 5, 12))
    return np.clip(128 + 40 / noise.std() * noise, 0, 255).astype(np.uint8)


IMAGE = texture()
SHAPE = IMAGE.shape


def moved(image, dx=0.0, dy=0.0, scale=1.0, about=(0.0, 0.0)):
    x, y = about
    matrix = np.array([[scale, 0, dx + x - scale * x], [0, scale, dy + y - scale * y]])
    height, width = image.shape[:2]
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def pasted(image, at, patch):
    out, (x, y) = image.copy(), at
    out[y:y + patch.shape[0], x:x + patch.shape[1]] = patch
    return out


def tracked(faces, *images):
    tracker = OpticalFlowTracker()
    tracker.start(images[0], faces)
    for image in images[1:]:
        found = tracker.track(image)
    return found


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(0.9, 1.1), st.integers(24, 200))
@example(0.0, 0.0, 1.0, 24)
@example(20.0, -20.0, 0.9, 24)
@example(20.0, -20.0, 1.1, 24)
def test_face_follows_motion_and_scale_of_its_texture(dx, dy, scale, side):
    box = (320 - side / 2, 240 - side / 2, side, 1.2 * side)
    face = Face(box, 0.8, np.array(box[:2]) + side * RNG.random((5, 2)))
    now, = tracked([face], IMAGE, moved(IMAGE, dx, dy, scale, face.center))
    assert now.score == 0.8
    assert now.center == pytest.approx((face.center[0] + dx, face.center[1] + dy), abs=0.5)
    assert now.box[2:] == pytest.approx((scale * side, scale * 1.2 * side), rel=0.02)
    expected = np.array(face.center) + (dx, dy) + scale * (face.landmarks - face.center)
    assert now.landmarks == pytest.approx(expected, abs=1.0)


def test_large_images_give_the_same_motion():
    large = cv2.resize(IMAGE, (1920, 1440), interpolation=cv2.INTER_CUBIC)
    face = Face((900, 600, 150, 180), 0.9)
    now, = tracked([face], large, moved(large, 30, -18, 1.05, face.center))
    assert now.center == pytest.approx((975 + 30, 690 - 18), abs=1.0)
    assert now.box[2:] == pytest.approx((1.05 * 150, 1.05 * 180), rel=0.02)
    assert now.landmarks is None


def test_small_steps_add_up():
    images = [moved(IMAGE, 3 * i, 2 * i) for i in range(21)]
    now, = tracked([Face((200, 150, 60, 60), 0.9)], *images)
    assert now.box == pytest.approx((260, 190, 60, 60), abs=1.0)


def test_faces_move_independently_with_one_forward_and_one_backward_flow(monkeypatch):
    calls = []
    real = cv2.calcOpticalFlowPyrLK
    monkeypatch.setattr(cv2, 'calcOpticalFlowPyrLK',
                        lambda *a, **k: calls.append(a) or real(*a, **k))
    patches = [texture(100, 100) for _ in range(3)]
    before, now = IMAGE, IMAGE
    places, steps = [(40, 60), (250, 300), (480, 100)], [(6, 2), (-9, 4), (0, -7)]
    for patch, (x, y), (dx, dy) in zip(patches, places, steps):
        before = pasted(before, (x, y), patch)
        now = pasted(now, (x + dx, y + dy), patch)
    found = tracked([Face((x + 10, y + 10, 80, 80), 0.9) for x, y in places], before, now)
    for face, (x, y), (dx, dy) in zip(found, places, steps, strict=True):
        assert face.box == pytest.approx((x + 10 + dx, y + 10 + dy, 80, 80), abs=1.0)
    assert len(calls) == 2


@pytest.mark.parametrize('now', [
    texture(), np.full(SHAPE, 90, np.uint8),
    pasted(IMAGE, (150, 100), np.zeros((200, 200, 3), np.uint8)),
    moved(IMAGE, scale=1.6, about=(240, 190))],
    ids=['another image', 'nothing', 'something black before it', 'too near at once'])
def test_lost_face_is_dropped(now):
    gone, still = Face((200, 150, 80, 80), 0.9), Face((420, 300, 90, 90), 0.9)
    tracker = OpticalFlowTracker()
    tracker.start(IMAGE, [gone])
    assert tracker.track(now) == []
    assert tracker.track(IMAGE) == []
    kept, = tracked([gone, still], IMAGE, pasted(
        now, (380, 260), IMAGE[260:430, 380:550]))
    assert kept.box == pytest.approx(still.box, abs=1.0)


def test_face_leaving_the_image_is_tracked_up_to_its_center():
    tracker = OpticalFlowTracker()
    tracker.start(IMAGE, [Face((500, 200, 100, 100), 0.9)])
    seen = []
    for i in range(1, 20):
        seen += tracker.track(moved(IMAGE, 8 * i))
    assert 9 <= len(seen) <= 11
    for i, face in enumerate(seen, 1):
        assert face.center == pytest.approx((550 + 8 * i, 250), abs=3.0)


@pytest.mark.parametrize('box', [
    (200, 200, 3, 3), (200, 200, 0, 0), (-90, 100, 91, 90), (639.5, 100, 90, 90)])
def test_face_with_hardly_a_pixel_in_the_image_is_not_tracked(box):
    assert tracked([Face(box, 0.9)], IMAGE, IMAGE) == []


def test_without_faces_no_image_is_processed(monkeypatch):
    monkeypatch.setattr(optical_flow, 'cv2', None)
    assert tracked([], IMAGE, IMAGE, IMAGE) == []


def detections(scheduler, interval, count, first=0, period=1 / 30, shape=SHAPE):
    """Return the indices of the images that the detector runs on, and succeeds."""
    return [i for i in range(first, first + count)
            if detect_if_due(scheduler, interval, shape, i * period)]


def detect_if_due(scheduler, interval, shape, stamp):
    if not scheduler.should_detect(interval, shape, stamp):
        return False
    scheduler.report_duration(0.001)
    return True


@given(st.integers(1, 100), st.integers(1, 300))
def test_detector_runs_on_every_nth_image(interval, count):
    assert detections(DetectionScheduler(), interval, count) == [*range(0, count, interval)]


def test_tracks_between_is_set_for_intervals_above_one():
    scheduler = DetectionScheduler()
    for stamp, interval in enumerate((3, 3, 3, 1, 2)):
        detect_if_due(scheduler, interval, SHAPE, stamp)
        assert scheduler.tracks_between is (interval > 1)


def test_interval_can_change_at_any_time():
    scheduler = DetectionScheduler()
    assert detections(scheduler, 10, 4) == [0]
    assert detections(scheduler, 2, 4, 4) == [4, 6]
    assert detections(scheduler, 1, 3, 8) == [8, 9, 10]
    assert detections(scheduler, 5, 6, 11) == [11, 16]


@pytest.mark.parametrize(('shape', 'stamp'), [((480, 641, 3), 1.0), (SHAPE, 0.01)])
def test_detector_runs_after_a_change_of_size_or_a_jump_back(shape, stamp):
    scheduler = DetectionScheduler()
    assert detections(scheduler, 10, 3) == [0]
    assert detect_if_due(scheduler, 10, shape, stamp)
    assert not detect_if_due(scheduler, 10, shape, stamp + 0.01)


@pytest.mark.parametrize(('duration', 'period', 'expected'), [
    (0.005, 1 / 30, 1), (0.011, 1 / 30, 1), (0.012, 1 / 30, 2), (0.05, 1 / 30, 5),
    (0.05, 1 / 5, 1), (9.0, 1 / 30, MAX_INTERVAL), (0.0, 1 / 30, 1)])
def test_auto_interval_gives_the_detector_a_third_of_the_time(duration, period, expected):
    scheduler = DetectionScheduler()
    due = []
    for i in range(100):
        if scheduler.should_detect(0, SHAPE, i * period):
            due.append(i)
            # One slow call, the first as it may be, does not count.
            scheduler.report_duration(10 * duration if i == 0 else duration)
    assert {b - a for a, b in zip(due[5:], due[6:])} == {expected}


def test_auto_interval_detects_always_while_stamps_stand_still():
    scheduler = DetectionScheduler()
    for _ in range(10):
        assert scheduler.should_detect(0, SHAPE, 0.0)
        scheduler.report_duration(1.0)


def overlap(a, b):
    w, h = (max(0.0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h)


class NoGaze:
    """An estimator that returns unknown gazes and takes no time."""

    name = 'no gaze'

    def estimate(self, image, faces):
        return [Estimate() for _ in faces]


@pytest.fixture(scope='module')
def clip(shared, every):
    """Return a function that returns the first 60 images of a clip, each read once."""
    known = {}

    def images(name):
        if name not in known:
            path = shared / 'videos' / f'{name}.mp4'
            known[name] = [p for _, (_, p) in zip(range(60), every(path, 1))]
        return known[name]
    return images


@pytest.mark.parametrize('name', ['classroom_720p', 'one_person_1080p', 'three_children_720p'])
def test_tracked_faces_match_detected_faces(clip, detector, name, monkeypatch):
    # The engine lowers it; other tests share this detector.
    monkeypatch.setattr(detector, 'min_score', detector.min_score)
    boxes = {}
    for interval in (1, 3, 10):
        engine = Engine(detector, NoGaze(), detect_interval=interval)
        boxes[interval] = [
            {g.track_id: g.face.box for g in engine.process(p, i / 30).gazes}
            for i, p in enumerate(clip(name))]
    for interval, least in ((3, 0.92), (10, 0.87)):
        followed = [i for i in range(60) if i % interval]
        same = [overlap(box, boxes[1][i].get(track_id, (0, 0, 0, 0)))
                for i in followed for track_id, box in boxes[interval][i].items()]
        assert np.mean(same) > least
        faces = [sum(len(boxes[k][i]) for i in followed) for k in (interval, 1)]
        assert faces[0] == pytest.approx(faces[1], rel=0.03)
    assert math.isclose(len({*boxes[10][-1]} & {*boxes[1][-1]}), len(boxes[1][-1]), abs_tol=1)


def test_after_a_failed_detection_nothing_is_tracked():
    scheduler = DetectionScheduler()
    assert scheduler.should_detect(10, (480, 640, 3), 0.0)
    scheduler.report_duration(0.01)
    assert not scheduler.should_detect(10, (480, 640, 3), 0.1)
    assert scheduler.should_detect(10, (240, 320, 3), 0.2)  # it fails: no duration is reported
    assert not scheduler.tracks_between
    assert scheduler.should_detect(10, (240, 320, 3), 0.3)
    scheduler.report_duration(0.01)
    assert scheduler.tracks_between
    assert not scheduler.should_detect(10, (240, 320, 3), 0.4)
