"""Head poses recovered from the projections of synthetic heads into cameras of every kind."""
import math

import cv2
from gaze_ros.core.geometry.camera_model import Calibration, Lens
from gaze_ros.core.geometry.head_pose import (
    BOX_EYES,
    BOX_SIZE,
    estimate_head_poses,
    MEAN_FACE,
    quaternion_from_matrix,
)
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.types import Estimate, Face
from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pytest

IPD = 0.063
WIDTH, HEIGHT = 1280, 960
K = np.array([[900.0, 0, 655], [0, 880, 470], [0, 0, 1]])
WIDE = np.array([[420.0, 0, 655], [0, 415, 470], [0, 0, 1]])
NONE = np.zeros(3)
#: K, coefficients, whether fisheye, and degrees from the axis at which heads are put.
CAMERAS = {
    'pinhole': (K, np.zeros(0), False, 42),
    'plumb_bob': (K, np.array([-0.25, 0.07, 0.001, -0.0015, 0.01]), False, 40),
    'pincushion': (K, np.array([0.1, 0.02, -0.0005, 0.0005]), False, 38),
    'rational': (WIDE, np.array([0.5, 0.1, 0.0005, -0.0003, 0.01, 0.8, 0.2, 0.02]), False, 50),
    'thin prism': (
        K, np.array([-0.1, 0, 0.001, 0, 0, 0, 0, 0, 0.001, -0.002, 0.001, 0]), False, 40),
    'fisheye': (WIDE, np.array([0.03, -0.01, 0.004, -0.0006]), True, 76),
}


def turned(ray, yaw, pitch, roll):
    """Return the axes of REP-155, as columns, of a head that faces the lens and is then turned."""
    x = -ray
    z = np.array([0.0, -1.0, 0.0])
    z = z - np.dot(z, x) * x
    z /= np.linalg.norm(z)
    facing = np.stack([x, np.cross(z, x), z], axis=1)
    about = [cv2.Rodrigues(np.array(v, float))[0]
             for v in ((0, 0, yaw), (0, pitch, 0), (roll, 0, 0))]
    return facing @ about[0] @ about[1] @ about[2]


def matrix_of(q):
    x, y, z, w = q
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def angle(a, b):
    """Return the angle between two orientations or two directions, degrees."""
    if a.ndim == 2:
        return math.degrees(np.linalg.norm(cv2.Rodrigues(a.T @ b)[0]))
    return math.degrees(math.atan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b)))


def seen(camera, points):
    """Return the (N, 2) pixels of the full image at which a camera sees (N, 3) points."""
    matrix, distortion, fisheye, _ = CAMERAS[camera]
    if fisheye:
        return cv2.fisheye.projectPoints(
            points.reshape(-1, 1, 3), NONE, NONE, matrix, distortion)[0][:, 0]
    return cv2.projectPoints(points, NONE, NONE, matrix, distortion)[0][:, 0]


def face_of(camera, origin, axes, distance=IPD):
    """Return a person's face as a camera sees it: landmarks, and a box of the size boxes have."""
    side = BOX_SIZE * distance
    ray = origin / np.linalg.norm(origin)
    flat = turned(ray, 0, 0, 0)
    corners = origin + side * np.array([
        [0, a, b] for a in (-0.5, 0.5) for b in (BOX_EYES, BOX_EYES - 1)]) @ flat.T
    low, high = (f(seen(camera, corners), axis=0) for f in (np.min, np.max))
    landmarks = seen(camera, origin + distance * MEAN_FACE @ axes.T)
    return Face((*low, *(high - low)), 0.9, landmarks)


@st.composite
def heads(draw, camera):
    """Return the origin, the axes and the face of somebody in the image."""
    limit = math.radians(CAMERAS[camera][3])
    off, around = draw(st.floats(0, limit)), draw(st.floats(-math.pi, math.pi))
    ray = np.array([math.sin(off) * math.cos(around), math.sin(off) * math.sin(around),
                    math.cos(off)])
    origin = draw(st.floats(0.35, 8)) * ray
    axes = turned(ray, *(math.radians(draw(st.floats(-most, most))) for most in (65, 35, 40)))
    face = face_of(camera, origin, axes)
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    assume(low.min() >= 0 and high[0] <= WIDTH and high[1] <= HEIGHT)
    return origin, axes, face


