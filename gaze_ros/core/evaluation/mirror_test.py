"""The mirror test: a model's yaw must turn with the picture, and its pitch must not.

It finds exchanged axes without a label. It cannot find an axis of the wrong sign: for that there
is :mod:`gaze_ros.core.evaluation.metrics`.
"""
from dataclasses import dataclass
from typing import Optional

import cv2
from gaze_ros.core.estimators import Estimator
from gaze_ros.core.evaluation.metrics import correlation
from gaze_ros.core.types import Face
import numpy as np

#: Faces below which nothing is concluded.
MIN_FACES = 10

#: Standard deviation in degrees that an axis must have to speak for or against a model. A face
#: that does not turn its eyes shows up to 3.4 (mobileone_s0 on the sample); people who look around
#: show 9 to 36.
MIN_DEVIATION = 4.0

#: Correlation with the mirror image beyond which an axis counts as kept, or as negated.
MIN_CORRELATION = 0.5

#: A face's landmarks in the mirror: its right eye has become its left one.
_SWAPPED = (1, 0, 2, 4, 3)


@dataclass(frozen=True)
class MirrorTest:
    """What the mirror test found; angles in degrees.

    :ivar verdict: ``right``; ``exchanged``: horizontal and vertical are; ``wrong``: both axes
        turn, or neither does; or ``inconclusive``.
    :ivar reason: of the verdict, and what to do; '' where right.
    :ivar n: faces seen both ways.
    :ivar correlation_pitch: of the angles with those of the mirror image; 1 is right. None where
        there are none or they are all the same.
    :ivar correlation_yaw: likewise; -1 is right.
    :ivar deviation_pitch_deg: standard deviation over the faces; yaw likewise.
    """

    verdict: str
    reason: str
    n: int
    correlation_pitch: Optional[float]
    correlation_yaw: Optional[float]
    deviation_pitch_deg: float
    deviation_yaw_deg: float


def mirrored_face(face: Face, width: int) -> Face:
    """Return the face as it is in the mirror image of a picture that many pixels wide."""
    x, y, w, h = face.box
    landmarks = face.landmarks
    if landmarks is not None:
        landmarks = landmarks[list(_SWAPPED)] * (-1, 1) + (width, 0)
    return Face((width - x - w, y, w, h), face.score, landmarks)


def mirror_angles(estimator: Estimator, bgr: np.ndarray, faces: list[Face]) -> np.ndarray:
    """Return (M, 4) pitch, yaw and those of the mirror image, of the faces told both ways.

    :param bgr: (H, W, 3) uint8.
    """
    here = estimator.estimate(bgr, faces)
    there = estimator.estimate(
        cv2.flip(bgr, 1), [mirrored_face(face, bgr.shape[1]) for face in faces])
    angles = np.array([(a.pitch, a.yaw, b.pitch, b.yaw) for a, b in zip(here, there)])
    return angles.reshape(-1, 4)[np.isfinite(angles.reshape(-1, 4)).all(axis=1)]


def assess(angles: np.ndarray) -> MirrorTest:
    """Return the verdict on (N, 4) angles in radians, as :func:`mirror_angles` gives them."""
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
            f'{n} faces have a gaze both ways, {MIN_FACES} are needed: use a clip with people in '
            'it')
    deviations = (pitch_deviation, yaw_deviation)
    # 1 where the axis does as it should, -1 where it clearly does the opposite, else 0.
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
                'pitch turns in the mirror and yaw does not, so horizontal and vertical are '
                'exchanged: set head_order to the other one, as_named or swapped')
        if -1 in signs:
            return 'wrong', (
                f'{"neither axis turns" if signs[0] > 0 else "both axes turn"} in the mirror: '
                'these are not the pitch and yaw of a gaze; are the weights those of the model?')
    return 'inconclusive', (
        f'the gaze varies by {pitch_deviation:.1f} deg up and down and {yaw_deviation:.1f} deg '
        f'left and right; {MIN_DEVIATION:g} deg, and |r| > {MIN_CORRELATION:g} in both, are '
        'needed: use a clip in which people look around, up and down, too')
