"""Rotated images, their calibration, and the search for the rotation that is upright."""
import cv2
from gaze_ros.core import detectors
from gaze_ros.core.detectors import create_detector
from gaze_ros.core.sources import open_source, rotation
from gaze_ros.core.sources.rotation import (
    axis_rotation,
    find_rotation,
    pixel_rotation,
    rotate_distortion,
    rotate_image,
    ROTATIONS,
    RotationSearch,
    Rotator,
)
from gaze_ros.core.sources.sample import Sample
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

DEGREES = st.sampled_from(ROTATIONS)
SIZE = st.tuples(st.integers(1, 40), st.integers(1, 40))
K = np.array([[800.0, 0, 330], [0, 780, 250], [0, 0, 1]])
#: Up to 27 degrees from the axis.
POINTS = np.random.default_rng(1).uniform([-0.5, -0.4, 1], [0.5, 0.4, 1], (40, 3))
RADIAL = st.floats(-0.2, 0.2)
SMALL = st.floats(-0.02, 0.02)


@given(DEGREES, SIZE)
def test_pixels_move_as_in_the_image(degrees, size):
    width, height = size
    image = np.arange(3 * width * height, dtype=np.float32).reshape(height, width, 3)
    rotated = rotate_image(image, degrees)
    np.testing.assert_array_equal(rotated, np.rot90(image, -degrees // 90))
    assert (rotated is image) == (degrees == 0)
    v, u = np.indices((height, width))
    x, y, one = np.tensordot(
        pixel_rotation(degrees, width, height), np.stack([u, v, np.ones_like(u)]), 1)
    assert (one == 1).all()
    np.testing.assert_array_equal(rotated[y.astype(int), x.astype(int)], image)


@given(DEGREES)
def test_axes_turn_as_the_pixels_do(degrees):
    matrix = axis_rotation(degrees)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)
    np.testing.assert_array_equal(matrix[:2, :2], pixel_rotation(degrees, 1, 1)[:2, :2])


def projected(points, k, d, fisheye=False):
    if fisheye:
        return cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), k, d)[0][:, 0]
    return cv2.projectPoints(points, np.zeros(3), np.zeros(3), k, d)[0][:, 0]


def largest_difference(d, degrees, fisheye=False):
    """Return pixels between rotated projections and projections by the rotated calibration."""
    pixels, axes = pixel_rotation(degrees, 640, 480), axis_rotation(degrees)
    expected = projected(POINTS, K, d, fisheye) @ pixels[:2, :2].T + pixels[:2, 2]
    got = projected(POINTS @ axes.T, pixels @ K @ axes.T,
                    d if fisheye else rotate_distortion(d, degrees), fisheye)
    return np.abs(got - expected).max()


@given(DEGREES, st.sampled_from([0, 4, 5, 8, 12]),
       st.tuples(RADIAL, RADIAL, SMALL, SMALL, *4 * [RADIAL], *4 * [SMALL]))
def test_rotated_calibration_projects_to_rotated_pixels(degrees, count, coefficients):
    assert largest_difference(np.array(coefficients)[:count], degrees) < 1e-6


@given(DEGREES, st.tuples(SMALL, SMALL, SMALL, SMALL))
def test_rotated_fisheye_keeps_its_coefficients(degrees, coefficients):
    assert largest_difference(np.array(coefficients), degrees, fisheye=True) < 1e-6