@st.composite
def deliveries(draw, face):
    """Return binning, region and size of a delivered image that shows the face."""
    binning = draw(st.sampled_from([(1, 1), (2, 2), (2, 1), (4, 4)]))
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    x, y = (int(draw(st.floats(0, 1)) * v) for v in low)
    w, h = (draw(st.integers(min(math.ceil(v), most), most)) - start for v, most, start in (
        (high[0], WIDTH, x), (high[1], HEIGHT, y)))
    w, h = w // 8 * 8, h // 8 * 8
    assume(w >= 64 and h >= 64 and x + w >= high[0] and y + h >= high[1])
    roi = draw(st.sampled_from([(0, 0, 0, 0), (x, y, w, h)]))
    scale = draw(st.sampled_from([0.5, 1, 1.5]))
    w, h = roi[2:] if roi[2] else (WIDTH, HEIGHT)
    return binning, roi, (round(scale * w / binning[0]), round(scale * h / binning[1]))


def delivered(face, binning, roi, size):
    """Return the face in pixels of the delivered image."""
    w, h = roi[2:] if roi[2] else (WIDTH, HEIGHT)
    x, y = face.landmarks[:, 0] - roi[0], face.landmarks[:, 1] - roi[1]
    a, b = size[0] / w, size[1] / h
    left, top, wide, high = face.box
    return Face(((left - roi[0]) * a, (top - roi[1]) * b, wide * a, high * b), face.score,
                np.stack([x * a, y * b], axis=1))


class One:
    """A detector and an estimator of one face."""

    name = running = 'one'
    min_score = 0.0

    def __init__(self, face, pitch=0.0, yaw=0.0):
        self.face, self.result = face, Estimate(pitch, yaw, 1.0)

    def detect(self, image):
        return [self.face]

    def estimate(self, image, faces):
        return [self.result] * len(faces)


def process(face, size, calibration, pitch=0.0, yaw=0.0, **settings):
    one = One(face, pitch, yaw)
    engine = Engine(one, one, **settings)
    engine.calibration = calibration
    frame = engine.process(np.zeros((size[1], size[0], 3), np.uint8), 1.0)
    return frame, *frame.gazes


@pytest.mark.parametrize('camera', CAMERAS)
@given(data=st.data(), pitch=st.floats(-1.2, 1.2), yaw=st.floats(-3, 3))
def test_head_pose_and_gaze_are_recovered_anywhere(
        camera, data, pitch, yaw):
    origin, axes, face = data.draw(heads(camera))
    binning, roi, size = data.draw(deliveries(face))
    matrix, distortion, fisheye, _ = CAMERAS[camera]
    made = Calibration(matrix, distortion, WIDTH, HEIGHT, fisheye, binning, roi)
    frame, gaze = process(delivered(face, binning, roi, size), size, made, pitch, yaw)
    assert frame.calibrated
    away = np.linalg.norm(origin)
    assert np.linalg.norm(gaze.origin - origin) <= 0.01 * away
    assert angle(matrix_of(gaze.orientation), axes) <= 0.5
    assert 0.06 * 0.99 * away <= gaze.range_stddev <= 0.065 * away
    # Gaze360's eye frame, whose x is to the left of the image; yaw is to the right here.
    z = origin / away
    up = np.array([0, -1.0, 0])
    y = up - np.dot(up, z) * z
    y /= np.linalg.norm(y)
    x = np.cross(y, z)
    assert angle(gaze.direction, math.cos(pitch) * math.sin(-yaw) * x + math.sin(pitch) * y
                 - math.cos(pitch) * math.cos(yaw) * z) <= 0.5


@pytest.mark.parametrize('degrees', [88, 90, 95, 105])
def test_head_pose_is_recovered_beside_a_fisheye_lens(degrees):
    """Where cv2.fisheye.projectPoints no longer projects."""
    matrix, distortion, _, _ = CAMERAS['fisheye']
    off = math.radians(degrees)
    ray = np.array([math.sin(off), 0, math.cos(off)])
    origin, axes = 1.5 * ray, turned(ray, 0.4, -0.2, 0.1)
    points = origin + IPD * MEAN_FACE @ axes.T
    across = np.hypot(points[:, 0], points[:, 1])
    theta = np.arctan2(across, points[:, 2])
    far = theta + sum(k * theta ** n for k, n in zip(distortion, (3, 5, 7, 9)))
    landmarks = points[:, :2] / across[:, None] * far[:, None] * [420, 415] + [655, 470]
    size = BOX_SIZE * IPD / 1.5 * 420
    face = Face((*(landmarks.mean(axis=0) - size / 2), size, size), 1.0, landmarks)
    head, = estimate_head_poses([face], Lens(matrix, distortion, True), True, IPD)
    assert head.fitted
    assert head.range == pytest.approx(1.5, rel=0.01)
    assert angle(head.ray, ray) <= 0.1
    assert angle(matrix_of(head.orientation), axes) <= 0.5


