"""Position and orientation of heads, from the face landmarks or from the size of the box."""
from dataclasses import dataclass
import math
from typing import Optional

import cv2
from gaze_ros.core.geometry.camera_model import Lens, view_frame
from gaze_ros.core.types import Face
import numpy as np

#: Landmarks of a mean face in the axes of REP-155 (x out of the face, y to the person's left, z
#: up), in eye distances from the midpoint between the eyes; order of types.LANDMARK_NAMES. Source:
#: MediaPipe's canonical face model (Apache-2.0): midpoint of the corners of each eye (points 33
#: and 133, 263 and 362), tip of the nose (1), corners of the mouth (61, 291).
MEAN_FACE = np.array([
    [0.0, -0.5, 0.0], [0.0, 0.5, 0.0], [0.63628, 0.0, -0.59526],
    [0.12983, -0.38973, -1.10551], [0.12983, 0.38973, -1.10551]])

#: Square root of the area of a detector's box in eye distances, and height of the eyes in the box
#: from its top, as a part. Measured with six detectors on four clips (docs/geometry.md).
BOX_SIZE, BOX_EYES = 2.65, 0.4

#: Relative standard deviations of the range: from people's eye distance (Dodgson 2004: 63 mm,
#: 3.7 mm), from the size of the box, and from the focal length of an assumed field of view.
EYES_STDDEV, BOX_STDDEV, FOCAL_STDDEV = 0.06, 0.1, 0.2
#: Relative standard deviation of the range per unit of landmark misfit (rms, in eye distances):
#: the effect on the range of noise that leaves such a misfit.
MISFIT_STDDEV = 0.8

#: A fit is rejected if its misfit is larger, its range in meters is outside these limits, or it
#: differs from the range by the box by more than this factor.
MAX_MISFIT, MIN_RANGE, MAX_RANGE, MAX_SIZE_RATIO = 0.2, 0.1, 50.0, 1.6
#: ... or if the face points away from the lens: maximum component of its x axis (REP-155) along
#: the ray, sine of 15 degrees.
MAX_AWAY = 0.26

#: Standard deviation of the direction of a face from five landmarks, radians: on 28 labelled
#: photographs and 15 rendered faces with yaws up to 90 degrees the mean errors are 13 and 18.
LANDMARKS_STDDEV = math.radians(17)

_IDENTITY = np.eye(3)
#: Scale of the model at which SQPNP is robust: with a face in meters, OpenCV 4.6 gets some poses
#: wrong and OpenCV 5 takes twice as long.
_SCALE = 10.0
_MODEL = _SCALE * MEAN_FACE


@dataclass(slots=True)
class HeadPose:
    """One head in the camera's optical frame.

    :ivar ray: (3,) unit vector from the lens to the midpoint between the eyes.
    :ivar range: distance along the ray, meters.
    :ivar range_stddev: standard deviation of the range, meters.
    :ivar orientation: (4,) quaternion x, y, z, w of the face's axes (REP-155).
    :ivar fitted: whether the pose is from the landmarks; else it is from the box, and the face is
        assumed to face the lens.
    """

    ray: np.ndarray
    range: float
    range_stddev: float
    orientation: np.ndarray
    fitted: bool


def estimate_head_poses(
        faces: list[Face], lens: Lens, calibrated: bool,
        interpupillary_distance: float) -> list[HeadPose]:
    """Return the head pose of each face, in their order.

    The pose is the one in which the mean face, scaled to interpupillary_distance, projects best
    to the landmarks (Terzakis and Lourakis, ECCV 2020, as cv2.SOLVEPNP_SQPNP). So the range does
    not change when a head turns.

    :param lens: of the image that the faces are in.
    :param calibrated: whether the lens is calibrated, not assumed.
    :param interpupillary_distance: meters; ranges are proportional to it.
    """
    if not faces:
        return []
    pixels = np.concatenate([_pixels(face) for face in faces])
    rays, exact = lens.rays(pixels)
    focal_stddev = 0.0 if calibrated else FOCAL_STDDEV
    return [_head_pose(rays[i:i + 10], bool(exact[i + 5:i + 10].all()), focal_stddev,
                       interpupillary_distance)
            for i in range(0, len(rays), 10)]


