"""Ranges of faces from a depth image that is registered to the color camera."""
from collections import deque
from dataclasses import dataclass, replace
import logging
import math
from typing import Optional

import cv2
from gaze_ros.core.diagnostics.log_throttle import LogThrottle
from gaze_ros.core.geometry.camera_model import Calibration, Lens
from gaze_ros.core.geometry.head_pose import HeadPose, MAX_RANGE, MAX_SIZE_RATIO, MIN_RANGE
from gaze_ros.core.geometry.incidence import Sphere
from gaze_ros.core.types import Face
import numpy as np

_log = logging.getLogger(__name__)

#: A depth image is used for a color image if their stamps differ by this much at most, seconds:
#: more than one period at 30 Hz.
MAX_STAMP_DIFFERENCE = 0.05
#: Depth images that are kept for the color image that is in process.
_KEPT = 8

#: A face is sampled inside an ellipse in its box: half axes, in box widths and heights.
_HALF_AXES = 0.32, 0.35
#: The ellipse in which parts of the face are searched behind a hand that covers the smaller one:
#: it ends before hair and neck.
_OUTER_HALF_AXES = 0.41, 0.43
#: Minimum share of samples that have a depth near the face; with less, the depth is of holes.
MIN_VALID = 0.2
#: How far the median surface of a face is in front of the midpoint between the eyes, its standard
#: deviation, and the distance from its median to the 16th or 84th percentile, meters. MediaPipe's
#: canonical face at 0.5 to 2 m, yaw 0 to 60 and pitch -30 to 30 degrees: 25 +- 15 mm, up to 27 mm.
EYES_BEHIND, SURFACE_STDDEV, RELIEF = 0.025, 0.015, 0.027
#: Relative standard deviation of a depth sensor: half of the 2 % at 2 m that the data sheet of
#: RealSense D400 gives as a limit.
SENSOR_STDDEV = 0.01
#: A step in depth reveals an object in front of a face: at least this, meters or deviations of the
#: sensor, whichever is more; with at least this share and this number of samples behind it, up to
#: this far behind the median, meters.
STEP, _STEP_STDDEVS, _BEHIND, _MIN_BEHIND, _MAX_STEP = 0.03, 3.0, 0.04, 8, 0.25
#: Assumed speed of a head between the stamps of the two images, meters per second.
_SPEED = 1.0