LENS = Lens(K)
RAY = np.array([0.2, -0.1, 1]) / math.hypot(0.2, 0.1, 1)


def somebody(away=2.0, yaw=0.3, pitch=-0.1, roll=0.1, distance=IPD):
    return face_of('pinhole', away * RAY, turned(RAY, yaw, pitch, roll), distance)


@given(st.floats(0.045, 0.075))
def test_ranges_are_proportional_to_interpupillary_distance(distance):
    face = somebody(distance=distance)
    true, = estimate_head_poses([face], LENS, True, distance)
    taken, = estimate_head_poses([face], LENS, True, IPD)
    assert true.range == pytest.approx(2.0, rel=1e-3)
    assert taken.range / true.range == pytest.approx(IPD / distance)
    assert taken.range_stddev / true.range_stddev == pytest.approx(IPD / distance)
    assert taken.orientation == pytest.approx(true.orientation)


def test_faces_are_independent_of_each_other():
    faces = [somebody(away, yaw=away / 5) for away in (0.5, 1, 2, 4)]
    faces[1].landmarks = None
    together = estimate_head_poses(faces, LENS, True, IPD)
    assert [head.fitted for head in together] == [True, False, True, True]
    for face, head in zip(faces, together):
        alone, = estimate_head_poses([face], LENS, True, IPD)
        assert (alone.range, alone.range_stddev) == (head.range, head.range_stddev)
        np.testing.assert_array_equal(alone.orientation, head.orientation)
    assert estimate_head_poses([], LENS, True, IPD) == []


@pytest.mark.parametrize('yaw', [0, 0.5, 1.0])
def test_half_a_pixel_of_noise_changes_the_pose_little(yaw):
    """The figures in docs/geometry.md, at 40 pixels between the eyes of a face from in front."""
    away = 900 * IPD / 40
    true = turned(RAY, yaw, 0, 0)
    random = np.random.default_rng(0)
    ranges, turns, stddevs = [], [], []
    for _ in range(200):
        face = somebody(away, yaw, 0, 0)
        face.landmarks += random.normal(0, 0.5, (5, 2))
        head, = estimate_head_poses([face], LENS, True, IPD)
        assert head.fitted
        ranges.append(head.range / away)
        turns.append(angle(matrix_of(head.orientation), true))
        stddevs.append(head.range_stddev / head.range)
    assert np.mean(ranges) == pytest.approx(1, abs=0.003)
    assert np.std(ranges) < 0.013
    assert np.median(turns) < 2.5
    assert np.max(turns) < 8
    assert 0.06 < np.median(stddevs) < 0.065


BAD = {
    'one pixel': np.ones((5, 2)), 'all the same': np.full((5, 2), 700.0),
    'NaN': np.full((5, 2), math.nan), 'infinite': np.full((5, 2), math.inf),
    'far out': np.full((5, 2), 1e300), 'one NaN': None,
    'a slanting line': np.array([[800 + 10 * i, 300 + 10 * i] for i in range(5)]),
    'a level line': np.array([[800 + 10.0 * i, 300] for i in range(5)]),
    'an upright line': np.array([[800, 300 + 10.0 * i] for i in range(5)]),
    'eyes swapped': [1, 0, 2, 4, 3], 'upside down': [3, 4, 2, 0, 1], 'mixed up': [2, 0, 4, 1, 3],
    'ten times too small': 0.1, 'ten times too large': 10.0,
}