def _pixels(face: Face) -> np.ndarray:
    """Return (10, 2): midpoint of the eyes by the box, its four sides, the landmarks."""
    x, y, w, h = face.box
    points = np.full((10, 2), math.nan)
    points[:5] = ((x + w / 2, y + BOX_EYES * h), (x, y + h / 2), (x + w, y + h / 2),
                  (x + w / 2, y), (x + w / 2, y + h))
    if face.landmarks is not None:
        points[5:] = face.landmarks
    return points


def _head_pose(rays: np.ndarray, exact: bool, focal_stddev: float, eye_distance: float
               ) -> HeadPose:
    # Angles, not pixels: toward the border, a lens shows faces larger or smaller.
    width, height = (2 * math.asin(min(math.dist(a, b) / 2, 1.0))
                     for a, b in (rays[1:3].tolist(), rays[3:5].tolist()))
    size = math.sqrt(max(width * height, 1e-12))
    box_range = BOX_SIZE * eye_distance / size
    if exact and (fit := _fit_landmarks(rays[5:])) is not None:
        rotation, position, misfit = fit
        position = eye_distance * position
        distance = math.hypot(*position.tolist())
        if MIN_RANGE <= distance <= MAX_RANGE and (
                1 / MAX_SIZE_RATIO <= distance / box_range <= MAX_SIZE_RATIO):
            stddev = math.hypot(EYES_STDDEV, MISFIT_STDDEV * misfit, focal_stddev)
            return HeadPose(position / distance, distance, stddev * distance,
                            quaternion_from_matrix(rotation), True)
    right, down, ray = view_frame(rays[0])
    stddev = math.hypot(EYES_STDDEV, BOX_STDDEV, focal_stddev)
    facing_lens = quaternion_from_matrix(np.array([-ray, right, -down]).T)
    return HeadPose(ray, box_range, stddev * box_range, facing_lens, False)


def _fit_landmarks(rays: np.ndarray) -> Optional[tuple[np.ndarray, np.ndarray, float]]:
    """Return rotation (3, 3), position (3,) and misfit, the last two in eye distances.

    None if the landmarks do not fit a face.
    """
    ray = rays.sum(axis=0)
    # In the view of a camera turned to the face: else, far off the axis, the errors of landmarks
    # near the border would weigh more.
    view = view_frame(ray / math.hypot(*ray.tolist()))
    turned = rays @ view.T
    if not turned[:, 2].min() > 0.1:
        return None
    points = np.ascontiguousarray(turned[:, :2] / turned[:, 2:])
    try:
        solved, rotation_vector, position = cv2.solvePnP(
            _MODEL, points, _IDENTITY, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:
        return None
    if not solved or not position[2, 0] > 0:
        return None
    rotation, position = cv2.Rodrigues(rotation_vector)[0], position[:, 0]
    projected = _MODEL @ rotation.T + position
    error = projected[:, :2] / projected[:, 2:] - points
    misfit = math.sqrt((error ** 2).sum() / 5) * float(position[2]) / _SCALE
    # Written so that NaN fails it, too.
    if not (misfit <= MAX_MISFIT and rotation[2, 0] <= MAX_AWAY):
        return None
    return view.T @ rotation, view.T @ position / _SCALE, misfit


def quaternion_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Return the quaternion x, y, z, w (4,) of a rotation matrix (3, 3), with w >= 0."""
    vector = cv2.Rodrigues(rotation)[0][:, 0]
    angle = math.hypot(*vector.tolist())
    return np.append(vector * (math.sin(angle / 2) / angle if angle else 0.5), math.cos(angle / 2))
