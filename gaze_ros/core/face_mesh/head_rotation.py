"""Rotation of a head from the mesh of its face.

View axes: right, up, toward the lens, of a camera that is turned to the face. A head that faces
the lens has no rotation in them, wherever it is in the image.
"""
from dataclasses import dataclass
import math
from typing import Optional

import cv2
from gaze_ros.core.face_mesh.canonical_face import CanonicalFace
from gaze_ros.core.geometry.camera_model import angles_to_unit, Lens, unit_to_angles, view_frame
from gaze_ros.core.geometry.rotations import cross
import numpy as np

#: The mesh undershoots large yaws: beyond the first value (radians) yaw is stretched by the
#: second.
STRETCH_FROM, STRETCH = math.radians(20), 0.2

#: Weight of head-pose-estimation-adas-0001 relative to a clear mesh, and the presence logit below
#: which it rises, to 1 at a logit of 0.
NETWORK_WEIGHT, CLEAR = 0.25, 10.0

#: Standard deviation of the direction: of a clear face, radians; per unit of presence below CLEAR,
#: radians; and per radian of disagreement between mesh and network.
BASE_STDDEV, PRESENCE_STDDEV, DISAGREEMENT = math.radians(4.5), math.radians(0.7), 0.45
#: Standard deviation per unit of presence below CLEAR without the network, radians.
PRESENCE_STDDEV_ALONE = math.radians(1.0)

#: Presence logit below which a face rotated by more than 90 degrees may be an upright one (a mask
#: had 14.4), and the standard deviation of its direction that this adds, radians.
CLEAR_UPSIDE_DOWN, UPSIDE_DOWN_STDDEV = 15.0, math.radians(30)

#: Mesh z to the camera's axes: x right, y up, z toward the lens.
_FLIP = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True, slots=True, eq=False)
class HeadRotation:
    """The rotation of a head as measured along the ray from the lens to it.

    :ivar rotation: (3, 3), columns the person's left, up and out of the face, in view axes.
    :ivar scale: pixels of the image per centimeter at the head.
    :ivar stddev: standard deviation of the direction of the face, radians.
    :ivar disagreement: angle between mesh and network, radians; NaN without the network.
    """

    rotation: np.ndarray
    scale: float
    stddev: float = math.nan
    disagreement: float = math.nan


def procrustes(points: np.ndarray, face: CanonicalFace) -> tuple[np.ndarray, float]:
    """Return rotation (3, 3) and scale (pixels per centimeter) of the canonical face in a mesh.

    The weighted orthogonal problem of MediaPipe's procrustes_solver.cc (Akca 2003, section 2.4),
    without perspective. Mean error on rendered_faces, |yaw| < 60 degrees: 5.1; with the
    perspective of an assumed camera 7.0, of the true one 5.4; PnP (SQPnP) with the true one 6.1 on
    the same points and 5.2 on all: the mesh's z carries more information than perspective.

    :param points: (N, 3) of a mesh, see :class:`gaze_ros.core.face_mesh.mesh.Mesh`.
    """
    weights = face.weights[:, None]
    model = face.vertices[face.rigid]
    model = model - (weights * model).sum(axis=0)
    measured = points[face.rigid].astype(np.float64) * _FLIP
    measured = measured - (weights * measured).sum(axis=0)
    u, _, vt = np.linalg.svd((weights * measured).T @ model)
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))
    rotation = u @ vt
    scale = (weights * measured * (model @ rotation.T)).sum() / (weights * model * model).sum()
    return rotation, float(scale)


def straighten(points: np.ndarray, lens: Lens) -> np.ndarray:
    """Return a mesh as a camera that is turned to the face sees it, at the same scale.

    Off the optical axis an image shows faces stretched and rotated; within 20 degrees of the axis
    the effect is negligible.

    :param points: (N, 3), x and y in pixels.
    :returns: (N, 3), x and y from the middle of the face.
    """
    rays, _ = lens.rays(points[:, :2])
    middle = rays.mean(axis=0)
    measured = rays @ view_frame(middle / np.linalg.norm(middle)).T
    flat = measured[:, :2] / measured[:, 2:]
    spread = np.sqrt(points[:, :2].var(axis=0).sum() / max(flat.var(axis=0).sum(), 1e-12))
    return np.column_stack([flat * spread, points[:, 2]])


def estimate_head_rotation(
        points: np.ndarray, presence: float, face: CanonicalFace,
        network: Optional[tuple[float, float]] = None) -> HeadRotation:
    """Return the rotation of a head.

    :param points: (478, 3) of its mesh, from :func:`straighten` if the lens is known.
    :param presence: presence logit of the mesh.
    :param network: pitch and yaw (radians) of head-pose-estimation-adas-0001, if available.
    """
    rotation, scale = procrustes(points, face)
    direction = rotation[:, 2]
    unclear = max(CLEAR - presence, 0.0)
    if network is None:
        disagreement = math.nan
        stddev = math.hypot(BASE_STDDEV, PRESENCE_STDDEV_ALONE * unclear)
    else:
        other = angles_to_unit(*network)
        disagreement = angle_between(direction, other)
        stddev = math.hypot(
            BASE_STDDEV, PRESENCE_STDDEV * unclear, DISAGREEMENT * disagreement)
        u = min(unclear / CLEAR, 1.0)
        direction = direction + (u + (1 - u) * NETWORK_WEIGHT) * other
    if rotation[1, 1] < 0 and presence < CLEAR_UPSIDE_DOWN:
        stddev = math.hypot(stddev, UPSIDE_DOWN_STDDEV)
    pitch, yaw = unit_to_angles(direction)
    yaw += math.copysign(STRETCH * max(abs(yaw) - STRETCH_FROM, 0.0), yaw)
    rotation = rotation_between(rotation[:, 2], angles_to_unit(pitch, yaw)) @ rotation
    return HeadRotation(rotation, scale, stddev, disagreement)


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smallest rotation (3, 3) from unit vector a to b."""
    axis = cross(a, b)
    sine = math.hypot(*axis.tolist())
    if sine < 1e-12:
        return np.eye(3)
    return cv2.Rodrigues(axis / sine * math.atan2(sine, float(a @ b)))[0]


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Return the angle in radians between two vectors of any length but 0."""
    return math.atan2(math.hypot(*cross(a, b).tolist()), float(a @ b))


def rotate_in_image(vector: np.ndarray, roll: float) -> np.ndarray:
    """Return a vector (3,) in view axes rotated clockwise in the image by an angle, radians."""
    c, s = math.cos(roll), math.sin(roll)
    x, y, z = vector
    return np.array([c * x + s * y, c * y - s * x, z])
