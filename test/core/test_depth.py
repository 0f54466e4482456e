"""Ranges of faces in synthetic depth images: faces as half ellipsoids, with holes and hands."""
import math

from gaze_ros.core.geometry.camera_model import Calibration, Lens
from gaze_ros.core.geometry.depth import (
    DepthImage,
    DepthImages,
    EYES_BEHIND,
    MAX_STAMP_DIFFERENCE,
    MIN_VALID,
    sphere_of_box,
    with_measured_ranges,
)
from gaze_ros.core.geometry.head_pose import estimate_head_poses, HeadPose
from gaze_ros.core.pipeline.engine import Engine
from gaze_ros.core.types import Estimate, Face
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

WIDTH, HEIGHT = 640, 480
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
LENS = Lens(K)
#: Half axes of a head, meters: across, down and toward the lens.
HEAD = np.array([0.075, 0.105, 0.09])
WALL = 5.0


def scene(center, scale=1.0, matrix=K, size=(WIDTH, HEIGHT)):
    """Return z (H, W) in meters of an ellipsoid that faces the lens, and the box around it."""
    width, height = size
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    rays = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1],
                     np.ones_like(u)], axis=-1).astype(float)
    a = ((rays / HEAD) ** 2).sum(axis=-1)
    b = (rays / HEAD * (center / HEAD)).sum(axis=-1)
    c = ((center / HEAD) ** 2).sum() - 1
    root = b * b - a * c
    with np.errstate(invalid='ignore'):
        z = np.where(root > 0, (b - np.sqrt(root)) / a, WALL)
    rows, columns = np.nonzero(z < WALL)
    x, y = columns.min(), rows.min()
    return z, (float(x), float(y), float(columns.max() - x + 1), float(rows.max() - y + 1))


def measure(z, box, range_, *, prior=1.0, unit=1.0, dtype=np.float32, stddev=0.2, **more):
    """Return the head pose after the depth image; ``prior``: factor of the range before."""
    x, y, w, h = box
    ray = LENS.rays(np.array([[x + w / 2, y + h / 2]]))[0][0]
    head = HeadPose(ray, prior * range_, stddev * prior * range_, np.array([0, 0, 0, 1.0]), True)
    pixels = (np.asarray(z) / unit).round() if unit != 1.0 else np.asarray(z)
    depth = DepthImage(pixels.astype(dtype), unit, more.pop('stamp', 10.0), **more)
    return with_measured_ranges([Face(box, 0.9)], [head], depth, LENS, (WIDTH, HEIGHT), 10.0)[0]


def eyes_range(center):
    """Return the range of the eyes: EYES_BEHIND the median surface of this head."""
    # The surface of the ellipsoid's middle is its half axis in front of the center, minus what
    # the median over the sampled ellipse lies behind: measured once, 12 mm.
    return np.linalg.norm(center) - HEAD[2] + 0.012 + EYES_BEHIND


@given(x=st.floats(-0.35, 0.35), y=st.floats(-0.25, 0.25), z=st.floats(0.5, 3.5),
       prior=st.floats(0.75, 1.35), unit=st.sampled_from([1.0, 0.001]),
       holes=st.floats(0, 0.7), seed=st.integers(0, 99))
def test_range_of_a_face_with_noise_and_holes(x, y, z, prior, unit, holes, seed):
    center = np.array([x * z, y * z, z])
    depth, box = scene(center)
    random = np.random.default_rng(seed)
    depth = depth + random.normal(0, 0.003 * z, depth.shape)
    depth[random.random(depth.shape) < holes] = 0 if unit == 0.001 or seed % 2 else math.nan
    pose = measure(depth, box, np.linalg.norm(center), prior=prior, unit=unit,
                   dtype=np.uint16 if unit == 0.001 else np.float32)
    assert abs(pose.range - eyes_range(center)) < min(
        0.02 + 0.01 * z, 2 * pose.range_stddev)
    assert pose.range_stddev < 0.02 + 0.03 * z


@pytest.mark.parametrize('share', [0.2, 0.4, 0.6])
@pytest.mark.parametrize('gap', [0.05, 0.1, 0.2])
def test_hand_before_the_face_is_told_by_range_stddev(share, gap):
    center = np.array([0.0, 0.0, 1.0])
    z, box = scene(center)
    clear = measure(z, box, 1.0, stddev=0.08)
    x, y, w, h = (int(v) for v in box)
    z[y + int((1 - share) * h):y + h, x:x + w] = 1 - HEAD[2] - gap
    covered = measure(z, box, 1.0, stddev=0.08)
    assert abs(covered.range - eyes_range(center)) < 2.5 * covered.range_stddev
    assert covered.range_stddev > (1.3 if share > 0.2 and gap > 0.05 else 0.99
                                   ) * clear.range_stddev
    if share < 0.5:
        assert abs(covered.range - clear.range) < 0.025


@pytest.mark.parametrize(('shape', 'share'), [
    ('from below', 0.7), ('from below', 0.8), ('from the left', 0.7), ('from the left', 0.8),
    ('round', 0.5), ('round', 0.6)])
@pytest.mark.parametrize('gap', [0.05, 0.1])
@pytest.mark.parametrize('distance', [0.7, 1.2])
def test_hand_before_most_of_the_face_is_told_by_the_step_behind_it(shape, share, gap, distance):
    center = np.array([0.05, 0.0, distance])
    z, box = scene(center)
    x, y, w, h = box
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    right, down = (u - x) / w, (v - y) / h
    covered = {'from below': down > 1 - share, 'from the left': right < share,
               'round': (right - 0.5) ** 2 + (down - 0.5) ** 2 < share / 4}[shape]
    z[covered & (right >= 0) & (right <= 1)] = distance - HEAD[2] - gap
    z += np.random.default_rng(0).normal(0, 0.003 * distance, z.shape)
    pose = measure(z, box, np.linalg.norm(center), stddev=0.1)
    error = eyes_range(center) - pose.range
    assert gap < error < 1.5 * pose.range_stddev < 0.25


