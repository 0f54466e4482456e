import math

import cv2
from gaze_ros.core.geometry.crops import crop, face_transform, InputBatch, square_transform
from hypothesis import assume, example, given
from hypothesis import strategies as st
import numpy as np
import pytest

MEAN, DEVIATION = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
RNG = np.random.default_rng(0)


def square(box):
    """Return middle and longer side of a box."""
    x, y, w, h = box
    return (x + w / 2, y + h / 2), max(w, h)


def take(image, box, size):
    return crop(image, square_transform(*square(box), size), size)


def corners(box, policy='square', scale=1.0, image=None, size=100):
    """Return where in the image the crop's first and last corner are, and its middle."""
    back = cv2.invertAffineTransform(face_transform(box, size, policy, scale, image))
    return [(back @ (c, c, 1)).tolist() for c in (0, size, size / 2)]


places = st.floats(-300, 900)
sides = st.floats(1, 700)


@given(places, places, sides, st.floats(-math.pi, math.pi), st.integers(1, 500))
def test_crop_is_a_square_around_its_center(x, y, side, roll, size):
    matrix = square_transform((x, y), side, size, roll)
    along = np.array([math.cos(roll), math.sin(roll)]) * side / 2
    down = np.array([-along[1], along[0]])
    for right, below in ((0, 0), (1, 0), (0, 1), (-1, -1)):
        point = (x, y) + right * along + below * down
        assert matrix @ (*point, 1) == pytest.approx(
            (size * (1 + right) / 2, size * (1 + below) / 2), abs=1e-6 * size)


def test_roll_turns_the_crop_clockwise():
    """Eyes on a line that falls to the right are level in a crop that is turned so."""
    image = np.zeros((200, 200), np.uint8)
    for x, y, value in ((70, 80, 255), (130, 120, 128)):
        cv2.circle(image, (x, y), 4, value, -1)
    out = crop(image, square_transform((100, 100), 120, 120, math.atan2(40, 60)), 120)
    left, right = out[:, :60], out[:, 60:]
    assert (left.max(), right.max()) == (255, 128)
    rows = [np.nonzero(half.max(axis=1) > 50)[0].mean() for half in (left, right)]
    assert rows == pytest.approx([59.5, 59.5], abs=1)


def test_crop_at_native_size_copies_the_pixels():
    image = RNG.integers(0, 256, (90, 120, 3), np.uint8)
    assert np.array_equal(take(image, (30, 20, 50, 50), 50), image[20:70, 30:80])


@pytest.mark.parametrize('quarters', [1, 2, 3])
def test_crop_rolled_by_quarter_turns_is_the_image_rotated_back(quarters):
    image = RNG.integers(0, 256, (90, 120, 3), np.uint8)
    out = crop(image, square_transform((55, 45), 50, 50, quarters * math.pi / 2), 50)
    expected = np.rot90(image[20:70, 30:80], quarters)
    assert np.abs(out.astype(int) - expected).max() <= 2


def test_shape_and_type_are_kept():
    out = take(np.zeros((50, 60, 3), np.uint8), (3, 4, 333, 20), 64)
    assert out.shape == (64, 64, 3)
    assert out.dtype == np.uint8


@pytest.mark.parametrize(('box', 'where', 'value'), [
    ((-40, 20, 60, 60), np.s_[:, :30], 10), ((80, 20, 60, 60), np.s_[:, 30:], 200),
    ((-500, 20, 60, 60), np.s_[:, :], 10)])
def test_border_is_replicated_outside_the_image(box, where, value):
    image = np.full((100, 100, 3), 100, np.uint8)
    image[:, :5], image[:, -5:] = 10, 200
    assert (take(image, box, 60)[where] == value).all()


@pytest.mark.parametrize('roll', [0, 0.4])
@pytest.mark.parametrize(('box', 'dot'), [
    ((300, 200, 40, 50), 1), ((310.3, 215.7, 25, 20), 1), ((230, 130, 128, 128), 3),
    ((100, 50, 300, 400), 9), ((20, 0, 600, 600), 15), ((-200, -300, 1100, 900), 25)])
