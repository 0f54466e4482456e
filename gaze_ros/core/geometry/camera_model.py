"""Camera calibration and lens models; conversion between gaze angles, pixels and rays.

Angles follow the package's convention: radians, pitch > 0 up, yaw > 0 toward the right of the
image, both relative to the ray from the face to the lens, so that (0, 0) looks into the lens
wherever the face is. Vectors are in the camera optical frame of REP-103: x right, y down,
z forward.
"""
from dataclasses import dataclass
from functools import lru_cache
import math
from typing import Optional

import cv2
import numpy as np


def angles_to_unit(pitch: float, yaw: float) -> np.ndarray:
    """Return a gaze as a (3,) unit vector: right, up, toward the lens."""
    c = math.cos(pitch)
    return np.array([c * math.sin(yaw), math.sin(pitch), c * math.cos(yaw)])


def unit_to_angles(vector: np.ndarray) -> tuple[float, float]:
    """Return pitch and yaw of a non-zero vector: right, up, toward the lens."""
    x, y, z = (float(v) for v in vector)
    return math.atan2(y, math.hypot(x, z)), math.atan2(x, z)


#: Maximum width of an image in focal lengths: 168 degrees, and of a fisheye lens more than 360.
_MAX_WIDTH = 20


@dataclass(frozen=True, eq=False)
class Calibration:
    """A camera calibration; fields as in sensor_msgs/CameraInfo.

    :ivar matrix: (3, 3) K, pixels of the full, unbinned image.
    :ivar distortion: plumb_bob or rational coefficients in OpenCV's order, 0, 4, 5, 8, 12 or 14
        of them; 4 if ``fisheye``.
    :ivar width: of the full image, pixels; 0 for any.
    :ivar height: of the full image, pixels; 0 for any.
    :ivar fisheye: whether the lens is equidistant (Kannala and Brandt, PAMI 2006; cv2.fisheye).
    :ivar binning: sensor columns and rows per pixel of the image.
    :ivar roi: x, y, width, height of the delivered region, pixels of the full image; width and
        height 0 for the full image.
    :ivar from_projection: whether the matrix is that of P, since K is not known.
    :raises ValueError: for values that are impossible for a camera; the message names them.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    width: int = 0
    height: int = 0
    fisheye: bool = False
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)
    from_projection: bool = False

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the images as the camera delivers them, pixels; 0, 0 for any."""
        x, y, w, h = self.roi
        return ((w or max(self.width - x, 0)) // self.binning[0],
                (h or max(self.height - y, 0)) // self.binning[1])

    def __post_init__(self) -> None:
        k, d, name = self.matrix, self.distortion, 'P' if self.from_projection else 'K'
        if not np.isfinite(k).all() or not np.isfinite(d).all():
            raise ValueError(f'{name} or D has a value that is not finite')
        if min(k[0, 0], k[1, 1]) < 1 or np.abs(k[:2]).max() > 1e6:
            raise ValueError(
                f'{name} has focal lengths of {k[0, 0]:g} and {k[1, 1]:g} and a center of '
                f'{k[0, 2]:g}, {k[1, 2]:g}, where 1 to 1000000 pixels were expected')
        if k[0, 0] < self.width / _MAX_WIDTH:
            raise ValueError(
                f'{name} has a focal length of {k[0, 0]:g} pixels for a width of {self.width}: it '
                'is a placeholder, or belongs to other images')
        if len(d) not in ((4,) if self.fisheye else (0, 4, 5, 8, 12, 14)):
            raise ValueError(f'D has {len(d)} coefficients')
        x, y, w, h = self.roi
        if min(self.binning) < 1 or min(self.width, self.height, *self.roi) < 0 or (
                self.width and self.height and (
                    x >= self.width or y >= self.height
                    or x + w > self.width or y + h > self.height)):
            raise ValueError(f'the region {self.roi}, binned by {self.binning}, is not inside the '
                             f'image of {self.width}x{self.height}')
        if self.width and Lens(k, d, self.fisheye).max_radius * k[0, 0] < self.width / 4:
            raise ValueError('the distortion folds back inside the image')

    def matrix_for(self, width: int, height: int) -> Optional[np.ndarray]:
        """Return K (3, 3) for images of a size, or None if their aspect ratio differs."""
        x, y, w, h = self.roi
        bx, by = self.binning
        # The image may have been scaled since.
        w, h = self.image_size if self.width and self.height or w and h else (width, height)
        if not w or not h or abs(width * h / (w * height) - 1) > 0.01:
            return None
        return (self.matrix - [[0, 0, x], [0, 0, y], [0, 0, 0]]) * [
            [width / w / bx], [height / h / by], [1.0]]


class Lens:
    """Converts pixels of an image to rays.

    :param matrix: (3, 3) K for this image size, pixels.
    :param distortion: as in :class:`Calibration`, or None.
    :param fisheye: as in :class:`Calibration`.
    :ivar max_radius: distance from the axis up to which a pixel has a ray, in focal lengths.
        Beyond it the distortion folds back, as polynomials do outside the calibrated range.
    """

    def __init__(self, matrix: np.ndarray, distortion: Optional[np.ndarray] = None,
                 fisheye: bool = False) -> None:
        self._center, self._focal = matrix[:2, 2], matrix[[0, 1], [0, 1]]
        self._fisheye = fisheye
        self._distortion = None if distortion is None or not np.any(distortion) else distortion
        self.max_radius = math.inf
        if fisheye:
            self._angles = np.linspace(0, math.pi, 4097)
            square = self._angles ** 2
            self._radii = self._angles * np.polyval([*np.asarray(distortion)[::-1], 1.0], square)
            end = _count_rising(self._radii)
            self._angles, self._radii = self._angles[:end], self._radii[:end]
            self.max_radius = float(self._radii[-1])
        elif self._distortion is not None:
            # The radial part, up to 80 degrees.
            radial = self._distortion.copy()
            radial[2:4] = 0
            radial[8:] = 0
            self._undistorted_radii = np.linspace(0, 5.67, 2049)
            on_axis = np.stack([self._undistorted_radii, 0 * self._undistorted_radii], axis=1)
            self._radii = _distort(on_axis, radial)[:, 0]
            end = _count_rising(self._radii)
            self._undistorted_radii = self._undistorted_radii[:end]
            self._radii = self._radii[:end]
            self.max_radius = float(self._radii[-1])

    def rays(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the (N, 3) unit rays from the lens in the optical frame, and which are exact.

        A pixel beyond :attr:`max_radius` gets the ray of the nearest pixel toward the middle of
        the image that has one; it is not exact.

        :param pixels: (N, 2).
        :returns: (N, 3) float64 and (N,) bool; NaN and False for a pixel that is not finite, or
            billions of pixels outside the image.
        """
        points = (np.asarray(pixels, np.float64) - self._center) / self._focal
        # Points far outside any image must not overflow.
        exact = (np.abs(points) < 1e9).all(axis=1)
        points[~exact] = math.nan
        if self._fisheye:
            return self._fisheye_rays(points)
        if self._distortion is not None:
            points, exact = self._undistort(points)
        rays = _homogeneous(points)
        return rays / np.linalg.norm(rays, axis=1, keepdims=True), exact

    def _fisheye_rays(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Not cv2.fisheye.undistortPoints: it stops at 90 degrees, but many such lenses go beyond.
        radii = np.hypot(*points.T)
        angles = np.interp(radii, self._radii, self._angles)
        across = points * (np.sin(angles) / np.maximum(radii, 1e-12))[:, None]
        return np.column_stack([across, np.cos(angles)]), radii <= self.max_radius

    def _undistort(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (N, 2) distorted points undistorted, and (N,) whether each has converged."""
        # Not cv2.undistortPoints: with wide lenses it often fails to converge, most in OpenCV 4.
        # A table inverts the radial part; only the small remainder is iterated.
        guess, first = points, None
        for _ in range(20):
            radii = np.hypot(*guess.T)
            result = guess * (np.interp(radii, self._radii, self._undistorted_radii)
                              / np.maximum(radii, 1e-12))[:, None]
            if first is None:
                first = result
            error = points - _distort(result, self._distortion)
            exact = (np.abs(error).max(axis=1) < 1e-6) & (radii <= self.max_radius)
            if (exact | np.isnan(radii)).all():
                return result, exact
            guess = guess + error
        return np.where(exact[:, None], result, first), exact


_ZERO, _IDENTITY = np.zeros(3), np.eye(3)


def _distort(points: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return (N, 2) normalized points, distorted."""
    return cv2.projectPoints(
        _homogeneous(points), _ZERO, _ZERO, _IDENTITY, distortion)[0][:, 0]


def _homogeneous(points: np.ndarray) -> np.ndarray:
    """Return (N, 2) points as (N, 3) with z = 1."""
    result = np.ones((len(points), 3))
    result[:, :2] = points
    return result


def _count_rising(values: np.ndarray) -> int:
    """Return the length of the strictly increasing run that starts at the first value."""
    falls = ~(np.diff(values) > 0)
    return int(np.argmax(falls)) + 1 if falls.any() else len(values)


@lru_cache(maxsize=8)
def lens_for(calibration: Optional[Calibration], width: int, height: int, horizontal_fov: float
             ) -> tuple[Lens, bool]:
    """Return the lens for images of a size, and whether it is calibrated.

    Without a calibration, or if its aspect ratio differs, the lens is a pinhole with the given
    field of view.

    :param horizontal_fov: radians, 0 < fov < pi.
    """
    matrix = calibration and calibration.matrix_for(width, height)
    if matrix is None:
        return Lens(assumed_camera_matrix(width, height, horizontal_fov)), False
    return Lens(matrix, calibration.distortion, calibration.fisheye), True


def assumed_camera_matrix(width: int, height: int, horizontal_fov: float) -> np.ndarray:
    """Return K (3, 3) of a pinhole camera with square pixels and a centered optical axis.

    :param horizontal_fov: radians, 0 < fov < pi.
    """
    f = width / 2 / math.tan(horizontal_fov / 2)
    return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]])


def view_frame(ray: np.ndarray) -> np.ndarray:
    """Return the (3, 3) rotation from the optical frame to that of a camera turned to a ray.

    Its rows are right, down and away: the eye frame of Gaze360 (Kellnhofer et al., ICCV 2019,
    section 3) with other signs. Away is the ray; down is the image's, made perpendicular to it.

    :param ray: (3,) unit vector from the lens.
    """
    x, y, z = ray.tolist()
    level = math.hypot(x, z)
    # For a ray straight up or down, right is undefined: use that of the image.
    right = (z / level, 0.0, -x / level) if level > 1e-9 else (1.0, 0.0, 0.0)
    (a, _, b) = right
    return np.array([right, (y * b, z * a - x * b, -y * a), (x, y, z)])


def gaze_direction(pitch: float, yaw: float, ray: np.ndarray) -> np.ndarray:
    """Return the (3,) unit gaze vector in the camera's optical frame.

    On the optical axis this is (cos p sin y, -sin p, -cos p cos y); elsewhere it is the same
    vector in the frame of :func:`view_frame`.

    :param ray: (3,) unit vector from the lens to the face.
    :returns: all NaN if an angle is NaN.
    """
    right, up, toward = angles_to_unit(pitch, yaw)
    return np.array([right, -up, -toward]) @ view_frame(ray)


def angle_to_lens(pitch: float, yaw: float) -> float:
    """Return the angle (0..pi rad) between a gaze and the ray into the lens; NaN if unknown."""
    # The value comes first because min and max return their first argument if it is NaN.
    return math.acos(max(min(math.cos(pitch) * math.cos(yaw), 1.0), -1.0))


def arrow(pitch: float, yaw: float, length: float) -> tuple[float, float]:
    """Return dx, dy in pixels (y down) of the arrow that shows a gaze in the image."""
    return length * math.sin(yaw) * math.cos(pitch), -length * math.sin(pitch)
