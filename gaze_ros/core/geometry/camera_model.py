"""Angles, rays and frames.

Angles follow the project's convention: radians, pitch > 0 up, yaw > 0 toward the right of the
picture, both relative to the ray from the face to the lens, so that (0, 0) looks into the lens
wherever the face is. Vectors are in the camera's optical frame of REP-103: x right, y down,
z forward.
"""
from dataclasses import dataclass
from functools import lru_cache
import math
from typing import Optional

import cv2
import numpy as np


def angles_to_unit(pitch: float, yaw: float) -> np.ndarray:
    """Return the (3,) unit vector right, up, toward the lens of a gaze."""
    c = math.cos(pitch)
    return np.array([c * math.sin(yaw), math.sin(pitch), c * math.cos(yaw)])


def unit_to_angles(vector: np.ndarray) -> tuple[float, float]:
    """Return pitch, yaw of a right, up, toward-the-lens vector of any length but 0."""
    x, y, z = (float(v) for v in vector)
    return math.atan2(y, math.hypot(x, z)), math.atan2(x, z)


@dataclass(frozen=True, eq=False)
class Calibration:
    """A camera's calibration, with the meaning sensor_msgs/CameraInfo gives it.

    :ivar matrix: (3, 3) K, pixels of the full, unbinned picture.
    :ivar distortion: plumb_bob or rational coefficients in OpenCV's order, 0, 4, 5, 8, 12 or 14
        of them; 4 where ``fisheye``.
    :ivar width: of the full picture, pixels; height likewise. 0 for any.
    :ivar fisheye: whether the lens is equidistant (Kannala and Brandt, PAMI 2006; cv2.fisheye).
    :ivar binning: columns and rows of the sensor in one pixel of the picture.
    :ivar roi: x, y, width, height of the part that is delivered, pixels of the full picture;
        width and height 0 for all there is.
    :raises ValueError: for what no camera has, naming it.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    width: int = 0
    height: int = 0
    fisheye: bool = False
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        k, d = self.matrix, self.distortion
        if not np.isfinite(k).all() or not np.isfinite(d).all():
            raise ValueError('K or D has a value that is no number')
        if min(k[0, 0], k[1, 1]) < 1 or np.abs(k[:2]).max() > 1e6:
            raise ValueError(
                f'K has focal lengths of {k[0, 0]:g} and {k[1, 1]:g} and a center of '
                f'{k[0, 2]:g}, {k[1, 2]:g}, where 1 to 1000000 pixels were expected')
        if len(d) not in ((4,) if self.fisheye else (0, 4, 5, 8, 12, 14)):
            raise ValueError(f'D has {len(d)} coefficients')
        x, y, w, h = self.roi
        if min(self.binning) < 1 or min(self.width, self.height, *self.roi) < 0 or (
                self.width and self.height and (
                    x >= self.width or y >= self.height
                    or x + w > self.width or y + h > self.height)):
            raise ValueError(f'the region {self.roi}, binned by {self.binning}, is no part of '
                             f'{self.width}x{self.height}')
        if self.width and Lens(k, d, self.fisheye).reach * k[0, 0] < self.width / 4:
            raise ValueError('the distortion folds the picture back onto itself inside it')

    def matrix_for(self, width: int, height: int) -> Optional[np.ndarray]:
        """Return K for pictures of a size, or None if what was calibrated has another shape."""
        x, y, w, h = self.roi
        bx, by = self.binning
        # In pixels of the picture as the camera delivers it, which may have been scaled since.
        w, h = ((w or self.width - x) // bx, (h or self.height - y) // by) if (
            self.width and self.height or w and h) else (width, height)
        if not w or not h or abs(width * h / (w * height) - 1) > 0.01:
            return None
        return (self.matrix - [[0, 0, x], [0, 0, y], [0, 0, 0]]) * [
            [width / w / bx], [height / h / by], [1.0]]


class Lens:
    """What turns the pixels of a picture into rays.

    :param matrix: (3, 3) K of this very picture, pixels.
    :param distortion: as of :class:`Calibration`; ``fisheye`` likewise.
    :ivar reach: how far from the axis a pixel has a ray, in focal lengths: beyond, the
        distortion folds back, as polynomials do outside of what was calibrated.
    """

    def __init__(self, matrix: np.ndarray, distortion: Optional[np.ndarray] = None,
                 fisheye: bool = False) -> None:
        self._center, self._focal = matrix[:2, 2], matrix[[0, 1], [0, 1]]
        self._fisheye = fisheye
        self._distortion = None if distortion is None or not np.any(distortion) else distortion
        self.reach = math.inf
        if fisheye:
            self._angles = np.linspace(0, math.pi, 4097)
            square = self._angles ** 2
            self._radii = self._angles * np.polyval([*np.asarray(distortion)[::-1], 1.0], square)
            end = _rising(self._radii)
            self._angles, self._radii = self._angles[:end], self._radii[:end]
            self.reach = float(self._radii[-1])
        elif self._distortion is not None:
            # The radial part, out to 80 degrees.
            radial = self._distortion.copy()
            radial[2:4] = 0
            radial[8:] = 0
            self._straight = np.linspace(0, 5.67, 2049)
            along = np.stack([self._straight, 0 * self._straight], axis=1)
            self._radii = _distorted(along, radial)[:, 0]
            end = _rising(self._radii)
            self._straight, self._radii = self._straight[:end], self._radii[:end]
            self.reach = float(self._radii[-1])

    def rays(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the (N, 3) unit rays from the lens in the optical frame, and which are exact.

        A pixel that has none, as the distortion folds back before it, gets that of the nearest
        one toward the middle of the picture that has; it is not exact.

        :param pixels: (N, 2).
        :returns: (N, 3) float64 and (N,) bool; NaN and False for a pixel that is no number, or
            billions of pixels out of the picture.
        """
        points = (np.asarray(pixels, np.float64) - self._center) / self._focal
        # Nothing of what is far out of any picture may overflow.
        exact = (np.abs(points) < 1e9).all(axis=1)
        points[~exact] = math.nan
        if self._fisheye:
            return self._fisheye_rays(points)
        if self._distortion is not None:
            points, exact = self._undistorted(points)
        rays = _on_plane(points)
        return rays / np.linalg.norm(rays, axis=1, keepdims=True), exact

    def _fisheye_rays(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Not cv2.fisheye.undistortPoints, which ends at 90 degrees: many such lenses do not.
        radii = np.hypot(*points.T)
        angles = np.interp(radii, self._radii, self._angles)
        across = points * (np.sin(angles) / np.maximum(radii, 1e-12))[:, None]
        return np.column_stack([across, np.cos(angles)]), radii <= self.reach

    def _undistorted(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where (N, 2) distorted points were, and which of them really were there."""
        # Not cv2.undistortPoints: with a wide lens it does not always converge, least in OpenCV 4.
        # Here the radial part is undone by a table, and only the small rest is iterated.
        aim, first = points, None
        for _ in range(20):
            radii = np.hypot(*aim.T)
            found = aim * (np.interp(radii, self._radii, self._straight)
                           / np.maximum(radii, 1e-12))[:, None]
            if first is None:
                first = found
            missed = points - _distorted(found, self._distortion)
            exact = (np.abs(missed).max(axis=1) < 1e-6) & (radii <= self.reach)
            if (exact | np.isnan(radii)).all():
                return found, exact
            aim = aim + missed
        return np.where(exact[:, None], found, first), exact


_NONE, _IDENTITY = np.zeros(3), np.eye(3)


def _distorted(points: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return where a lens of focal length 1 shows (N, 2) points at distance 1."""
    return cv2.projectPoints(
        _on_plane(points), _NONE, _NONE, _IDENTITY, distortion)[0][:, 0]


def _on_plane(points: np.ndarray) -> np.ndarray:
    """Return (N, 3) of (N, 2) points, at distance 1."""
    placed = np.ones((len(points), 3))
    placed[:, :2] = points
    return placed


def _rising(values: np.ndarray) -> int:
    """Return how many values rise, from the first one on."""
    falls = ~(np.diff(values) > 0)
    return int(np.argmax(falls)) + 1 if falls.any() else len(values)


@lru_cache(maxsize=8)
def lens_for(calibration: Optional[Calibration], width: int, height: int, horizontal_fov: float
             ) -> tuple[Lens, bool]:
    """Return the lens of a camera's pictures of a size, and whether it is calibrated.

    Where it is not, or for another shape of picture, it is a pinhole of that field of view.
    """
    matrix = calibration and calibration.matrix_for(width, height)
    if matrix is None:
        return Lens(assumed_camera_matrix(width, height, horizontal_fov)), False
    return Lens(matrix, calibration.distortion, calibration.fisheye), True


def assumed_camera_matrix(width: int, height: int, horizontal_fov: float) -> np.ndarray:
    """Return K (3, 3) of a pinhole camera with square pixels and its axis in the middle.

    :param horizontal_fov: radians, 0 < fov < pi.
    """
    f = width / 2 / math.tan(horizontal_fov / 2)
    return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]])


