"""Eyes of a face mesh: crops, openness, visibility, and where they look."""
from dataclasses import dataclass
import math

import cv2
from gaze_ros.core.face_mesh.canonical_face import CanonicalFace
from gaze_ros.core.face_mesh.mesh import Mesh, SHAPE_NAMES
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
from gaze_ros.core.geometry.crops import crop, square_transform
import numpy as np

#: Side of an eye crop in pixels, and its side in eye distances.
EYE_SIZE, EYE_SCALE = 60, 0.65

#: Outer and inner corner, and center of the iris, of the person's left and right eye.
CORNERS = ((263, 362), (33, 133))
IRISES = (473, 468)
#: Corners and lids: the points that have to be inside the image.
_VISIBLE = ((263, 362, 386, 374), (33, 133, 159, 145))

#: eyeBlink blendshape of an open and of a shut eye: openness is 1 and 0 there, linear between.
OPEN_BLINK, SHUT_BLINK = 0.1, 0.65
#: Openness below which an eye counts as shut.
SHUT = 0.5

#: Rows and columns of an eye crop that show the eye.
_INSIDE = (slice(18, 42), slice(10, 50))
#: Standard deviation of the luma there (0..255), and its ratio to the mean, at which an eye counts
#: as invisible and as clear. Open eyes in daylight: 22 to 48, 0.2 to 0.4, in haze from 0.1; behind
#: dark glasses 1 to 4, 0.06 to 0.14; a hand 4 to 14, 0.02 to 0.08; a tenth of the light: below 5.
DEVIATION, CONTRAST = (4.0, 9.0), (0.08, 0.12)

#: Eyeball in the canonical face: depth of its center behind the corners, and radius, cm.
_DEPTH, _RADIUS = 0.75, 0.92
#: Degrees to subtract from the pitch of the irises, which lie above the line of the corners.
_IRIS_PITCH = 8.0

_INDEX = {name: i for i, name in enumerate(SHAPE_NAMES)}


@dataclass(frozen=True, slots=True, eq=False)
class Eyes:
    """Both eyes of a face; the person's left eye first.

    :ivar crops: two (60, 60, 3) uint8 BGR, rotated upright.
    :ivar openness: 0 shut .. 1 open; NaN for an eye that is outside the image or covered.
    :ivar inside: share of each eye inside the image, 0..1.
    :ivar clearness: visibility of each eye by its contrast, 0..1; 0 behind dark glasses or a hand,
        and in the dark.
    :ivar brightness: mean luma of each eye, 0..255.
    :ivar side: of the crops in the image, pixels.
    :ivar face_inside: share of the face inside the image, 0..1.
    """

    crops: tuple[np.ndarray, np.ndarray]
    openness: tuple[float, float]
    inside: tuple[float, float]
    clearness: tuple[float, float]
    brightness: tuple[float, float]
    side: float
    face_inside: float = 1.0

    @property
    def visible(self) -> tuple[float, float]:
        """Visibility of each eye, 0..1."""
        return self.inside[0] * self.clearness[0], self.inside[1] * self.clearness[1]


def read_eyes(image: np.ndarray, mesh: Mesh, scale: float, face: CanonicalFace) -> Eyes:
    """Return the eyes of a face.

    :param scale: of its head, pixels per centimeter: crops keep their size as a head turns.
    """
    height, width = image.shape[:2]
    side = max(EYE_SCALE * eye_distance(face) * scale, 1.0)
    crops, inside, clearness, brightness = [], [], [], []
    for corners, points in zip(CORNERS, _VISIBLE):
        center = mesh.points[list(corners), :2].mean(axis=0)
        crops.append(crop(image, square_transform(
            tuple(center.tolist()), side, EYE_SIZE, mesh.roll), EYE_SIZE))
        at = mesh.points[list(points), :2]
        inside.append(float(((at >= 0) & (at < [width, height])).all(axis=1).mean()))
        luma = cv2.cvtColor(crops[-1], cv2.COLOR_BGR2GRAY)[_INSIDE]
        mean, deviation = (float(v[0, 0]) for v in cv2.meanStdDev(luma))
        clearness.append(min(_ramp(deviation, DEVIATION), _ramp(
            deviation / max(mean, 1.0), CONTRAST)))
        brightness.append(mean)
    blinks = (float(mesh.shapes[_INDEX['eyeBlink' + side]]) for side in ('Left', 'Right'))
    openness = tuple(
        _ramp(-blink, (-SHUT_BLINK, -OPEN_BLINK)) if seen * part > 0 else math.nan
        for blink, seen, part in zip(blinks, inside, clearness))
    at = mesh.points[:, :2]
    face_inside = float(((at >= 0) & (at < [width, height])).all(axis=1).mean())
    return Eyes(tuple(crops), openness, tuple(inside), tuple(clearness), tuple(brightness),
                side, face_inside)