@pytest.mark.parametrize('value', [0.0, math.nan, math.inf, -1.0, WALL, 0.3])
def test_face_without_depth_keeps_its_range(value):
    center = np.array([0.1, 0.0, 1.0])
    z, box = scene(center)
    pose = measure(np.full_like(z, value), box, 1.0)
    assert (pose.range, pose.range_stddev) == (1.0, 0.2)
    rows = np.arange(HEIGHT)[:, None]
    few = np.where((rows - rows.min()) % 12 == 0, z, value)  # every 12th row: less than MIN_VALID
    assert MIN_VALID > 1 / 12
    assert measure(few, box, 1.0).range == 1.0


def test_range_that_contradicts_the_landmarks_is_not_sure():
    """A hand that covers the face completely looks like a nearer face."""
    z, box = scene(np.array([0.0, 0.0, 1.0]))
    pose = measure(np.minimum(z, 0.75), box, 1.0, stddev=0.06)
    assert pose.range == pytest.approx(0.75 + EYES_BEHIND, abs=0.01)
    assert pose.range_stddev > 0.1


def test_older_depth_image_is_less_sure():
    z, box = scene(np.array([0.0, 0.0, 1.0]))
    assert measure(z, box, 1.0, stamp=9.96).range_stddev > 0.04 > 2 * 0.015
    assert measure(z, box, 1.0).range_stddev < 0.03


@pytest.mark.parametrize('size', [(320, 240), (1280, 960), (848, 480)])
def test_depth_image_of_another_size(size):
    """Scaled, or with a K of its own that its camera_info gives."""
    center = np.array([-0.2, 0.1, 1.2])
    _, box = scene(center)
    width, height = size
    matrix = K * [[width / WIDTH], [height / HEIGHT], [1]] if size != (848, 480) else np.array(
        [[610.0, 0, 430], [0, 610, 236], [0, 0, 1]])
    z, _ = scene(center, matrix=matrix, size=size)
    for known in (True, False)[:1 if size == (848, 480) else 2]:
        calibration = Calibration(matrix, np.zeros(5), width, height) if known else None
        pose = measure(z, box, np.linalg.norm(center), calibration=calibration)
        assert pose.range == pytest.approx(eyes_range(center), abs=0.015)


@given(box=st.tuples(*[st.floats(-1e4, 1e4)] * 2, *[st.floats(0, 1e4)] * 2),
       shape=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_any_box_and_any_size_give_a_pose(box, shape):
    measure(np.full(shape, 1.0), box, 1.0)


@pytest.mark.parametrize('x', [-0.3, 0.0, 0.4])
def test_object_in_a_box_is_a_sphere_where_its_surface_is(x):
    z, box = scene(np.array([x, 0.1, 1.4]))
    z[::3] = math.nan
    found = sphere_of_box(box, DepthImage(z, 1.0, 0.0), LENS, (WIDTH, HEIGHT))
    # About half of the surface's depth before the center of the ellipsoid.
    np.testing.assert_allclose(found.center, (x, 0.1, 1.4 - 0.08), atol=0.03)
    assert found.radius == pytest.approx((HEAD[0] + HEAD[1]) / 2, abs=0.01)
    assert sphere_of_box(box, DepthImage(0 * z, 1.0, 0.0), LENS, (WIDTH, HEIGHT)) is None


def test_nearest_image_is_taken_if_it_is_near():
    images = DepthImages()
    assert images.nearest(1.0) is None
    for stamp in (1.0, 1.033, 1.066):
        images.add(DepthImage(np.zeros((1, 1)), 1.0, stamp))
    assert images.nearest(1.04).stamp == 1.033
    assert images.nearest(1.066 + 0.99 * MAX_STAMP_DIFFERENCE).stamp == 1.066
    assert images.nearest(1.066 + 1.01 * MAX_STAMP_DIFFERENCE) is None


class OneFace:
    """A detector and an estimator of one face, which is where the test puts it."""

    name, running, min_score = 'one', 'here', 0.5

    def __init__(self, box):
        self._box = box

    def detect(self, image):
        return [Face(self._box, 0.9)]

    def estimate(self, image, faces):
        return [Estimate(0.0, 0.0, 1.0) for _ in faces]

    def close(self):
        pass


def test_engine_takes_the_range_of_the_depth_image():
    center = np.array([0.2, 0.1, 1.0])
    z, box = scene(center)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def gaze(stamp, calibration, *depth):
        engine = Engine(OneFace(box), OneFace(box), smoothing_time=0.0)
        engine.calibration = calibration
        for one in depth:
            engine.depth.add(one)
        return engine.process(image, stamp).gazes[0]

    calibration = Calibration(K, np.zeros(5), WIDTH, HEIGHT)
    depth = DepthImage(z.astype(np.float32), 1.0, 5.0)
    without = gaze(5.0, calibration)
    expected = estimate_head_poses([Face(box, 0.9)], LENS, True, 0.063)[0]
    assert np.linalg.norm(without.origin) == pytest.approx(expected.range)
    measured = gaze(5.0, calibration, depth)
    assert np.linalg.norm(measured.origin) == pytest.approx(eyes_range(center), abs=0.02)
    assert measured.range_stddev < 0.03 < without.range_stddev
    np.testing.assert_allclose(measured.direction, without.direction)
    # Too old, or without a calibrated camera: as without depth.
    for other in (gaze(5.2, calibration, depth), gaze(5.0, None, depth)):
        assert other.range_stddev > 0.05
