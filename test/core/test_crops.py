from gaze_ros.core.crops import crop, square_transform
import numpy as np
import pytest


def take(picture, box, size, scale=1.0):
    return crop(picture, square_transform(box, size, scale), size)


@pytest.mark.parametrize('scale', [1.0, 1.6])
@pytest.mark.parametrize('box', [(20, 30, 40, 80), (-10, 5, 90, 30), (7.5, 3.25, 1, 1)])
def test_crop_is_a_square_around_the_middle_of_the_box(box, scale):
    matrix = square_transform(box, 100, scale)
    x, y, w, h = box
    half = scale * max(w, h) / 2
    cx, cy = x + w / 2, y + h / 2
    assert matrix @ (cx - half, cy - half, 1) == pytest.approx((0, 0))
    assert matrix @ (cx + half, cy + half, 1) == pytest.approx((100, 100))
    assert matrix @ (cx, cy, 1) == pytest.approx((50, 50))


def test_crop_of_a_box_of_its_own_size_is_that_part_of_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    assert np.array_equal(take(picture, (30, 20, 50, 50), 50), picture[20:70, 30:80])


def test_shape_and_type_are_kept():
    out = take(np.zeros((50, 60, 3), np.uint8), (3, 4, 333, 20), 64)
    assert out.shape == (64, 64, 3)
    assert out.dtype == np.uint8


@pytest.mark.parametrize(('box', 'where', 'value'), [
    ((-40, 20, 60, 60), np.s_[:, :30], 10), ((80, 20, 60, 60), np.s_[:, 30:], 200),
    ((-500, 20, 60, 60), np.s_[:, :], 10)])
def test_what_lies_outside_repeats_the_border(box, where, value):
    picture = np.full((100, 100, 3), 100, np.uint8)
    picture[:, :5], picture[:, -5:] = 10, 200
    assert (take(picture, box, 60)[where] == value).all()


@pytest.mark.parametrize(('box', 'dot'), [
    ((300, 200, 40, 50), 1), ((310.3, 215.7, 25, 20), 1), ((200, 100, 128, 128), 3),
    ((100, 50, 300, 400), 9), ((20, 0, 600, 600), 15), ((-200, -300, 1100, 900), 25)])
def test_a_dot_lands_where_the_transform_says(box, dot):
    """Scaled up, as it is, and down."""
    picture = np.zeros((480, 640), np.uint8)
    u, v, r = 321, 217, dot // 2
    picture[v - r:v + r + 1, u - r:u + r + 1] = 255
    matrix = square_transform(box, 128)
    out = crop(picture, matrix, 128).astype(float)
    ys, xs = np.indices(out.shape) + 0.5
    found = np.array([(xs * out).sum(), (ys * out).sum()]) / out.sum()
    k = matrix[0, 0]
    assert found == pytest.approx(matrix @ (u + 0.5, v + 0.5, 1), abs=0.1 + 0.05 * k)
    back = (found - matrix[:, 2]) / k
    assert back == pytest.approx((u + 0.5, v + 0.5), abs=0.1 / k + 0.1)


@pytest.mark.parametrize('box', [(10, 10, 0, 0), (10, 10, -5, -5), (1, 1, float('nan'), 1)])
def test_a_box_without_extent_is_refused(box):
    with pytest.raises(ValueError, match='no extent'):
        square_transform(box, 64)


def test_one_pixel_fills_the_crop():
    picture = np.zeros((9, 9, 3), np.uint8)
    picture[4, 6] = 10, 20, 30
    out = take(picture, (6, 4, 1, 1), 65)
    assert out.shape == (65, 65, 3)
    assert out[32, 32].tolist() == [10, 20, 30]


def test_a_one_pixel_picture_can_be_cropped():
    assert (take(np.full((1, 1, 3), 77, np.uint8), (-3, -3, 8, 8), 32) == 77).all()


@pytest.mark.parametrize('factor', [1.9, 2, 2.3, 4.2, 8, 13.3])
def test_a_large_face_shrinks_to_grey_where_it_is_a_checkerboard(factor):
    side = 64 * factor
    board = (np.indices((1000, 1000)).sum(axis=0) % 2 * 255).astype(np.uint8)
    out = take(board, (50, 50, side, side), 64)
    assert out.mean() == pytest.approx(127.5, abs=2)
    assert out.std() < 10