def view_frame(ray: np.ndarray) -> np.ndarray:
    """Return the (3, 3) rotation from the optical frame to that of a camera turned to a ray.

    Its rows are right, down and away. They are the eye frame of Gaze360 (Kellnhofer et al., ICCV
    2019, section 3) with other signs: away is the ray, down is the picture's made perpendicular.

    :param ray: (3,) unit vector from the lens.
    """
    x, y, z = ray.tolist()
    level = math.hypot(x, z)
    # Straight up or down there is no right; that of the picture is as good as any.
    right = (z / level, 0.0, -x / level) if level > 1e-9 else (1.0, 0.0, 0.0)
    (a, _, b) = right
    return np.array([right, (y * b, z * a - x * b, -y * a), (x, y, z)])


def gaze_direction(pitch: float, yaw: float, ray: np.ndarray) -> np.ndarray:
    """Return the (3,) unit gaze vector in the camera's optical frame.

    On the optical axis this is (cos p sin y, -sin p, -cos p cos y); elsewhere it is that in
    :func:`view_frame`.

    :param ray: (3,) unit vector from the lens to the face.
    :returns: NaN where an angle is NaN.
    """
    right, up, toward = angles_to_unit(pitch, yaw)
    return np.array([right, -up, -toward]) @ view_frame(ray)


def angle_to_lens(pitch: float, yaw: float) -> float:
    """Return the angle in radians (0..pi) between a gaze and the ray into the lens; NaN of NaN."""
    # The value first: of two, min and max give the first where it is NaN.
    return math.acos(max(min(math.cos(pitch) * math.cos(yaw), 1.0), -1.0))


def arrow(pitch: float, yaw: float, length: float) -> tuple[float, float]:
    """Return dx, dy in pixels (y down) of the arrow drawn for a gaze in the picture."""
    return length * math.sin(yaw) * math.cos(pitch), -length * math.sin(pitch)
