"""Gaze estimators: ``estimate(bgr, faces) -> list[Estimate]``, one for each face, batched."""
from importlib import import_module
from typing import Protocol

from gaze_ros.core import models
from gaze_ros.core.errors import ModelError
from gaze_ros.core.faces import Estimate, Face
import numpy as np

#: Family of a model, as weights/manifest.yaml names it, and the module and class that has it.
FAMILIES = {
    'mediapipe': ('mediapipe_estimator', 'MediaPipeEstimator'),
    'mobilegaze': ('mobilegaze_estimator', 'MobileGazeEstimator'),
}


class Estimator(Protocol):
    """What an estimator has to offer."""

    name: str

    def estimate(self, bgr: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face of a (H, W, 3) uint8 BGR picture, in their order."""

    def close(self) -> None:
        """Free what the model holds; no call may follow."""


def create_estimator(
        model: str = 'auto', *, weight: str = '', dataset: str = 'gaze360', device: str = 'auto',
        threads: int = 0, head_order: str = 'auto') -> Estimator:
    """Return the estimator for a model of the manifest, with its weights loaded.

    :param model: a name of weights/manifest.yaml, or ``auto``: the licence-clean default.
    :param weight: file with the model's weights, where it needs one.
    :param dataset: what the weights were trained on: gaze360 or mpiigaze.
    :param device: auto, cpu, cuda or mps.
    :param threads: for the model's arithmetic; 0 for as many as there are cores.
    :param head_order: auto, as_named or swapped; see
        :class:`gaze_ros.core.estimators.mobilegaze_estimator.MobileGazeEstimator`.
    :raises ModelError: if the model is unknown, a package or file is missing, or does not fit.
    """
    entry = models.entry(models.DEFAULT if model == 'auto' else model)
    if model == 'auto' and weight:
        raise ModelError(
            f"weight '{weight}' is given but model is 'auto': name the model the file belongs "
            f'to, one of: {", ".join(models.names(with_weight=True))}')
    module, cls = FAMILIES[entry['family']]
    module = import_module(f'{__name__}.{module}')
    return getattr(module, cls)(
        entry, weight=weight, dataset=dataset, device=device, threads=threads,
        head_order=head_order)
