"""Rotates the images of a camera mounted on its side or upside down, and its calibration.

Rotations are in degrees, clockwise in the image. They map pixels to pixels: pixel coordinates
refer to pixel centers, as in OpenCV.
"""
import logging
import math
from time import monotonic
from typing import Optional

import cv2
from gaze_ros.core.detectors import create_detector, Detector
from gaze_ros.core.sources import Source
from gaze_ros.core.types import Face
import numpy as np

_log = logging.getLogger(__name__)

#: Degrees by which images can be rotated.
ROTATIONS = (0, 90, 180, 270)

#: Long side to which images are shrunk for a search, pixels.
_LONG_SIDE = 640
#: Faces count from this score on.
_MIN_SCORE = 0.5
#: Width of an upright face's box divided by its height, at most; some detectors return squares.
_MAX_ASPECT = 1.1
#: A search is decided after this many images with a face at the earliest and at the latest.
_MIN_IMAGES, _MAX_IMAGES = 3, 10
#: Evidence for the best rotation, divided by that for the second, that decides.
_MARGIN = 1.5
#: Seconds between two images of a search.
_SEARCH_PERIOD = 0.5
#: Images of a file that are searched at most.
_MAX_FILE_IMAGES = 120

_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def rotate_image(image: np.ndarray, degrees: int) -> np.ndarray:
    """Return a (H, W, 3) image rotated, in a copy; for 0 the image itself."""
    return cv2.rotate(image, _CODES[degrees]) if degrees else image


def axis_rotation(degrees: int) -> np.ndarray:
    """Return the (3, 3) rotation from the optical frame to that of the rotated image."""
    x, y = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    return np.array([[x, -y, 0.0], [y, x, 0.0], [0.0, 0.0, 1.0]])


def pixel_rotation(degrees: int, width: int, height: int) -> np.ndarray:
    """Return the (3, 3) matrix from pixels (u, v, 1) to those of the rotated image.

    :param width: of the image before the rotation, pixels.
    :param height: of the image before the rotation, pixels.
    """
    matrix = axis_rotation(degrees)
    corners = matrix[:2, :2] @ [[0, width - 1], [0, height - 1]]
    matrix[:2, 2] = -corners.min(axis=1)
    return matrix


def rotate_distortion(coefficients: np.ndarray, degrees: int) -> np.ndarray:
    """Return distortion coefficients for the rotated image.

    Radial coefficients do not change. Tangential and thin prism coefficients are vectors in the
    image: p2, p1; s1, s3; s2, s4. The tilt of the sensor is exact for a half turn, or if it is
    about one axis; otherwise a rotation of the image by the product of both tilts is left out.

    :param coefficients: of plumb_bob or rational_polynomial in OpenCV's order, any number; not
        those of a fisheye, which are all radial.
    """
    rotation = axis_rotation(degrees)
    d = np.zeros(14)
    count = len(coefficients)
    d[:count] = coefficients
    for pair in ([3, 2], [8, 10], [9, 11]):
        d[pair] = rotation[:2, :2] @ d[pair]
    if d[12:].any():
        (sx, sy), (cx, cy) = np.sin(d[12:]), np.cos(d[12:])
        # The third row of the rotation matrix of the tilt, as OpenCV composes it.
        normal = rotation @ [sy, -cy * sx, cy * cx]
        d[12:] = np.arctan2(-normal[1], normal[2]), np.arcsin(normal[0])
    # A coefficient that was left out may have become another one.
    used = next(n for n in (0, 4, 5, 8, 12, 14) if n >= count)
    return d[:used] + 0.0  # no -0