@pytest.mark.parametrize('bad', BAD)
def test_implausible_landmarks_fall_back_to_the_box(bad, recwarn):
    good, change = somebody(yaw=0), BAD[bad]
    face = Face(good.box, 1.0, good.landmarks.copy())
    if change is None:
        face.landmarks[3, 1] = math.nan
    elif isinstance(change, list):
        face.landmarks = face.landmarks[change]
    elif isinstance(change, float):
        middle = face.landmarks.mean(axis=0)
        face.landmarks = middle + change * (face.landmarks - middle)
    else:
        face.landmarks = change
    head, = estimate_head_poses([face], LENS, True, IPD)
    assert head.fitted is False
    assert head.range == pytest.approx(2.0, rel=0.05)
    assert angle(head.ray, RAY) < 0.5
    assert head.range_stddev == pytest.approx(math.hypot(0.06, 0.1) * head.range)
    # Facing the lens, upright.
    assert angle(matrix_of(head.orientation), turned(head.ray, 0, 0, 0)) < 0.01
    assert not recwarn.list


@given(points=st.lists(st.floats(-2000, 3000), min_size=10, max_size=10),
       box=st.tuples(st.floats(-500, 1500), st.floats(-500, 1500), st.floats(0.5, 2000),
                     st.floats(0.5, 2000)),
       camera=st.sampled_from([*CAMERAS]))
def test_result_is_finite_for_any_detection(points, box, camera):
    matrix, distortion, fisheye, _ = CAMERAS[camera]
    face = Face(box, 1.0, np.reshape(points, (5, 2)))
    head, = estimate_head_poses([face], Lens(matrix, distortion, fisheye), True, IPD)
    assert np.isfinite([*head.ray, head.range, head.range_stddev, *head.orientation]).all()
    assert head.range > 0 and head.range_stddev > 0
    assert np.linalg.norm(head.ray) == pytest.approx(1)
    assert np.linalg.norm(head.orientation) == pytest.approx(1)


def test_turning_head_keeps_its_range():
    for yaw in np.radians([0, 20, 40, 60, 75]):
        head, = estimate_head_poses([somebody(yaw=yaw, pitch=0, roll=0)], LENS, True, IPD)
        assert head.fitted
        assert head.range == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(('camera', 'off'), [('pinhole', 38), ('rational', 50), ('fisheye', 75)])
def test_range_from_the_box_does_not_depend_on_the_position(camera, off):
    matrix, distortion, fisheye, _ = CAMERAS[camera]
    lens = Lens(matrix, distortion, fisheye)
    for degrees in (0, off / 2, off):
        ray = np.array([math.sin(math.radians(degrees)), 0, math.cos(math.radians(degrees))])
        face = face_of(camera, 3.0 * ray, turned(ray, 0, 0, 0))
        face.landmarks = None
        head, = estimate_head_poses([face], lens, True, IPD)
        assert head.range == pytest.approx(3.0, rel=0.05)
        assert angle(head.ray, ray) < 0.5


def test_assumed_camera_increases_range_stddev():
    face = somebody()
    known, assumed = (estimate_head_poses([face], LENS, known, IPD)[0] for known in (True, False))
    assert assumed.range == known.range
    assert assumed.range_stddev == pytest.approx(math.hypot(0.2, 0.06) * known.range, rel=0.01)


@given(st.floats(-3.14, 3.14), st.floats(-1.5, 1.5), st.floats(-3.14, 3.14))
def test_quaternion_from_matrix_is_the_rotation(yaw, pitch, roll):
    rotation = turned(RAY, yaw, pitch, roll)
    q = quaternion_from_matrix(rotation)
    assert np.linalg.norm(q) == pytest.approx(1)
    assert q[3] >= 0
    assert matrix_of(q) == pytest.approx(rotation, abs=1e-6)
    assert matrix_of(quaternion_from_matrix(np.eye(3))) == pytest.approx(np.eye(3))


def test_range_of_a_real_person(four_targets):
    """The rig is assumed to be 640 mm and f = 890 px; a person's eyes may be 7 mm off the mean."""
    matrix = np.array([[890.0, 0, 640], [0, 890, 360], [0, 0, 1]])
    found = [estimate_head_poses([face], Lens(matrix), True, IPD)[0]
             for _, face, _ in four_targets]
    assert all(head.fitted for head in found)
    ranges = np.array([head.range for head in found])
    assert np.median(ranges) == pytest.approx(0.64, rel=0.2)
    assert np.std(ranges) / np.mean(ranges) < 0.05
    for head in found:
        assert angle(matrix_of(head.orientation)[:, 0], -head.ray) < 30
