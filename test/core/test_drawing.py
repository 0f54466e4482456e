import math

from gaze_ros.core.output import drawing
from gaze_ros.core.output.drawing import draw
from gaze_ros.core.types import Face, FrameGaze, Gaze
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest


def drawn(box=(270, 190, 100, 100), pitch=0.0, yaw=0.0, size=(640, 480), at_camera=False,
          **corner):
    """Return a black image with the drawing."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    gaze = Gaze('f1', Face(box, 0.9), pitch, yaw, looking_at_camera=at_camera)
    draw(image, FrameGaze(*size, 'm', [gaze]), **corner)
    return image


def test_nothing_is_drawn_without_faces():
    image = np.zeros((48, 64, 3), np.uint8)
    draw(image, FrameGaze(64, 48, 'm', []))
    assert not image.any()


def test_box_is_drawn_around_the_face():
    image = drawn(pitch=math.nan, yaw=math.nan)
    assert image[190, 280:360].any(axis=1).all()
    assert image[200:280, 370].any(axis=1).all()
    assert not image[200:280, 280:360].any()


@pytest.mark.parametrize(('pitch', 'yaw', 'drawn_area', 'empty_area'), [
    (0, 1.2, np.s_[220:260, 390:405], np.s_[220:260, :265]),
    (0, -1.2, np.s_[220:260, 235:250], np.s_[220:260, 375:]),
    (1.2, 0, np.s_[148:162, 305:335], np.s_[300:, :]),
    (-1.2, 0, np.s_[318:332, 305:335], np.s_[:165, :])])
def test_arrow_points_along_the_gaze(pitch, yaw, drawn_area, empty_area):
    image = drawn(pitch=pitch, yaw=yaw)
    assert image[drawn_area].any()
    assert not image[empty_area].any()


def test_a_thin_grey_arrow_shows_the_head_if_the_gaze_is_unknown():
    image = np.zeros((480, 640, 3), np.uint8)
    draw(image, FrameGaze(640, 480, 'm', [Gaze(
        'f1', Face((270, 190, 100, 100), 0.9), head_pitch=0.0, head_yaw=1.2, head_roll=0.0,
        head_stddev=0.1)]))
    inside = image[195:285, 275:365]
    assert inside[:, 50:].any()
    assert not inside[:, :40].any()
    assert (inside.max(axis=2) == inside.min(axis=2)).all()
    assert inside.any(axis=2).sum() < drawn(yaw=1.2)[195:285, 275:365].any(axis=2).sum()


def test_gaze_states_differ_in_colour():
    edges = [tuple(image[250, 270]) for image in (
        drawn(), drawn(at_camera=True), drawn(pitch=math.nan, yaw=math.nan))]
    assert len(set(edges)) == 3


@given(st.tuples(*[st.floats(-3000, 3000)] * 2, *[st.floats(0, 4000)] * 2),
       st.sampled_from([(1, 1), (2, 200), (300, 3), (160, 120)]),
       st.sampled_from([(0.1, 0.2), (1.5, -3.1), (math.nan, math.nan)]))
def test_boxes_anywhere_are_drawn_into_images_of_any_size(box, size, angles):
    image = drawn(box, *angles, size, fps=30.0, latency=0.1)
    assert image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize('box', [(0, 0, 640, 480), (-50, -50, 100, 100), (600, 440, 100, 100)])
def test_face_at_the_border_is_drawn(box):
    assert drawn(box).any()


def test_text_is_ascii_with_id_and_angles(monkeypatch):
    texts = []
    monkeypatch.setattr(drawing.cv2, 'putText', lambda _, text, *__: texts.append(text))
    drawn(pitch=0.5, yaw=-0.25, fps=29.97, latency=0.0421)
    drawn(pitch=math.nan, yaw=math.nan)
    assert all(text.isascii() and text.isprintable() for text in texts)
    label, corner, unknown = texts
    assert label.startswith('f1 ')
    assert '+29' in label
    assert '-14' in label
    assert corner == '30.0 FPS  42 ms'
    assert unknown == 'f1'


@pytest.mark.parametrize('corner', [{'fps': 25.0}, {'latency': 0.05}, {'latency': -0.05}])
def test_rate_and_latency_are_in_the_corner_if_known(corner):
    image = drawn(**corner)
    assert image[:25, :120].any()
    assert not drawn()[:25, :120].any()