class RotationSearch:
    """Finds the rotation in which the people in the images of one camera are upright.

    The detector searches each image in all four rotations. Detectors also find faces that are not
    upright, but with lower scores; each face with a score of s > 0.5 is therefore evidence of
    ((s - 0.5) / 0.5) ** 4 for its rotation. If it has landmarks, this is multiplied by the cosine
    of its roll; otherwise a box that is wider than high does not count. The best rotation is taken
    as soon as it has 1.5 times the evidence of the second, after 3 to 10 images with a face. If
    none has it after 10, the rotation is 0.

    :param detector: owned by the search, which closes it when the rotation is decided.
    :ivar rotation: degrees clockwise, one of :data:`ROTATIONS`; None until decided.
    """

    def __init__(self, detector: Detector) -> None:
        self.rotation: Optional[int] = None
        detector.min_score = _MIN_SCORE
        self._detector: Optional[Detector] = detector
        self._evidence = np.zeros(len(ROTATIONS))
        #: Number of images with a face.
        self._count = 0

    def add(self, image: np.ndarray) -> None:
        """Search a (H, W, 3) uint8 BGR image, unless the rotation is decided."""
        if self._detector is None:
            return
        scale = _LONG_SIDE / max(image.shape[:2])
        if scale < 1:
            size = [max(1, round(scale * side)) for side in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        evidence = [sum(map(_evidence, self._detector.detect(rotate_image(image, degrees))))
                    for degrees in ROTATIONS]
        self._evidence += evidence
        self._count += any(evidence)
        if self._count >= _MIN_IMAGES and self._clear or self._count >= _MAX_IMAGES:
            self.decide()

    def decide(self) -> int:
        """Return the rotation; decide it now, from the images so far."""
        if self.rotation is None:
            text = ', '.join(f'{degrees}: {value:.2f}'
                             for degrees, value in zip(ROTATIONS, self._evidence))
            text = f'{self._count} images with a face; evidence {text}'
            if self._clear:
                self.rotation = ROTATIONS[int(self._evidence.argmax())]
                _log.info('rotate auto: %d (%s)', self.rotation, text)
            else:
                self.rotation = 0
                _log.warning('rotate auto: 0, because no rotation is clearly upright (%s); set '
                             'rotate to the right value', text)
            self.close()
        return self.rotation

    @property
    def _clear(self) -> bool:
        second, best = np.sort(self._evidence)[-2:]
        return best > _MARGIN * second

    def close(self) -> None:
        """Free the detector."""
        detector, self._detector = self._detector, None
        if detector is not None:
            detector.close()


def _evidence(face: Face) -> float:
    """Return how much a face shows that its image is upright, 0..1."""
    evidence = max(0.0, (face.score - _MIN_SCORE) / (1 - _MIN_SCORE)) ** 4
    if face.landmarks is None:
        _, _, width, height = face.box
        return evidence * (width <= _MAX_ASPECT * height)
    right_eye, left_eye, _, mouth_right, mouth_left = face.landmarks
    x, y = mouth_right + mouth_left - right_eye - left_eye
    return evidence * max(0.0, y) / max(math.hypot(x, y), 1e-9)


def find_rotation(source: Source, detector: Detector) -> int:
    """Return the rotation in which people in a file are upright, see :class:`RotationSearch`.

    Up to 120 images are searched, every half second or, in a short file, every tenth of it.

    :param source: a file; the caller closes it.
    :param detector: closed by this function.
    """
    step = round(source.rate * _SEARCH_PERIOD)
    if source.count:
        step = min(step, source.count // _MAX_IMAGES)
    step = max(1, step)
    search = RotationSearch(detector)
    try:
        for index in range(step * _MAX_FILE_IMAGES):
            image = source.read()
            if image is None or search.rotation is not None:
                break
            if index % step == 0:
                search.add(image)
        return search.decide()
    finally:
        search.close()


class Rotator:
    """Rotates the images of a camera by a value of the parameter ``rotate``.

    ``auto`` does not rotate images until :class:`RotationSearch` has decided; it searches an image
    every half second. If the detector fails or none is installed, this is logged and images are
    not rotated.

    :param rotate: degrees clockwise, one of :data:`ROTATIONS`, or ``auto``.
    """

    def __init__(self, rotate: str) -> None:
        self._degrees = 0 if rotate == 'auto' else int(rotate)
        self._search: Optional[RotationSearch] = None
        self._next_time = 0.0
        if rotate == 'auto':
            try:
                self._search = RotationSearch(create_detector('auto', threads=1))
            except Exception as e:  # a runtime may raise anything: the camera keeps running
                self._fail(e)

    @property
    def degrees(self) -> int:
        """Degrees by which images are rotated clockwise; 0 until ``auto`` has decided."""
        return self._degrees

    def rotate(self, image: np.ndarray) -> tuple[np.ndarray, int]:
        """Return a (H, W, 3) uint8 BGR image rotated, and by how many degrees."""
        if self._search is not None and monotonic() >= self._next_time:
            try:
                self._search.add(image)
            except Exception as e:  # as above
                self._fail(e)
            else:
                self._next_time = monotonic() + _SEARCH_PERIOD
                if self._search.rotation is not None:
                    self._degrees, self._search = self._search.rotation, None
        return rotate_image(image, self._degrees), self._degrees

    def close(self) -> None:
        """Free the detector, if it is still in use; no call may follow."""
        search, self._search = self._search, None
        if search is not None:
            search.close()

    def _fail(self, error: Exception) -> None:
        self.close()
        _log.warning('rotate auto: 0, because faces cannot be detected: %s; set rotate to 0, 90, '
                     '180 or 270', ' '.join(f'{error}'.split()) or repr(error))
