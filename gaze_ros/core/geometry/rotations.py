"""Orientations of faces and gazes in the camera's optical frame, as quaternions x, y, z, w."""
import math
from typing import Optional

from gaze_ros.core.geometry.head_pose import quaternion_from_matrix
import numpy as np

#: Sine of the angle to the optical frame's y below which a gaze is as good as straight down or up.
_STRAIGHT = 1e-6


def gaze_axes(direction: np.ndarray) -> np.ndarray:
    """Return (3, 3): the axes of REP-155's gaze_<id> as columns, z along the gaze.

    x = down x z and y = z x x, down being the optical frame's y: x is level, y points downward,
    as of a camera that looks where the person does. Straight down or up no x is more level than
    another; the optical frame's is taken.

    :param direction: (3,) unit vector in the optical frame.
    """
    x, y, z = direction.tolist()
    # Written out: np.cross takes most of the time of a small one.
    length = math.hypot(z, x)
    a, c = (z / length, -x / length) if length > _STRAIGHT else (1.0, 0.0)
    return np.array([[a, y * c, x], [0.0, z * a - x * c, y], [c, -y * a, z]])


def gaze_quaternion(direction: np.ndarray) -> Optional[np.ndarray]:
    """Return the orientation (4,) of REP-155's gaze_<id>; None for a gaze that is not known."""
    length = math.hypot(*direction.tolist())
    if not 0 < length < math.inf:
        return None
    return quaternion_from_matrix(gaze_axes(direction / length))


def normalised(rotation: np.ndarray) -> Optional[np.ndarray]:
    """Return a quaternion (4,) of length 1; None for one that is no rotation."""
    length = math.hypot(*rotation.tolist())
    return rotation / length if 1e-6 < length < math.inf else None


def face_forward_axis(rotation: np.ndarray) -> np.ndarray:
    """Return (3,): the x axis of what has an orientation (4,), in the frame it is in."""
    x, y, z, w = rotation.tolist()
    return np.array([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)])