@given(DEGREES, st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_tilted_sensor_is_exact_about_one_axis_and_nearly_about_two(degrees, about_x, about_y):
    rest = [0.1, -0.05, 0.001, -0.002, 0.01, 0.02, 0.0, 0.0, 0.001, 0.0, -0.001, 0.0]
    for x, y in ((about_x, 0), (0, about_y), (about_x, about_y)):
        limit = 0 if degrees % 180 == 0 else 1.5 * abs(x * y) * 500  # pixels from the center
        assert largest_difference(np.array([*rest, x, y]), degrees) < limit + 1e-6


def test_missing_coefficients_are_zeros():
    assert rotate_distortion(np.array([0.1, 0.2, 0.3]), 90).tolist() == [0.1, 0.2, 0, -0.3]
    assert rotate_distortion(np.zeros(9), 90).tolist() == [0] * 12
    assert rotate_distortion(np.zeros(0), 180).tolist() == []


class Kept:
    """A detector that stays open for the next search."""

    def __init__(self, detector):
        self.detect, self.closed = detector.detect, False

    def close(self):
        self.closed = True


def found(detector, images):
    search = RotationSearch(Kept(detector))
    for image in images:
        search.add(image)
    return search.rotation


def upright_images(shared, every):
    """Yield images with upright faces by their set."""
    labelled, videos = shared / 'labelled', shared / 'videos'
    for name in ('rendered_faces', 'rendered_small'):
        yield name, [cv2.imread(str(path)) for path in sorted((labelled / name).glob('*.png'))]
    eyes = sorted((labelled / 'eyes_open').glob('*.gif'))
    yield 'eyes_open', [image for path in eyes for _, image in every(path, 100)]
    clips = [(labelled / 'four_targets' / 'video.mp4', 20), (videos / 'one_person_1080p.mp4', 60),
             (videos / 'classroom_720p.mp4', 40), (videos / 'three_children_720p.mp4', 60),
             (videos / 'turning_head_480x270.gif', 4)]
    for path, step in clips:
        yield path.name, [image for _, image in every(path, step)]


def test_people_are_found_upright_from_three_images_of_every_set(shared, every, detector):
    before = detector.min_score
    detector.min_score = 0.5
    try:
        for name, images in upright_images(shared, every):
            three = images[::max(1, len(images) // 3)][:3]
            assert len(three) == 3
            for degrees in ROTATIONS:
                rotated = [rotate_image(image, -degrees % 360) for image in three]
                assert found(detector, rotated) == degrees, (name, degrees)
    finally:
        detector.min_score = before


def sample_images(degrees=0, count=3):
    """Return sample images of a camera that needs a rotation by these degrees."""
    sample = Sample()
    return [rotate_image(sample.read(), -degrees % 360) for _ in range(count)]


@pytest.fixture(scope='module')
def pip_detector():
    """Return the detector that ``auto`` takes without fetched models."""
    detector = create_detector('auto', min_score=0.5)
    yield detector
    detector.close()


@pytest.mark.parametrize('degrees', ROTATIONS)
def test_sample_is_found_upright(pip_detector, degrees):
    assert found(pip_detector, sample_images(degrees)) == degrees


def test_search_ends_with_0_and_a_warning_if_people_are_upright_in_two_rotations(
        pip_detector, caplog):
    face = sample_images()[0][90:350, 190:450]
    both = np.hstack([face, rotate_image(face, 180)])
    search = RotationSearch(Kept(pip_detector))
    for _ in range(9):
        search.add(both)
    assert search.rotation is None
    search.add(both)
    assert search.rotation == 0
    assert 'rotate auto: 0, because no rotation is clearly upright (10 images' in caplog.text
    assert 'set rotate to the right value' in caplog.text


def test_images_without_a_face_do_not_count(pip_detector):
    search = RotationSearch(Kept(pip_detector))
    for image in [*20 * [np.full((480, 640, 3), 128, np.uint8)], *sample_images(90, 2)]:
        search.add(image)
        assert search.rotation is None
    search.add(sample_images(90)[0])
    assert search.rotation == 90


def test_detector_is_closed_as_soon_as_the_rotation_is_known(pip_detector):
    kept = Kept(pip_detector)
    search = RotationSearch(kept)
    for image in sample_images():
        assert not kept.closed
        search.add(image)
    assert kept.closed
    search.add(image)
    search.close()


@pytest.mark.parametrize('name', ['one.png', 'clip.avi', 'grey.png'])
def test_file_is_searched_before_it_is_played(tmp_path, pip_detector, name):
    path = tmp_path / name
    images = sample_images(270, 12)
    if name == 'clip.avi':
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, (480, 640))
        for image in images:
            writer.write(image)
        writer.release()
    else:
        cv2.imwrite(str(path), images[0] if name == 'one.png' else 0 * images[0] + 128)
    kept = Kept(pip_detector)
    source = open_source(str(path))
    assert find_rotation(source, kept) == (0 if name == 'grey.png' else 270)
    source.close()
    assert kept.closed


@pytest.mark.parametrize('degrees', ROTATIONS)
def test_rotator_applies_a_fixed_value(degrees):
    image = np.zeros((2, 3, 3), np.uint8)
    rotated, by = Rotator(str(degrees)).rotate(image)
    assert by == degrees
    assert rotated.shape[:2] == ((2, 3) if degrees % 180 == 0 else (3, 2))
    assert (rotated is image) == (degrees == 0)


def test_rotator_starts_to_rotate_when_the_search_is_decided(monkeypatch, pip_detector, caplog):
    caplog.set_level('INFO')
    monkeypatch.setattr(rotation, '_SEARCH_PERIOD', 0.0)
    monkeypatch.setattr(rotation, 'create_detector', lambda *_, **__: Kept(pip_detector))
    rotator = Rotator('auto')
    assert [rotator.rotate(image)[1] for image in sample_images(180, 4)] == [0, 0, 180, 180]
    assert 'rotate auto: 180 (3 images with a face; evidence 0: ' in caplog.text
    rotator.close()


def test_rotator_searches_an_image_every_half_second(monkeypatch, pip_detector):
    now = [100.0]
    monkeypatch.setattr(rotation, 'monotonic', lambda: now[0])
    monkeypatch.setattr(rotation, 'create_detector', lambda *_, **__: Kept(pip_detector))
    rotator, image = Rotator('auto'), sample_images(90)[0]
    rotations = []
    for _ in range(30):
        rotations.append(rotator.rotate(image)[1])
        now[0] += 0.0625
    assert rotations == 16 * [0] + 14 * [90]


def test_rotator_without_a_detector_reports_it_once_and_keeps_images_as_they_are(
        monkeypatch, caplog):
    monkeypatch.setattr(detectors, 'DETECTORS', {})
    rotator = Rotator('auto')
    for image in sample_images(90):
        rotated, degrees = rotator.rotate(image)
        assert rotated is image and degrees == 0
    rotator.close()
    (record,) = caplog.records
    assert record.levelname == 'WARNING'
    assert record.getMessage().startswith(
        'rotate auto: 0, because faces cannot be detected: no face detector is installed: ')


def test_failure_of_the_detector_ends_the_search(monkeypatch, pip_detector, caplog):
    kept = Kept(pip_detector)
    monkeypatch.setattr(rotation, 'create_detector', lambda *_, **__: kept)
    rotator = Rotator('auto')
    wrong = np.zeros((4, 4, 2), np.float64)  # no detector takes this
    assert rotator.rotate(wrong)[1] == 0
    assert kept.closed and len(caplog.records) == 1
    assert rotator.rotate(sample_images()[0])[1] == 0
