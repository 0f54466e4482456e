"""Gaze one face a call, as the reference implementation has it."""
import math
from pathlib import Path
from typing import Any, Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import create_estimator, DATASETS, Estimator, Settings
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.runtimes import available, CHECKPOINTS
from gaze_ros.core.system import native_threads as thread_counts
from gaze_ros.core.types import Estimate, Face
import numpy as np

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class TorchGaze:
    """A checkpoint of two heads of bins in torch, in fp32: one forward a face.

    :param path: of the checkpoint, as :func:`gaze_ros.core.networks.checkpoints.load_network`
        reads it.
    :param device: cpu, cuda or mps.
    :param size: side of the picture of a face, pixels.
    :param threads: of torch; 0 for one a core.
    :raises ModelError: if it does not fit the model.
    """

    def __init__(self, entry: registry.Model, path: Path, *, head_order: str = 'auto',
                 device: str = 'cpu', size: int = Settings.input_size,
                 threads: int = 0) -> None:
        from gaze_ros.core.estimators.binned_estimator import is_swapped
        from gaze_ros.core.networks.checkpoints import load_network
        import torch
        # torch's own default; one thread would take 41 ms for MobileOne-S0, two take 30.
        torch.set_num_threads(thread_counts.thread_count(threads))
        self._torch = torch
        self._device = device
        self._size = (size, size)
        self.name = entry.name
        self.running = f'torch, {device}, fp32, one face a call'
        network, metadata = load_network(entry.architecture, str(path))
        self.network = network.to(device)
        self._swapped = is_swapped(path, head_order, metadata)
        bins = network.fc_yaw.out_features
        _, self._step, self._offset = next(
            row for row in DATASETS.values() if row[0] == bins)
        self._bins = torch.arange(bins, dtype=torch.float32, device=device)

    def estimate(self, bgr: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face; NaN for a box without extent in the picture."""
        return [self._one(bgr, face) for face in faces]

    def close(self) -> None:
        """Free the network."""
        self.network = None

    def _one(self, bgr: np.ndarray, face: Face) -> Estimate:
        x, y, w, h = face.clipped(bgr.shape[1], bgr.shape[0])
        if not (w and h):
            return Estimate()
        rgb = cv2.cvtColor(bgr[y:y + h, x:x + w], cv2.COLOR_BGR2RGB)
        picture = cv2.resize(rgb, self._size).astype(np.float32) / 255
        picture = (picture - _MEAN) / _DEVIATION
        batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis])
        with self._torch.no_grad():
            horizontal, vertical = (
                self._angle(logits)
                for logits in self.network(self._torch.from_numpy(batch).to(self._device)))
        if self._swapped:
            horizontal, vertical = vertical, horizontal
        return Estimate(vertical, -horizontal, 1.0)

    def _angle(self, logits: Any) -> float:
        sure = self._torch.softmax(logits, dim=1)
        degrees = (sure * self._bins).sum(dim=1) * self._step - self._offset
        return math.radians(float(degrees[0]))


class OneByOne:
    """An estimator that is given one face a call, for a model that has no checkpoint."""

    def __init__(self, model: str, settings: Settings) -> None:
        self._estimator = create_estimator(model, settings)
        self.name = self._estimator.name
        self.running = f'{self._estimator.running}, one face a call'

    def estimate(self, bgr: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face of a (H, W, 3) uint8 BGR picture."""
        return [self._estimator.estimate(bgr, [face])[0] for face in faces]

    def close(self) -> None:
        """Free the model."""
        self._estimator.close()


def has_checkpoints(model: str) -> bool:
    """Return whether there are checkpoints of a model, for torch to run."""
    return model != 'auto' and bool(registry.entry(model).architecture)


def checkpoint(model: str, weight: str = '') -> Optional[Path]:
    """Return the checkpoint that torch runs for a model; None if it has none or none is here."""
    if not has_checkpoints(model):
        return None
    if weight and Path(weight).suffix.lower() in CHECKPOINTS:
        return Path(weight)
    if weight and not (Path(weight).is_file() and registry.identify(Path(weight))):
        return None  # the store's checkpoint may be of other weights
    return store.locate(model, suffixes=CHECKPOINTS)


def create_one_by_one(model: str, settings: Settings) -> Estimator:
    """Return what runs a model one face a call: torch where there is a checkpoint.

    :raises ModelError: if it cannot be loaded, or the device is not there.
    """
    path = checkpoint(model, settings.weight)
    if path is None:
        return OneByOne(model, settings)
    device = next((kind for kind in ('cuda', 'mps') if settings.device in ('auto', kind)
                   and available('torch', kind)), 'cpu')
    if settings.device not in ('auto', 'cpu', device):
        raise ModelError(f"device '{settings.device}' is not there for torch: set it to auto")
    return TorchGaze(registry.entry(model), path, head_order=settings.head_order, device=device,
                     size=settings.input_size, threads=settings.threads)
