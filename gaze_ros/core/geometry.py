"""Angles, rays and frames.

Angles follow the project's convention: radians, pitch > 0 up, yaw > 0 toward the right of the
picture, both relative to the ray from the face to the lens, so that (0, 0) looks into the lens
wherever the face is. Vectors are in the camera's optical frame of REP-103: x right, y down,
z forward.
"""
from dataclasses import dataclass
import math
from typing import Optional

import cv2
import numpy as np

_UP = np.array([0.0, -1.0, 0.0])


def angles_to_unit(pitch: float, yaw: float) -> np.ndarray:
    """Return the (3,) unit vector right, up, toward the lens of a gaze."""
    c = math.cos(pitch)
    return np.array([c * math.sin(yaw), math.sin(pitch), c * math.cos(yaw)])


def unit_to_angles(vector: np.ndarray) -> tuple[float, float]:
    """Return pitch, yaw of a right, up, toward-the-lens vector of any length but 0."""
    x, y, z = (float(v) for v in vector)
    return math.atan2(y, math.hypot(x, z)), math.atan2(x, z)


@dataclass(frozen=True)
class Calibration:
    """What turns pixels into rays.

    :ivar matrix: (3, 3) K, pixels.
    :ivar distortion: plumb_bob or rational coefficients, 0, 4, 5, 8, 12 or 14 of them.
    :ivar width: of the pictures it was made with, pixels; height likewise. 0 for any.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    width: int = 0
    height: int = 0

    def matrix_for(self, width: int, height: int) -> Optional[np.ndarray]:
        """Return K for pictures of another size, or None if they have another shape."""
        if not (self.width and self.height):
            return self.matrix
        x, y = width / self.width, height / self.height
        if abs(x / y - 1) > 0.01:
            return None
        return self.matrix * np.array([[x], [y], [1.0]])


def pixel_ray(
        u: float, v: float, camera_matrix: np.ndarray,
        distortion: Optional[np.ndarray] = None) -> np.ndarray:
    """Return the (3,) unit ray from the lens through a pixel, in the optical frame.

    :param camera_matrix: (3, 3) K of the picture the pixel is in.
    :param distortion: plumb_bob or rational coefficients, OpenCV's order; None for none.
    """
    if distortion is not None and np.any(distortion):
        point = cv2.undistortPoints(
            np.array([[[u, v]]], np.float64), camera_matrix, distortion)
        x, y = point[0, 0]
    else:
        x = (u - camera_matrix[0, 2]) / camera_matrix[0, 0]
        y = (v - camera_matrix[1, 2]) / camera_matrix[1, 1]
    ray = np.array([x, y, 1.0])
    return ray / np.linalg.norm(ray)


def assumed_camera_matrix(width: int, height: int, horizontal_fov: float) -> np.ndarray:
    """Return K (3, 3) of a pinhole camera with square pixels and its axis in the middle.

    :param horizontal_fov: radians, 0 < fov < pi.
    """
    f = width / 2 / math.tan(horizontal_fov / 2)
    return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]])


def gaze_direction(pitch: float, yaw: float, ray: np.ndarray) -> np.ndarray:
    """Return the (3,) unit gaze vector in the camera's optical frame.

    Gaze360's definition of the eye frame (Kellnhofer et al., ICCV 2019, section 3): z_e runs
    from the camera to the face, y_e is "up" made perpendicular to it, x_e = y_e x z_e points to
    the left of the picture. On the optical axis this is (cos p sin y, -sin p, -cos p cos y).

    :param ray: (3,) unit vector from the lens to the face, not parallel to the y axis.
    :returns: NaN where an angle is NaN.
    """
    z_e = ray
    y_e = _UP - np.dot(_UP, z_e) * z_e
    y_e = y_e / np.linalg.norm(y_e)
    x_e = np.cross(y_e, z_e)
    right, up, toward = angles_to_unit(pitch, yaw)
    return -right * x_e + up * y_e - toward * z_e


def angle_to_lens(pitch: float, yaw: float) -> float:
    """Return the angle in radians (0..pi) between a gaze and the ray into the lens; NaN of NaN."""
    # The value first: of two, min and max give the first where it is NaN.
    return math.acos(max(min(math.cos(pitch) * math.cos(yaw), 1.0), -1.0))


def arrow(pitch: float, yaw: float, length: float) -> tuple[float, float]:
    """Return dx, dy in pixels (y down) of the arrow drawn for a gaze in the picture."""
    return length * math.sin(yaw) * math.cos(pitch), -length * math.sin(pitch)