def test_dot_lands_where_the_transform_maps_it(box, dot, roll):
    """Scaled up, as it is, and down."""
    image = np.zeros((480, 640), np.uint8)
    u, v, r = 321, 217, dot // 2
    image[v - r:v + r + 1, u - r:u + r + 1] = 255
    matrix = square_transform(*square(box), 128, roll)
    out = crop(image, matrix, 128).astype(float)
    ys, xs = np.indices(out.shape) + 0.5
    found = np.array([(xs * out).sum(), (ys * out).sum()]) / out.sum()
    k = np.hypot(*matrix[0, :2])
    assert found == pytest.approx(matrix @ (u + 0.5, v + 0.5, 1), abs=0.1 + 0.05 * k)
    back = cv2.invertAffineTransform(matrix) @ (*found, 1)
    assert back == pytest.approx((u + 0.5, v + 0.5), abs=0.1 / k + 0.1)


@pytest.mark.parametrize('side', [0, -5, math.nan])
def test_invalid_side_is_refused(side):
    with pytest.raises(ValueError, match='no extent'):
        square_transform((1, 1), side, 64)


def test_one_pixel_fills_the_crop():
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 6] = 10, 20, 30
    out = take(image, (6, 4, 1, 1), 65)
    assert out.shape == (65, 65, 3)
    assert out[32, 32].tolist() == [10, 20, 30]


def test_one_pixel_image_can_be_cropped():
    assert (take(np.full((1, 1, 3), 77, np.uint8), (-3, -3, 8, 8), 32) == 77).all()


@pytest.mark.parametrize('factor', [1.9, 2, 2.3, 4.2, 8, 13.3])
def test_downscaled_checkerboard_is_grey(factor):
    side = 64 * factor
    board = (np.indices((1000, 1000)).sum(axis=0) % 2 * 255).astype(np.uint8)
    out = take(board, (50, 50, side, side), 64)
    assert out.mean() == pytest.approx(127.5, abs=2)
    assert out.std() < 10


@given(places, places, sides, sides, st.floats(0.3, 3))
def test_square_crop_has_the_area_of_the_box(x, y, w, h, scale):
    half = scale * math.sqrt(w * h) / 2
    mx, my = x + w / 2, y + h / 2
    first, last, middle = corners((x, y, w, h), 'square', scale)
    assert first == pytest.approx((mx - half, my - half), abs=1e-6)
    assert last == pytest.approx((mx + half, my + half), abs=1e-6)
    assert middle == pytest.approx((mx, my), abs=1e-6)


def upstream(image, box, size):
    """Return what yakhyo/gaze-estimation gives its ONNX: a slice at whole pixels, stretched."""
    x, y, w, h = box
    x0, y0, x1, y1 = (max(int(v), 0) for v in (x, y, x + w, y + h))
    return cv2.resize(image[y0:y1, x0:x1], (size, size))


