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
    """Tells where the bright pixel of a picture is: right of the middle is a yaw > 0."""

    def __init__(self, change=lambda pitch, yaw: (pitch, yaw)):
        self._change = change

    def estimate(self, bgr, faces):
        y, x = np.argwhere(bgr[..., 0])[0] + 0.5
        gaze = self._change((HEIGHT / 2 - y) / HEIGHT, (x - WIDTH / 2) / WIDTH)
        return [Estimate(*gaze, 1.0) for _ in faces]


def angles(estimator, count=40, spread=(1.0, 1.0)):
    """Return what the mirror test sees on pictures with a dot somewhere."""
    rng = np.random.default_rng(1)
    seen = []
    for _ in range(count):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        y, x = (int(side / 2 + side * share * rng.uniform(-0.5, 0.5))
                for side, share in zip((HEIGHT, WIDTH), spread))
        picture[y, x] = 255
        seen.append(mirror_angles(estimator, picture, [Face((0, 0, 9, 9), 1.0)]))
    return np.concatenate(seen)


def noisy(pitch, yaw, rng=np.random.default_rng(0)):  # noqa: B008, one stream for all calls
    return rng.normal(size=2) * 0.2


@pytest.mark.parametrize('change,verdict,told', [
    (lambda pitch, yaw: (pitch, yaw), 'right', ''),
    (lambda pitch, yaw: (pitch, -yaw), 'right', ''),  # signs are beyond it
    (lambda pitch, yaw: (yaw, pitch), 'exchanged', 'set head_order to the other one'),
    (lambda pitch, yaw: (-yaw, pitch), 'exchanged', 'head_order'),
    (lambda pitch, yaw: (pitch, pitch + 0.1), 'wrong', 'neither axis turns'),
    (lambda pitch, yaw: (yaw, yaw), 'wrong', 'both axes turn'),
    (noisy, 'inconclusive', 'look around'),
    (lambda pitch, yaw: (0.1, 0.2), 'inconclusive', 'varies by 0.0 deg up and down'),
])
def test_verdicts(change, verdict, told):
    done = assess(angles(Dot(change)))
    assert (done.verdict, done.n) == (verdict, 40)
    assert told in done.reason and bool(done.reason) == (verdict != 'right')


def test_frontal_faces_are_inconclusive_however_well_they_correlate():
    done = assess(angles(Dot(lambda pitch, yaw: (pitch / 20, yaw / 20))))
    assert done.verdict == 'inconclusive'
    assert max(done.deviation_pitch_deg, done.deviation_yaw_deg) < MIN_DEVIATION
    assert (done.correlation_pitch, done.correlation_yaw) == pytest.approx((1, -1))


def test_one_axis_that_clearly_does_the_opposite_is_enough():
    sideways = (0.0, 1.0)
    done = assess(angles(Dot(lambda pitch, yaw: (yaw, pitch)), spread=sideways))
    assert (done.verdict, done.correlation_yaw) == ('exchanged', None)
    assert assess(angles(Dot(), spread=sideways)).verdict == 'inconclusive'


@pytest.mark.parametrize('count', [0, 9])
def test_few_faces_are_inconclusive(count):
    done = assess(np.concatenate([np.empty((0, 4)), angles(Dot(), 10)])[:count])
    assert (done.verdict, done.n) == ('inconclusive', count)
    assert f'{count} faces have a gaze both ways, 10 are needed' in done.reason


def test_faces_without_a_gaze_in_one_of_the_two_are_left_out():
    class Blind:
        def __init__(self):
            self.calls = 0

        def estimate(self, bgr, faces):
            self.calls += 1
            return [Estimate(0.1, 0.2, 1.0), Estimate(0.3, 0.4, 1.0) if self.calls == 1
                    else Estimate(), Estimate()]

    faces = [Face((0, 0, 9, 9), 1.0)] * 3
    assert mirror_angles(Blind(), np.zeros((9, 9, 3), np.uint8), faces).tolist() == [
        [0.1, 0.2, 0.1, 0.2]]


def test_a_face_in_the_mirror_has_its_eyes_exchanged():
    five = np.array([[10.0, 20], [30, 21], [20, 30], [12, 40], [28, 41]])
    face = mirrored_face(Face((5, 10, 30, 40), 0.9, five), 100)
    assert face.box == (65, 10, 30, 40)
    assert face.landmarks.tolist() == [[70, 21], [90, 20], [80, 30], [72, 41], [88, 40]]


@given(st.tuples(*[st.integers(-500, 500)] * 4), st.integers(1, 500))
def test_twice_mirrored_is_as_it_was(box, width):
    five = np.arange(10.0).reshape(5, 2)
    twice = mirrored_face(mirrored_face(Face(box, 0.5, five), width), width)
    assert twice.box == box and (twice.landmarks == five).all()
    assert mirrored_face(Face(box, 0.5), width).landmarks is None