def eye_distance(face: CanonicalFace) -> float:
    """Return the distance between the eyes of the canonical face, centimeters."""
    left, right = (face.vertices[list(c)].mean(axis=0) for c in CORNERS)
    return float(np.linalg.norm(left - right))


def gaze_from_blendshapes(
        shapes: np.ndarray, rotation: np.ndarray, pitch_gain: float, yaw_gain: float,
        pitch_zero: float, yaw_zero: float) -> np.ndarray:
    """Return the gaze (3,) of the eyeLook blendshapes, a unit vector in view axes.

    :param shapes: (52,) of a mesh.
    :param rotation: (3, 3) of its head.
    :param pitch_gain: degrees per unit of eyeLookUp and eyeLookDown.
    :param yaw_gain: degrees per unit of eyeLookIn and eyeLookOut.
    :param pitch_zero: degrees by which the eyes look up if these blendshapes are 0.
    :param yaw_zero: the same toward the right of the image.
    """
    def value(name: str) -> float:
        return float(shapes[_INDEX[name]])

    yaw = (value('eyeLookOutLeft') - value('eyeLookInLeft')
           + value('eyeLookInRight') - value('eyeLookOutRight')) / 2
    pitch = (value('eyeLookUpLeft') - value('eyeLookDownLeft')
             + value('eyeLookUpRight') - value('eyeLookDownRight')) / 2
    return rotation @ angles_to_unit(
        math.radians(pitch_gain * pitch + pitch_zero), math.radians(yaw_gain * yaw + yaw_zero))


def gaze_from_irises(points: np.ndarray, rotation: np.ndarray, scale: float) -> np.ndarray:
    """Return the gaze (3,) of the irises, a unit vector in view axes.

    An iris moves on a sphere whose center is behind the midpoint of the corners of the eye.

    :param points: (478, 3) of a mesh.
    :param rotation: (3, 3) of its head.
    :param scale: pixels per centimeter.
    """
    back = (rotation[:, 2] * -_DEPTH)[:2]
    looks = []
    for corners, iris in zip(CORNERS, IRISES):
        x, y = (points[iris, :2] - points[list(corners), :2].mean(axis=0)).tolist()
        across = (np.array([x, -y]) / scale - back) / _RADIUS
        across *= min(1.0, 0.97 / max(float(np.linalg.norm(across)), 1e-9))
        looks.append(np.append(across, math.sqrt(1 - float(across @ across))))
    pitch, yaw = unit_to_angles(rotation.T @ (looks[0] + looks[1]))
    return rotation @ angles_to_unit(pitch - math.radians(_IRIS_PITCH), yaw)


def equalize_dark(eye: np.ndarray) -> np.ndarray:
    """Return an eye crop with its luma equalized, the more the darker it is.

    Mean error of gaze-estimation-adas-0002 on the dark faces of rendered_small: 12.3 degrees as
    they are, 11.0 equalized. Bright crops are not changed.
    """
    share = _ramp(-float(eye.mean()), (-110.0, -40.0))
    if share <= 0:
        return eye
    planes = cv2.cvtColor(eye, cv2.COLOR_BGR2YCrCb)
    planes[:, :, 0] = cv2.equalizeHist(planes[:, :, 0])
    return cv2.addWeighted(
        eye, 1 - share, cv2.cvtColor(planes, cv2.COLOR_YCrCb2BGR), share, 0)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """Return 0 below the first value, 1 above the second, linear between."""
    return min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)