@pytest.fixture(scope='module')
def image():
    """Return something smooth: how pixels between pixels are made is not in question."""
    noise = cv2.GaussianBlur(RNG.normal(size=(240, 320, 3)), (0, 0), 4)
    return np.clip(128 + 40 / noise.std() * noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize('box', [
    (40, 50, 80, 100), (40.9, 50.9, 80.7, 100.7), (0, 0, 320, 240), (10.2, 200.5, 300, 20),
    (-30.5, -20.5, 150, 130), (250, 150, 100, 120), (-50, -50, 500, 500), (-0.9, 100, 3, 77)])
def test_raw_crop_equals_upstream(image, box):
    out = crop(image, face_transform(box, 96, 'raw', image_size=(320, 240)), 96)
    expected = upstream(image, box, 96)
    # At its rim upstream repeats the slice's last pixels, and ours mixes with those beside it.
    m, n = (1 + math.ceil(48 / side) for side in box[2:])
    difference = np.abs(out.astype(int) - expected)[n:-n, m:-m]
    assert difference.mean() < 1.5
    assert difference.max() < 16
    assert expected.std() > 10


@given(places, places, sides, sides, st.floats(0.3, 3))
@example(-30.5, -20.5, 150, 130, 2.0)
@example(-0.5, -0.5, 1.0, 1.0, 1.0)
def test_raw_crop_is_the_clipped_box_in_whole_pixels(x, y, w, h, scale):
    edges = [min(max(int(v), 0), most)
             for v, most in ((x, 320), (y, 240), (x + w, 320), (y + h, 240))]
    if edges[2] <= edges[0] or edges[3] <= edges[1]:
        with pytest.raises(ValueError, match='no extent'):
            corners((x, y, w, h), 'raw', scale, (320, 240))
    else:
        first, last, _ = corners((x, y, w, h), 'raw', scale, (320, 240))
        assert first == pytest.approx(edges[:2], abs=1e-6)
        assert last == pytest.approx(edges[2:], abs=1e-6)


@pytest.mark.parametrize('policy', ['square', 'raw'])
@pytest.mark.parametrize('box', [
    (10, 10, 0, 9), (10, 10, 9, 0), (10, 10, -5, 9), (10, 10, -5, -5)])
def test_box_without_area_is_refused(policy, box):
    with pytest.raises(ValueError, match='no extent'):
        face_transform(box, 64, policy, image_size=(320, 240))


def test_batch_is_normalised_as_for_imagenet():
    images = [RNG.integers(0, 256, (20, 30, 3), np.uint8) for _ in range(3)]
    batch = InputBatch(tuple(255 * MEAN[::-1]), tuple(255 * DEVIATION[::-1]), rgb=True)
    found = batch.fill(images)
    assert (found.shape, found.dtype) == ((3, 3, 20, 30), np.float32)
    assert found.flags.c_contiguous
    for image, rows in zip(images, found):
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        assert np.abs(((rgb / 255 - MEAN) / DEVIATION).transpose(2, 0, 1) - rows).max() < 1e-5


@pytest.mark.parametrize(('rgb', 'values'), [(False, (10, 20, 30)), (True, (30, 20, 10))])
def test_channel_order(rgb, values):
    image = np.full((4, 5, 3), (10, 20, 30), np.uint8)  # blue, green, red
    plain = InputBatch(rgb=rgb).fill([image])[0]
    assert [set(plane.ravel()) for plane in plain] == [{v} for v in values]
    less = InputBatch((1.0, 2.0, 3.0), (2.0, 4.0, 8.0), rgb=rgb).fill([image])[0]
    by_value = {10: (10 - 1) / 2, 20: (20 - 2) / 4, 30: (30 - 3) / 8}
    assert less[:, 0, 0].tolist() == [by_value[v] for v in values]


def test_batch_is_allocated_once_for_the_largest_count():
    batch = InputBatch()
    images = [np.full((6, 7, 3), n, np.uint8) for n in range(5)]
    most = batch.fill(images)
    for count in (1, 3, 5, 2):
        again = batch.fill(images[-count:])
        assert again.shape == (count, 3, 6, 7)
        assert again.base is most.base
        assert again[:, 0, 0, 0].tolist() == list(range(5 - count, 5))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_batch_follows_the_image_size(shapes):
    batch = InputBatch((1.0, 2.0, 3.0))
    for count, height, width in shapes:
        images = [RNG.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]
        expected = (np.array(images, np.float32) - (1, 2, 3)).transpose(0, 3, 1, 2)
        assert np.array_equal(batch.fill(images), expected)


@given(st.floats(360, 840), st.floats(360, 540), st.floats(150, 500),
       st.floats(-math.pi, math.pi))
def test_large_crop_is_the_mean_of_what_it_shows(x, y, side, roll):
    """Halved first, an image has the values of one that is sampled finely and averaged."""
    image = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 256, (900, 1200, 3), np.uint8), (0, 0), 9)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    fine = 24 * math.ceil(side / 24)
    matrix = square_transform((x, y), side, fine, roll)
    matrix[:, 2] += (matrix[:, :2].sum(axis=1) - 1) / 2
    expected = cv2.resize(
        cv2.warpAffine(image, matrix, (fine, fine), borderMode=cv2.BORDER_REPLICATE), (24, 24),
        interpolation=cv2.INTER_AREA)
    found = crop(image, square_transform((x, y), side, 24, roll), 24).astype(int)
    assert np.abs(found - expected).mean() < 0.7  # a twelfth of a pixel apart: 1.4


@given(places, places, sides)
def test_crop_outside_equals_crop_of_a_bordered_image(x, y, side):
    assume(side > 8)
    small = np.full((48, 64, 3), 90, np.uint8)
    small[20:30, 20:30] = 255
    pad = 1200
    wide = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    alone = crop(small, square_transform((x, y), side, 24), 24)
    bordered = crop(wide, square_transform((x + pad, y + pad), side, 24), 24)
    # Halved from another pixel on, an edge of 165 is up to 14 different.
    assert np.abs(alone.astype(int) - bordered).max() <= 16
