"""The mirror test: in a mirrored image, a model's yaw must change its sign and its pitch must not.

It detects exchanged axes without labels. It cannot detect an axis with the wrong sign;
:mod:`gaze_ros.core.evaluation.metrics` does.
"""
from dataclasses import dataclass
from typing import Optional

import cv2
from gaze_ros.core.estimators import Estimator
from gaze_ros.core.evaluation.metrics import correlation
from gaze_ros.core.types import Face
import numpy as np

#: Minimum number of faces for a verdict.
MIN_FACES = 10

#: Minimum standard deviation in degrees of an axis that is to count. A face with still eyes has up
#: to 3.4 (mobileone_s0 on the sample), people who look around have 9 to 36.
MIN_DEVIATION = 4.0

#: Absolute correlation with the mirror image above which an axis counts as kept or as negated.
MIN_CORRELATION = 0.5

#: Order of a face's landmarks in the mirror image: left and right are exchanged.
_MIRRORED_ORDER = (1, 0, 2, 4, 3)


@dataclass(frozen=True)
class MirrorTest:
    """Result of the mirror test.

    :ivar verdict: ``right``; ``exchanged`` (the horizontal and the vertical axis); ``wrong`` (both
        axes change their sign, or neither does); or ``inconclusive``.
    :ivar reason: reason and remedy; '' if right.
    :ivar n: number of faces with a gaze in both images.
    :ivar correlation_pitch: correlation of the pitch with that in the mirror image, 1 is right;
        None without faces or if the pitch is constant.
    :ivar correlation_yaw: correlation of the yaw with that in the mirror image, -1 is right; None
        without faces or if the yaw is constant.
    :ivar deviation_pitch_deg: standard deviation of the pitch over the faces, degrees.
    :ivar deviation_yaw_deg: standard deviation of the yaw over the faces, degrees.
    """

    verdict: str
    reason: str
    n: int
    correlation_pitch: Optional[float]
    correlation_yaw: Optional[float]
    deviation_pitch_deg: float
    deviation_yaw_deg: float


def mirrored_face(face: Face, width: int) -> Face:
    """Return the face in the mirror image of an image that is ``width`` pixels wide."""
    x, y, w, h = face.box
    landmarks = face.landmarks
    if landmarks is not None:
        landmarks = landmarks[list(_MIRRORED_ORDER)] * (-1, 1) + (width, 0)
    return Face((width - x - w, y, w, h), face.score, landmarks)


def mirror_angles(estimator: Estimator, image: np.ndarray, faces: list[Face]) -> np.ndarray:
    """Return (M, 4) pitch, yaw, mirrored pitch, mirrored yaw of the M faces with both, radians.

    :param image: (H, W, 3) uint8 BGR.
    """
    original = estimator.estimate(image, faces)
    mirrored = estimator.estimate(
        cv2.flip(image, 1), [mirrored_face(face, image.shape[1]) for face in faces])
    angles = np.array([(a.pitch, a.yaw, b.pitch, b.yaw) for a, b in zip(original, mirrored)])
    angles = angles.reshape(-1, 4)
    return angles[np.isfinite(angles).all(axis=1)]


def assess(angles: np.ndarray) -> MirrorTest:
    """Return the result for (N, 4) angles in radians, see :func:`mirror_angles`."""
    n = len(angles)
    deviations = np.degrees(angles[:, :2].std(axis=0)).tolist() if n else (0.0, 0.0)
    pitch, yaw = (correlation(angles[:, axis], angles[:, axis + 2]) for axis in (0, 1))
    verdict, reason = _verdict(n, pitch, yaw, *deviations)
    return MirrorTest(verdict, reason, n, pitch, yaw, *deviations)


def _verdict(
        n: int, pitch: Optional[float], yaw: Optional[float], pitch_deviation: float,
        yaw_deviation: float) -> tuple[str, str]:
    if n < MIN_FACES:
        return 'inconclusive', (
            f'{n} faces have a gaze in both images, {MIN_FACES} are needed: use a clip that shows '
            'people')
    deviations = (pitch_deviation, yaw_deviation)
    # Per axis: 1 = as expected, -1 = clearly the opposite, 0 = unclear.
    signs = []
    for r, right, deviation in zip((pitch, yaw), (1, -1), deviations):
        agreement = (r or 0.0) * right
        clear = deviation >= MIN_DEVIATION
        signs.append(
            (agreement > MIN_CORRELATION) - (clear and agreement < -MIN_CORRELATION))
    if max(deviations) >= MIN_DEVIATION:
        if signs == [1, 1]:
            return 'right', ''
        if sum(signs) < 0:
            return 'exchanged', (
                'pitch changes its sign in the mirror image and yaw does not, so horizontal and '
                'vertical are exchanged: set head_order to the other value, as_named or swapped')
        if -1 in signs:
            axes = 'neither axis changes its' if signs[0] > 0 else 'both axes change their'
            return 'wrong', (
                f'{axes} sign in the mirror image: these are not pitch and yaw of a gaze; do the '
                'weights belong to the model?')
    return 'inconclusive', (
        f'the gaze varies by {pitch_deviation:.1f} deg up and down and {yaw_deviation:.1f} deg '
        f'left and right; {MIN_DEVIATION:g} deg, and |r| > {MIN_CORRELATION:g} in both, are '
        'needed: use a clip in which people look around, also up and down')