def _samples() -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 2) points of a grid in the larger ellipse, and (N,) which are in the smaller one.

    In box widths and heights from its center.
    """
    axis = np.linspace(-1, 1, 25)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    points = grid[(grid ** 2).sum(axis=1) <= 1] * _OUTER_HALF_AXES
    return points, ((points / _HALF_AXES) ** 2).sum(axis=1) <= 1


_SAMPLES, _INNER = _samples()


@dataclass(frozen=True, eq=False)
class DepthImage:
    """A depth image, registered: of the color camera's frame.

    :ivar pixels: (H, W) z in the optical frame, any number type; 0 or not finite where unknown.
    :ivar unit: of the pixels, meters.
    :ivar stamp: seconds.
    :ivar calibration: of the depth image; None if unknown: it then shows what the color image
        shows, at any size.
    """

    pixels: np.ndarray
    unit: float
    stamp: float
    calibration: Optional[Calibration] = None


class DepthImages:
    """The last depth images of a stream; one thread may add while another reads."""

    def __init__(self, kept: int = _KEPT) -> None:
        """:param kept: number of images."""
        self._images: deque[DepthImage] = deque(maxlen=kept)
        self._log_throttle = LogThrottle()

    def add(self, image: DepthImage) -> None:
        """Add an image."""
        self._images.append(image)

    def nearest(self, stamp: float) -> Optional[DepthImage]:
        """Return the image nearest to a stamp in seconds; None if none is near enough."""
        best = min([*self._images], key=lambda image: abs(image.stamp - stamp), default=None)
        if best is None or abs(best.stamp - stamp) <= MAX_STAMP_DIFFERENCE:
            return best
        text = (f'depth is not used: its images are {best.stamp - stamp:+.3f} s from those of the '
                f'camera, more than {MAX_STAMP_DIFFERENCE:g}')
        if self._log_throttle.should_log(text):
            _log.warning('%s', text)
        return None


def with_measured_ranges(
        faces: list[Face], heads: list[HeadPose], depth: DepthImage, lens: Lens,
        size: tuple[int, int], stamp: float) -> list[HeadPose]:
    """Return the head poses with the range and range_stddev that a depth image gives.

    The range is that of the median surface of the face. What differs from it by more than the
    relief of a face, such as a hand in front of it, adds to range_stddev. So does a surface behind
    a step: the face, where a hand covers most of it. So does a range that differs by more than two
    standard deviations from that of the head pose. A pose stays as it is if the face has no depth:
    holes, or everything nearer or farther by a factor of 1.6.

    :param faces: in the color image.
    :param heads: of the faces, in their order.
    :param lens: of the color image, calibrated.
    :param size: width and height of the color image, pixels.
    :param stamp: of the color image, seconds.
    """
    moved = _SPEED * abs(depth.stamp - stamp)
    return [_measured(face, head, depth, lens, size, moved) for face, head in zip(faces, heads)]


def sphere_of_box(box: tuple[float, float, float, float], depth: DepthImage, lens: Lens,
                  size: tuple[int, int]) -> Optional[Sphere]:
    """Return where an object is that a detector has found, as a sphere; None without depth.

    Its center is on the median of the surface in the middle of the box, its diameter the mean of
    the box's sides.

    :param box: x, y, width, height, pixels of the color image.
    :param lens: of the color image, calibrated.
    :param size: width and height of the color image, pixels.
    """
    x, y, width, height = box
    center = np.array([x + width / 2, y + height / 2])
    pixels = _SAMPLES[_INNER] * (width, height) + center
    ends = center + np.array([[-width, 0], [width, 0], [0, -height], [0, height]]) / 2
    rays, exact = lens.rays(np.concatenate([center[None], ends, pixels]))
    if not exact.all() or rays[:, 2].min() <= 0.1:
        return None
    z = _depth_at(depth, pixels, rays[5:], size)
    z = z[(z >= MIN_RANGE) & (z <= MAX_RANGE)]
    if len(z) < MIN_VALID * len(pixels):
        return None
    points = float(np.median(z)) * rays[:5] / rays[:5, 2:]
    sides = np.linalg.norm(points[[2, 4]] - points[[1, 3]], axis=1)
    return Sphere(points[0], float(sides.mean()) / 2)


def _measured(face: Face, head: HeadPose, depth: DepthImage, lens: Lens, size: tuple[int, int],
              moved: float) -> HeadPose:
    _, _, width, height = face.box
    pixels = _SAMPLES * (width, height) + face.center
    rays, exact = lens.rays(pixels)
    exact &= rays[:, 2] > 0.1
    if not exact.any():
        return head
    rays, pixels, inner = rays[exact], pixels[exact], _INNER[exact]
    z = _depth_at(depth, pixels, rays, size)
    # Distance from the lens, not z: off the axis, z changes across a face that faces the lens.
    ranges = z / rays[:, 2] + EYES_BEHIND
    valid = (ranges >= max(head.range / MAX_SIZE_RATIO, MIN_RANGE + EYES_BEHIND)) & (
        ranges <= min(head.range * MAX_SIZE_RATIO, MAX_RANGE))
    face = ranges[valid & inner]
    if len(face) < MIN_VALID * _INNER.sum():
        return head
    low, median, high = np.percentile(face, (16, 50, 84)).tolist()
    stddev = math.hypot(
        SURFACE_STDDEV, SENSOR_STDDEV * median, moved,
        max(0.0, high - median - RELIEF, median - low - RELIEF, _step(ranges[valid], median)))
    unlikely = abs(median - head.range) - 2 * head.range_stddev
    return replace(head, range=median, range_stddev=max(stddev, unlikely))


def _step(ranges: np.ndarray, median: float) -> float:
    """Return how far behind the median a surface is that does not continue it, meters; 0 for none.

    :param ranges: (N,) samples of the larger ellipse.
    :param median: of the smaller one.
    """
    behind = np.sort(ranges[(ranges >= median) & (ranges <= median + _MAX_STEP)])
    steps = np.diff(behind)
    enough = np.arange(len(behind) - 1, 0, -1) >= max(
        _MIN_BEHIND, _BEHIND * len(ranges))
    wide = steps >= max(STEP, _STEP_STDDEVS * SENSOR_STDDEV * median)
    first = np.flatnonzero(enough & wide)[:1]
    return float(behind[first + 1][0]) - median if len(first) else 0.0


def _depth_at(depth: DepthImage, pixels: np.ndarray, rays: np.ndarray, size: tuple[int, int]
              ) -> np.ndarray:
    """Return (N,) z at points of the color image, meters; NaN where it is unknown.

    :param pixels: (N, 2), in the color image.
    :param rays: (N, 3), of the pixels.
    :param size: width and height of the color image.
    """
    height, width = depth.pixels.shape
    calibration = depth.calibration
    matrix = calibration and calibration.matrix_for(width, height)
    if matrix is None:
        points = (pixels + 0.5) * (width / size[0], height / size[1]) - 0.5
    else:
        project = cv2.fisheye.projectPoints if calibration.fisheye else cv2.projectPoints
        points = project(rays[:, None], np.zeros(3), np.zeros(3), matrix,
                         calibration.distortion)[0][:, 0]
    points = np.nan_to_num(points, nan=-1.0)
    column, row = np.clip(np.rint(points), -1, 1 << 20).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    z = np.full(len(pixels), math.nan)
    z[inside] = depth.unit * depth.pixels[row[inside], column[inside]].astype(np.float64)
    z[~(np.isfinite(z) & (z > 0))] = math.nan
    return z
