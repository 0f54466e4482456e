"""Gaze estimation of the reference implementation: one face per call."""
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


class TorchBaseline:
    """A checkpoint with two heads of bins in torch, in fp32: one forward pass per face.

    :param entry: of the model.
    :param path: of the checkpoint, as :func:`gaze_ros.core.networks.checkpoints.load_network`
        reads it.
    :param head_order: parameter of the gaze node.
    :param device: cpu, cuda or mps.
    :param size: side of the face crop, pixels.
    :param threads: of torch; 0 = one per core.
    :raises ModelError: if the checkpoint does not fit the model.
    """

    def __init__(self, entry: registry.Model, path: Path, *, head_order: str = 'auto',
                 device: str = 'cpu', size: int = Settings.input_size,
                 threads: int = 0) -> None:
        from gaze_ros.core.estimators.binned_estimator import is_swapped
        from gaze_ros.core.networks.checkpoints import load_network
        import torch
        # torch's default. MobileOne-S0 takes 41 ms with one thread, 30 ms with two.
        torch.set_num_threads(thread_counts.thread_count(threads))
        self._torch = torch
        self._device = device
        self._size = (size, size)
        self.name = entry.name
        self.running = f'torch, {device}, fp32, one face per call'
        network, metadata = load_network(entry.architecture, str(path))
        self.network = network.to(device)
        self._swapped = is_swapped(path, head_order, metadata)
        bins = network.fc_yaw.out_features
        _, self._step, self._offset = next(
            row for row in DATASETS.values() if row[0] == bins)
        self._bins = torch.arange(bins, dtype=torch.float32, device=device)

    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face; NaN for a box outside of the image.

        :param image: (H, W, 3) uint8 BGR.
        """
        return [self._estimate_one(image, face) for face in faces]

    def close(self) -> None:
        """Free the network."""
        self.network = None

    def _estimate_one(self, image: np.ndarray, face: Face) -> Estimate:
        x, y, w, h = face.clipped(image.shape[1], image.shape[0])
        if not (w and h):
            return Estimate()
        rgb = cv2.cvtColor(image[y:y + h, x:x + w], cv2.COLOR_BGR2RGB)
        crop = cv2.resize(rgb, self._size).astype(np.float32) / 255
        crop = (crop - _MEAN) / _DEVIATION
        batch = np.ascontiguousarray(crop.transpose(2, 0, 1)[np.newaxis])
        with self._torch.no_grad():
            horizontal, vertical = (
                self._angle(logits)
                for logits in self.network(self._torch.from_numpy(batch).to(self._device)))
        if self._swapped:
            horizontal, vertical = vertical, horizontal
        return Estimate(vertical, -horizontal, 1.0)

    def _angle(self, logits: Any) -> float:
        probabilities = self._torch.softmax(logits, dim=1)
        degrees = (probabilities * self._bins).sum(dim=1) * self._step - self._offset
        return math.radians(float(degrees[0]))


class SingleFaceBaseline:
    """An estimator called with one face at a time, for a model without a checkpoint."""

    def __init__(self, model: str, settings: Settings) -> None:
        self._estimator = create_estimator(model, settings)
        self.name = self._estimator.name
        self.running = f'{self._estimator.running}, one face per call'

    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face of a (H, W, 3) uint8 BGR image."""
        return [self._estimator.estimate(image, [face])[0] for face in faces]

    def close(self) -> None:
        """Free the model."""
        self._estimator.close()


def has_checkpoints(model: str) -> bool:
    """Return whether torch checkpoints of a model exist."""
    return model != 'auto' and bool(registry.entry(model).architecture)


def find_checkpoint(model: str, weight: str = '') -> Optional[Path]:
    """Return the installed checkpoint that torch runs for a model; None if there is none."""
    if not has_checkpoints(model):
        return None
    if weight and Path(weight).suffix.lower() in CHECKPOINTS:
        return Path(weight)
    if weight and not (Path(weight).is_file() and registry.identify(Path(weight))):
        return None  # the checkpoint of the store may hold other weights
    return store.locate(model, suffixes=CHECKPOINTS)


def create_baseline(model: str, settings: Settings) -> Estimator:
    """Create an estimator that runs a model one face per call, in torch if it has a checkpoint.

    :raises ModelError: if the model cannot be loaded or the device is not available.
    """
    path = find_checkpoint(model, settings.weight)
    if path is None:
        return SingleFaceBaseline(model, settings)
    device = next((kind for kind in ('cuda', 'mps') if settings.device in ('auto', kind)
                   and available('torch', kind)), 'cpu')
    if settings.device not in ('auto', 'cpu', device):
        raise ModelError(
            f"device '{settings.device}' is not available to torch: set device to auto")
    return TorchBaseline(
        registry.entry(model), path, head_order=settings.head_order, device=device,
        size=settings.input_size, threads=settings.threads)
