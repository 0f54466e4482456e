"""Gaze estimators: ``estimate(bgr, faces) -> list[Estimate]``, one for each face, batched."""
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
import logging
from typing import Protocol

from gaze_ros.core.errors import ModelError
from gaze_ros.core.geometry.crops import CROPS
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.runtimes import RUNTIMES
from gaze_ros.core.system import import_errors
from gaze_ros.core.types import Estimate, Face
import numpy as np

_log = logging.getLogger(__name__)

#: Family of a model, as weights/manifest.yaml names it, and the module and class that has it.
FAMILIES = {
    'mediapipe': ('mediapipe_estimator', 'MediaPipeEstimator'),
    'adas': ('adas_estimator', 'AdasEstimator'),
    'mobilegaze': ('binned_estimator', 'BinnedEstimator'),
    'l2cs': ('binned_estimator', 'BinnedEstimator'),
}

#: Those whose networks take pictures of any size.
ANY_SIZE = ('mobilegaze', 'l2cs')

#: What ``auto`` takes, the first that is there; all of them may be shipped with a product.
AUTO = ('adas', 'mediapipe')

#: What the classes of a pair of heads mean: bins, degrees a bin, degrees subtracted.
DATASETS = {'gaze360': (90, 4.0, 180.0), 'mpiigaze': (28, 3.0, 42.0)}

#: The values that some of the settings may have.
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
    :ivar dataset: what the weights were trained on; auto: by the number of their bins.
    :ivar head_order: whether the heads of a checkpoint are named rightly; auto: by its sha256.
    :ivar runtime: what runs the network; device and precision: see
        :func:`gaze_ros.core.runtimes.open_network`.
    :ivar threads: for the model's arithmetic; 0 for as many as there are cores.
    :ivar crop: how a face is cut out, see :data:`gaze_ros.core.geometry.crops.CROPS`.
    :ivar crop_scale: of a square crop.
    :ivar input_size: side in pixels of the picture of a face, for families that let it be chosen.
    :raises ModelError: for a value that is none of :data:`CHOICES`.
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
    """What an estimator has to offer."""

    name: str
    #: What computes it, where and how precisely, for the log: 'openvino, cpu, bf16'.
    running: str

    def estimate(self, bgr: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face of a (H, W, 3) uint8 BGR picture, in their order."""

    def close(self) -> None:
        """Free what the model holds; no call may follow."""


def create_estimator(model: str = 'auto', settings: Settings = Settings()) -> Estimator:
    """Return the estimator for a model of the manifest, with its weights loaded.

    :param model: a gaze model's name in weights/manifest.yaml, or ``auto``: the best of those
        that are here and may be shipped.
    :raises ModelError: if the model is unknown, a package or file is missing, or does not fit.
    """
    if model == 'auto':
        if settings.weight:
            raise ModelError(
                f"weight '{settings.weight}' is given but model is 'auto': name the model the "
                f'file belongs to, one of: {", ".join(registry.model_names(with_weight=True))}')
        model = _best()
    entry = registry.entry(model)
    if not entry.may_be_shipped:
        _log.info("model '%s': its weights are %s; they may not be shipped with a product",
                  model, entry.licence)
    if settings.input_size != Settings.input_size and entry.family not in ANY_SIZE:
        _log.warning("model '%s' takes pictures of one size only: input_size %d is not minded",
                     model, settings.input_size)
    module, cls = FAMILIES[entry.family]
    try:
        estimator = getattr(import_module(f'{__name__}.{module}'), cls)
    except ImportError as e:
        raise ModelError(f"model '{model}': {import_errors.describe(e)}") from e
    return estimator(entry, settings)


def _best() -> str:
    """Return the first of :data:`AUTO` whose package and files are here, and say so."""
    adas = registry.entry(AUTO[0])
    if find_spec('openvino') is None:
        why = 'openvino is not installed'
    elif absent := [n for n, kind in ((adas.name, 'gaze'), *((p, 'part') for p in adas.parts))
                     if store.locate(n, kind) is None]:
        why = f'{absent[0]} is not on this machine (gaze_ros models fetch {adas.name})'
    else:
        _log.info("model auto: '%s', licence %s", adas.name, adas.licence)
        return adas.name
    default = registry.entry(AUTO[1])
    _log.info("model auto: '%s', licence %s; '%s' would be taken, but %s",
              default.name, default.licence, adas.name, why)
    return default.name
