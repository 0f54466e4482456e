"""Orientations of faces and gazes, as quaternions x, y, z, w, rotation matrices and angles."""
import math
from typing import Optional

from gaze_ros.core.geometry.camera_model import unit_to_angles, view_frame
from gaze_ros.core.geometry.head_pose import quaternion_from_matrix
import numpy as np

#: Sine of the angle to the optical frame's y axis below which a gaze counts as vertical.
_VERTICAL = 1e-6


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cross product (3,) of two vectors (3,), in 1 us; numpy takes 30."""
    (x, y, z), (u, v, w) = a.tolist(), b.tolist()
    return np.array([y * w - z * v, z * u - x * w, x * v - y * u])


def gaze_axes(direction: np.ndarray) -> np.ndarray:
    """Return (3, 3): the axes of REP-155's gaze_<id> frame as columns, z along the gaze.

    x = down x z and y = z x x, with the optical frame's y as down. So x is level and y points
    downward, as for a camera that looks where the person looks. For a vertical gaze, x is that of
    the optical frame.

    :param direction: (3,) unit vector in the optical frame.
    """
    x, y, z = direction.tolist()
    length = math.hypot(z, x)
    a, c = (z / length, -x / length) if length > _VERTICAL else (1.0, 0.0)
    return np.array([[a, y * c, x], [0.0, z * a - x * c, y], [c, -y * a, z]])


def gaze_quaternion(direction: np.ndarray) -> Optional[np.ndarray]:
    """Return the orientation (4,) of REP-155's gaze_<id> frame; None for an unknown gaze."""
    length = math.hypot(*direction.tolist())
    if not 0 < length < math.inf:
        return None
    return quaternion_from_matrix(gaze_axes(direction / length))


def normalised(rotation: np.ndarray) -> Optional[np.ndarray]:
    """Return a quaternion (4,) scaled to length 1; None if its length is 0 or not finite."""
    length = math.hypot(*rotation.tolist())
    return rotation / length if 1e-6 < length < math.inf else None


def face_forward_axis(rotation: np.ndarray) -> np.ndarray:
    """Return the x axis (3,) of an orientation (4,), in the parent frame."""
    x, y, z, w = rotation.tolist()
    return np.array([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)])


def head_angles(rotation: np.ndarray) -> tuple[float, float, float]:
    """Return pitch, yaw and roll in radians of a head as seen along the ray to it.

    Pitch > 0 is up, yaw > 0 toward the right of the image, roll > 0 clockwise in the image,
    -pi..pi. A head that faces the lens has (0, 0, 0) wherever it is in the image.

    :param rotation: (3, 3), columns the person's left, up and out of the face, in axes right, up,
        toward the lens.
    """
    pitch, yaw = unit_to_angles(rotation[:, 2])
    # Right and up of a head with these pitch and yaw and no roll.
    right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    up = cross(rotation[:, 2], right)
    left = rotation[:, 0]
    return pitch, yaw, math.atan2(-float(left @ up), float(left @ right))


def orientation_along_ray(rotation: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Return the orientation (4,) of a face (REP-155) in the optical frame.

    :param rotation: (3, 3), as of :func:`head_angles`.
    :param ray: (3,) unit vector from the lens to the face.
    """
    return quaternion_from_matrix(
        (view_frame(ray).T * [1.0, -1.0, -1.0]) @ rotation[:, [2, 0, 1]])


def rotation_from_rpy(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Return the rotation (3, 3) of fixed-axis angles about x, y, z in radians (REP-103)."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a), math.sin(a)) for a in (roll, pitch, yaw))
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr]])


def rotation_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) of a unit quaternion (4,) x, y, z, w."""
    x, y, z, w = quaternion.tolist()
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def rotation_along_ray(orientation: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) of a face along a ray: :func:`orientation_along_ray` inverted.

    :param orientation: (4,) unit quaternion x, y, z, w in the optical frame.
    """
    matrix = rotation_from_quaternion(orientation)
    return (view_frame(ray).T * [1.0, -1.0, -1.0]).T @ matrix[:, [1, 2, 0]]
