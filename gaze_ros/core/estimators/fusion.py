"""Fuses eyes and head into one gaze with a standard deviation.

Sources: gaze-estimation-adas-0002 (if its files are installed), the blendshapes, the irises and
the head. docs/accuracy.md lists the data that each constant was fitted on: the weights were moved
on a coarse grid over rendered_faces, rendered_small, four_targets and the sample image. The
optimum is flat; freely optimised weights were worse on a set left out.
"""
from dataclasses import dataclass
import math
from typing import Optional

from gaze_ros.core.face_mesh.eyes import Eyes, gaze_from_blendshapes, gaze_from_irises
from gaze_ros.core.face_mesh.head_rotation import angle_between, HeadRotation
from gaze_ros.core.face_mesh.mesh import Mesh
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
import numpy as np


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the sources, and constants of the standard deviation.

    Each pair holds the weight for a head that faces the lens and for one that is turned away.

    :ivar pitch: of adas, blendshapes, irises and head.
    :ivar yaw: of adas, blendshapes, irises and head.
    :ivar shape_gains: degrees of pitch and yaw per unit of the eyeLook* blendshapes.
    :ivar shape_zero: degrees added to pitch and yaw of the blendshapes in the head's frame. Their
        network is not symmetric: yaws of frontal faces and of their mirror images add up to 7
        degrees (3.1 to 3.5 each on six sets).
    :ivar base: standard deviation of a clear, large face whose sources agree, degrees.
    :ivar pixel: standard deviation at a side of the eye crops of one pixel, degrees.
    :ivar spread: factor of the spread of the sources in the standard deviation.
    :ivar head: factor of the disagreement about the head beyond AGREEMENT in the standard
        deviation.
    :ivar presence: degrees of standard deviation per unit of the presence logit below CLEAR.
    """

    pitch: tuple[tuple[float, float], ...]
    yaw: tuple[tuple[float, float], ...]
    shape_gains: tuple[float, float]
    shape_zero: tuple[float, float]
    base: float
    pixel: float
    spread: float
    head: float
    presence: float


#: With head-pose-estimation-adas-0001 and gaze-estimation-adas-0002, and without them.
WITH_ADAS = Weights(
    pitch=((0.7, 0.4), (0.3, 0.3), (0.0, 0.1), (0.0, 0.25)),
    yaw=((0.7, 0.2), (0.15, 0.2), (0.15, 0.35), (0.0, 0.45)),
    shape_gains=(52.0, 36.0), shape_zero=(7.0, -3.5),
    base=2.0, pixel=180.0, spread=1.0, head=2.5, presence=1.0)
MESH_ONLY = Weights(
    pitch=((0.0, 0.0), (1.0, 0.65), (0.0, 0.0), (0.0, 0.3)),
    yaw=((0.0, 0.0), (0.7, 0.3), (0.3, 0.35), (0.0, 0.5)),
    shape_gains=(50.0, 36.0), shape_zero=(10.0, -3.5),
    base=10.0, pixel=180.0, spread=0.7, head=0.0, presence=3.0)

#: Yaw of the head at which it starts to count as turned away, and from which it fully does,
#: radians.
TURNED = (math.radians(10), math.radians(40))

#: Disagreement between mesh and network about a clear, frontal head, radians.
AGREEMENT = math.radians(3)
#: Presence logit below which the standard deviation grows.
CLEAR = 12.0
#: Presence logit below which the gaze is drawn to the direction of the head, by how much at most,
#: and over how many units of the logit.
_UNCLEAR, _MAX_HEAD, _UNCLEAR_RANGE = 5.0, 0.6, 15.0

#: Openness of the more open eye below which the gaze is unknown: on rendered faces with eyes less
#: open the errors are 25 degrees and more.
MIN_OPENNESS = 0.4

#: Visible share of the eyes below which the gaze is unknown.
MIN_VISIBLE = 0.2
#: Growth of the standard deviation with the hidden share of the eyes (2.25 times with one eye),
#: and with the share of the face outside the image (doubled for half a face).
_HIDDEN, _OUTSIDE = 2.5, 2.2

#: Standard deviation above which the gaze is unknown, radians.
MAX_STDDEV = math.radians(40)


@dataclass(frozen=True, slots=True)
class FusedGaze:
    """The gaze of one face.

    :ivar pitch: radians, > 0 up; NaN if unknown.
    :ivar yaw: radians, > 0 toward the right of the image; NaN if unknown.
    :ivar stddev: standard deviation, radians: 68 % of the angles to the true gaze are smaller; NaN
        if the gaze is unknown.
    """

    pitch: float = math.nan
    yaw: float = math.nan
    stddev: float = math.nan


def fuse(mesh: Mesh, points: np.ndarray, head: HeadRotation, eyes: Eyes,
         adas: Optional[np.ndarray]) -> FusedGaze:
    """Return the gaze of a face; unknown for shut or covered eyes and if it is too uncertain.

    :param points: (478, 3) of the mesh, from head_rotation.straighten if the lens is known.
    :param adas: gaze (3,) of gaze-estimation-adas-0002, a unit vector in view axes; None without
        it.
    """
    rotation = head.rotation
    yaw = unit_to_angles(rotation[:, 2])[1]
    visible = visible_share(eyes, yaw)
    if visible < MIN_VISIBLE or head.stddev > MAX_STDDEV:
        return FusedGaze()
    if max((o for o in eyes.openness if math.isfinite(o)), default=0.0) < MIN_OPENNESS:
        return FusedGaze()
    weights = MESH_ONLY if adas is None else WITH_ADAS
    sources = np.array([
        rotation[:, 2] if adas is None else adas,
        gaze_from_blendshapes(mesh.shapes, rotation, *weights.shape_gains, *weights.shape_zero),
        gaze_from_irises(points, rotation, head.scale),
        rotation[:, 2]])
    turned = _ramp(abs(yaw), TURNED)
    pitch_weights, yaw_weights = (
        np.array([facing + (away - facing) * turned for facing, away in pairs])
        for pairs in (weights.pitch, weights.yaw))
    pitch_weights /= pitch_weights.sum()
    yaw_weights /= yaw_weights.sum()
    angles = np.array([unit_to_angles(source) for source in sources])
    gaze = angles_to_unit(float(pitch_weights @ angles[:, 0]), float(yaw_weights @ angles[:, 1]))
    share = _MAX_HEAD * _ramp(_UNCLEAR - mesh.presence, (0.0, _UNCLEAR_RANGE))
    gaze = (1 - share) * gaze + share * rotation[:, 2]
    spread = math.sqrt(sum(
        weight * angle_between(gaze, source) ** 2
        for weight, source in zip((pitch_weights + yaw_weights) / 2, sources)))
    disagreement = 0.0
    if math.isfinite(head.disagreement):
        disagreement = max(head.disagreement - AGREEMENT, 0.0)
    stddev = math.hypot(
        math.radians(weights.base), math.radians(weights.pixel) / eyes.side,
        weights.spread * spread, weights.head * disagreement,
        math.radians(weights.presence) * max(CLEAR - mesh.presence, 0.0))
    stddev *= (1 + _HIDDEN * (1 - visible)) * (1 + _OUTSIDE * (1 - eyes.face_inside))
    if not stddev < MAX_STDDEV:
        return FusedGaze()
    return FusedGaze(*unit_to_angles(gaze), stddev)


def visible_share(eyes: Eyes, yaw: float) -> float:
    """Return the visible share of the eyes, 0..1; in a turned head the nearer eye weighs more.

    :param yaw: of the head, radians; > 0 turns the person's right eye toward the lens.
    """
    left, right = eyes.visible
    share = (1 + math.sin(yaw)) / 2
    return share * right + (1 - share) * left


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """Return 0 below the first value, 1 above the second, linear between."""
    return min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)
