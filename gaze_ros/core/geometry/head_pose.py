"""Where heads are and which way they are turned, from their landmarks or from their size."""
from dataclasses import dataclass
import math
from typing import Optional

import cv2
from gaze_ros.core.geometry.camera_model import Lens, view_frame
from gaze_ros.core.types import Face
import numpy as np

#: A mean face in the axes of REP-155 (x out of the face, y to the person's left, z up), origin in
#: the middle between the eyes, which are 1 apart; in the order of faces.LANDMARK_NAMES. It is
#: MediaPipe's canonical face model (Apache-2.0): the middle of the corners of each eye (points 33
#: and 133, 263 and 362), the tip of the nose (1), the corners of the mouth (61, 291).
MEAN_FACE = np.array([
    [0.0, -0.5, 0.0], [0.0, 0.5, 0.0], [0.63628, 0.0, -0.59526],
    [0.12983, -0.38973, -1.10551], [0.12983, 0.38973, -1.10551]])

#: Square root of the area of a detector's box over the distance of the eyes, and where in it they
#: are, from its top. Measured over six detectors and four clips (docs/geometry.md).
BOX_SIZE, BOX_EYES = 2.65, 0.4

#: Parts of the range, one standard deviation: how far people's eyes are apart (Dodgson 2004:
#: 63 mm, 3.7 mm), how large a box is, and focal lengths about the one of an assumed field of view.
EYES_STDDEV, BOX_STDDEV, FOCAL_STDDEV = 0.06, 0.1, 0.2
#: The part of the range that a misfit of the landmarks, rms over the distance of the eyes, stands
#: for: the noise in them that leaves such a misfit moves it so far.
MISFIT_STDDEV = 0.8

#: Landmarks that fit a face worse, are nearer or farther in meters, or make of a face one so many
#: times smaller or larger than its box, are not believed, nor is a face seen from behind.
MAX_MISFIT, MIN_RANGE, MAX_RANGE, MAX_SIZE_RATIO = 0.2, 0.1, 50.0, 1.6
#: x of REP-155 along the ray: a nose may point so far away from the lens, here by 15 degrees.
MAX_AWAY = 0.26

_IDENTITY = np.eye(3)
#: Of a size at which SQPNP is sure of itself: of a face in meters, OpenCV 4.6 gets some poses
#: wrong and OpenCV 5 takes twice as long.
_SCALE = 10.0
_MODEL = _SCALE * MEAN_FACE


@dataclass(slots=True)
class HeadPose:
    """One head in the camera's optical frame.

    :ivar ray: (3,) unit vector from the lens to the middle between the eyes.
    :ivar range: how far along it that is, meters.
    :ivar range_stddev: one standard deviation of it, meters.
    :ivar orientation: (4,) quaternion x, y, z, w of the face's axes of REP-155.
    :ivar fitted: whether that is by the landmarks; else it is by the box, facing the lens.
    """

    ray: np.ndarray
    range: float
    range_stddev: float
    orientation: np.ndarray
    fitted: bool


def estimate_head_poses(faces: list[Face], lens: Lens, calibrated: bool, interpupillary_distance: float
           ) -> list[HeadPose]:
    """Return the head of each face, in their order.

    A head's pose is the one in which the mean face, its eyes interpupillary_distance apart, is
    seen as the landmarks are (Terzakis and Lourakis, ECCV 2020, as cv2.SOLVEPNP_SQPNP), so that
    a head that turns stays as far away as it was.

    :param lens: of the picture the faces are in.
    :param calibrated: whether it is known, not assumed.
    :param interpupillary_distance: meters; ranges are in proportion to it.
    """
    if not faces:
        return []
    pixels = np.concatenate([_pixels(face) for face in faces])
    rays, exact = lens.rays(pixels)
    known = 0.0 if calibrated else FOCAL_STDDEV
    return [_head(rays[i:i + 10], bool(exact[i + 5:i + 10].all()), known, interpupillary_distance)
            for i in range(0, len(rays), 10)]


def _pixels(face: Face) -> np.ndarray:
    """Return (10, 2): between the eyes as the box has it, its four sides, the landmarks."""
    x, y, w, h = face.box
    points = np.full((10, 2), math.nan)
    points[:5] = ((x + w / 2, y + BOX_EYES * h), (x, y + h / 2), (x + w, y + h / 2),
                  (x + w / 2, y), (x + w / 2, y + h))
    if face.landmarks is not None:
        points[5:] = face.landmarks
    return points


def _head(rays: np.ndarray, exact: bool, known: float, distance: float) -> HeadPose:
    # Angles, not pixels: toward the border, a lens shows faces larger or smaller.
    across, down = (2 * math.asin(min(math.dist(a, b) / 2, 1.0))
                    for a, b in (rays[1:3].tolist(), rays[3:5].tolist()))
    size = math.sqrt(max(across * down, 1e-12))
    away = BOX_SIZE * distance / size
    if exact and (fit := _fitted(rays[5:])) is not None:
        rotation, position, misfit = fit
        position = distance * position
        far = math.hypot(*position.tolist())
        if MIN_RANGE <= far <= MAX_RANGE and 1 / MAX_SIZE_RATIO <= far / away <= MAX_SIZE_RATIO:
            part = math.hypot(EYES_STDDEV, MISFIT_STDDEV * misfit, known)
            return HeadPose(position / far, far, part * far, quaternion_from_matrix(rotation), True)
    right, low, ray = view_frame(rays[0])
    part = math.hypot(EYES_STDDEV, BOX_STDDEV, known)
    return HeadPose(ray, away, part * away, quaternion_from_matrix(np.array([-ray, right, -low]).T), False)


def _fitted(rays: np.ndarray) -> Optional[tuple[np.ndarray, np.ndarray, float]]:
    """Return rotation (3, 3), position (3,) and misfit, in distances of the eyes.

    None where the landmarks are no face's.
    """
    ray = rays.sum(axis=0)
    # As a camera turned to the face sees it: else far off the axis the border would weigh more.
    view = view_frame(ray / math.hypot(*ray.tolist()))
    seen = rays @ view.T
    if not seen[:, 2].min() > 0.1:
        return None
    points = np.ascontiguousarray(seen[:, :2] / seen[:, 2:])
    try:
        good, turn, position = cv2.solvePnP(
            _MODEL, points, _IDENTITY, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:
        return None
    if not good or not position[2, 0] > 0:
        return None
    rotation, position = cv2.Rodrigues(turn)[0], position[:, 0]
    back = _MODEL @ rotation.T + position
    error = back[:, :2] / back[:, 2:] - points
    misfit = math.sqrt((error ** 2).sum() / 5) * float(position[2]) / _SCALE
    # A comparison that NaN fails, too.
    if not (misfit <= MAX_MISFIT and rotation[2, 0] <= MAX_AWAY):
        return None
    return view.T @ rotation, view.T @ position / _SCALE, misfit


def quaternion_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Return x, y, z, w (4,) of a rotation matrix (3, 3), with w >= 0."""
    turn = cv2.Rodrigues(rotation)[0][:, 0]
    angle = math.hypot(*turn.tolist())
    return np.append(turn * (math.sin(angle / 2) / angle if angle else 0.5), math.cos(angle / 2))
