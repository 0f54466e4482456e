from gaze_ros.core.evaluation.mirror_test import (
    assess,
    MIN_DEVIATION,
    mirror_angles,
    mirrored_face,
)
from gaze_ros.core.types import Estimate, Face
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

WIDTH, HEIGHT = 64, 48


class Dot:
    """An estimator whose gaze is the bright pixel: right of the center is yaw > 0."""

    def __init__(self, change=lambda pitch, yaw: (pitch, yaw)):
        self._change = change

    def estimate(self, image, faces):
        y, x = np.argwhere(image[..., 0])[0] + 0.5
        gaze = self._change((HEIGHT / 2 - y) / HEIGHT, (x - WIDTH / 2) / WIDTH)
        return [Estimate(*gaze, 1.0) for _ in faces]


def angles(estimator, count=40, spread=(1.0, 1.0)):
    """Return the mirror angles of images with a dot at a random position."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(count):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        y, x = (int(side / 2 + side * share * rng.uniform(-0.5, 0.5))
                for side, share in zip((HEIGHT, WIDTH), spread))
        image[y, x] = 255
        found.append(mirror_angles(estimator, image, [Face((0, 0, 9, 9), 1.0)]))
    return np.concatenate(found)


def noisy(pitch, yaw, rng=np.random.default_rng(0)):  # noqa: B008, one stream for all calls
    return rng.normal(size=2) * 0.2


@pytest.mark.parametrize('change,verdict,reason', [
    (lambda pitch, yaw: (pitch, yaw), 'right', ''),
    (lambda pitch, yaw: (pitch, -yaw), 'right', ''),  # cannot detect signs
    (lambda pitch, yaw: (yaw, pitch), 'exchanged', 'set head_order to the other value'),
    (lambda pitch, yaw: (-yaw, pitch), 'exchanged', 'head_order'),
    (lambda pitch, yaw: (pitch, pitch + 0.1), 'wrong', 'neither axis changes its sign'),
    (lambda pitch, yaw: (yaw, yaw), 'wrong', 'both axes change their sign'),
    (noisy, 'inconclusive', 'look around'),
    (lambda pitch, yaw: (0.1, 0.2), 'inconclusive', 'varies by 0.0 deg up and down'),
])
def test_verdicts(change, verdict, reason):
    result = assess(angles(Dot(change)))
    assert (result.verdict, result.n) == (verdict, 40)
    assert reason in result.reason and bool(result.reason) == (verdict != 'right')


def test_frontal_faces_are_inconclusive_however_well_they_correlate():
    result = assess(angles(Dot(lambda pitch, yaw: (pitch / 20, yaw / 20))))
    assert result.verdict == 'inconclusive'
    assert max(result.deviation_pitch_deg, result.deviation_yaw_deg) < MIN_DEVIATION
    assert (result.correlation_pitch, result.correlation_yaw) == pytest.approx((1, -1))


def test_one_axis_that_is_clearly_opposite_is_enough():
    sideways = (0.0, 1.0)
    result = assess(angles(Dot(lambda pitch, yaw: (yaw, pitch)), spread=sideways))
    assert (result.verdict, result.correlation_yaw) == ('exchanged', None)
    assert assess(angles(Dot(), spread=sideways)).verdict == 'inconclusive'


@pytest.mark.parametrize('count', [0, 9])
def test_few_faces_are_inconclusive(count):
    result = assess(np.concatenate([np.empty((0, 4)), angles(Dot(), 10)])[:count])
    assert (result.verdict, result.n) == ('inconclusive', count)
    assert f'{count} faces have a gaze in both images, 10 are needed' in result.reason


def test_faces_without_a_gaze_in_both_images_are_skipped():
    class Blind:

        def __init__(self):
            self.calls = 0

        def estimate(self, image, faces):
            self.calls += 1
            return [Estimate(0.1, 0.2, 1.0), Estimate(0.3, 0.4, 1.0) if self.calls == 1
                    else Estimate(), Estimate()]

    faces = [Face((0, 0, 9, 9), 1.0)] * 3
    assert mirror_angles(Blind(), np.zeros((9, 9, 3), np.uint8), faces).tolist() == [
        [0.1, 0.2, 0.1, 0.2]]


def test_mirrored_face_has_left_and_right_landmarks_exchanged():
    five = np.array([[10.0, 20], [30, 21], [20, 30], [12, 40], [28, 41]])
    face = mirrored_face(Face((5, 10, 30, 40), 0.9, five), 100)
    assert face.box == (65, 10, 30, 40)
    assert face.landmarks.tolist() == [[70, 21], [90, 20], [80, 30], [72, 41], [88, 40]]


@given(st.tuples(*[st.integers(-500, 500)] * 4), st.integers(1, 500))
def test_mirroring_twice_restores_the_face(box, width):
    five = np.arange(10.0).reshape(5, 2)
    twice = mirrored_face(mirrored_face(Face(box, 0.5, five), width), width)
    assert twice.box == box and (twice.landmarks == five).all()
    assert mirrored_face(Face(box, 0.5), width).landmarks is None
