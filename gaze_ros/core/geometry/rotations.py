"""Orientations of faces and gazes in the camera's optical frame, as quaternions x, y, z, w."""
import math
from typing import Optional

from gaze_ros.core.geometry.head_pose import quaternion_from_matrix
import numpy as np

#: Sine of the angle to the optical frame's y axis below which a gaze counts as vertical.
_VERTICAL = 1e-6


def gaze_axes(direction: np.ndarray) -> np.ndarray:
    """Return (3, 3): the axes of REP-155's gaze_<id> frame as columns, z along the gaze.

    x = down x z and y = z x x, with the optical frame's y as down. So x is level and y points
    downward, as for a camera that looks where the person looks. For a vertical gaze, x is that of
    the optical frame.

    :param direction: (3,) unit vector in the optical frame.
    """
    x, y, z = direction.tolist()
    # Written out: np.cross is slow for single vectors.
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
