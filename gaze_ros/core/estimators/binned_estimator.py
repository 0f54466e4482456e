"""MobileGaze (yakhyo/gaze-estimation) and L2CS-Net: two heads of bins, on any runtime."""
from collections.abc import Iterator
import logging
import math
from pathlib import Path
import sys
from typing import Optional

import cv2
from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators import DATASETS, Settings
from gaze_ros.core.geometry.crops import crop, face_transform, InputBatch
from gaze_ros.core.model_zoo import registry, store
from gaze_ros.core.runtimes import (
    available,
    CHECKPOINTS,
    installed,
    open_network,
    RUNTIMES,
)
from gaze_ros.core.system.safe_files import weights_problem
from gaze_ros.core.types import Estimate, Face
import numpy as np

_log = logging.getLogger(__name__)

#: Side in pixels of the input the networks were trained with.
INPUT_SIZE = 448

#: Side in pixels at which a square crop is cut before it is enlarged to the network's input:
#: Gaze360's pictures were so, and what is finer, such as the camera's noise, moves MobileOne-S0 by
#: a third more.
CUT_SIZE = 224

#: ImageNet's mean and deviation, in the order of BGR, 0..255.
MEAN = (0.406 * 255, 0.456 * 255, 0.485 * 255)
DEVIATION = (0.225 * 255, 0.224 * 255, 0.229 * 255)


class BinnedEstimator:
    """All faces of a picture in one batch.

    Which head is horizontal: of a file with a whole network (ONNX, OpenVINO, Core ML) the first
    output. Of a checkpoint it changed between releases, and in the older ones it is ``fc_pitch``:
    ``head_order`` tells, or the file's sha256 where weights/manifest.yaml has it, else as named,
    with a warning.

    :raises ModelError: if a package or the file is missing, the file needs code to load, or holds
        another network than the model's.
    """

    def __init__(self, entry: registry.Model, settings: Settings) -> None:
        self.name = entry.name
        self._crop, self._scale = settings.crop, settings.crop_scale
        self._size = settings.input_size
        path = Path(settings.weight) if settings.weight else _find(entry.name, settings)
        if not path.is_dir() and (why := weights_problem(path)):  # an .mlpackage is a folder
            raise ModelError(f"weight '{path}' is no network: {why}")
        if (known := registry.identify(path) if path.is_file() else None) and (
                known[0] not in entry.files):
            raise ModelError(
                f"weight '{path}' is known as {known[0].name}, which is no file of model "
                f"'{entry.name}': set model to the one it belongs to (gaze_ros models list)")
        metadata: dict[str, str] = {}

        def module():
            from gaze_ros.core.networks.checkpoints import load_network
            net, found = load_network(entry.architecture, str(path))
            metadata.update(found)
            return net

        self._network = open_network(
            path, runtime=settings.runtime, device=settings.device, precision=settings.precision,
            threads=settings.threads, size=self._size,
            module=module if path.suffix.lower() in CHECKPOINTS else None)
        self.running = (
            f'{self._network.runtime}, {self._network.device}, {self._network.precision}')
        self._batch = InputBatch(MEAN, DEVIATION, rgb=True)
        self._picture = np.empty((self._size, self._size, 3), np.uint8)
        bins = self._try(path)
        dataset = _dataset(settings.dataset, bins, path)
        _, self._step, self._offset = DATASETS[dataset]
        self._bins = np.arange(bins, dtype=np.float32)
        self._swapped = is_swapped(path, settings.head_order, metadata)

    def estimate(self, bgr: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face; NaN for a box without extent in the picture."""
        estimates = [Estimate() for _ in faces]
        places: list[int] = []

        def cuts() -> Iterator[np.ndarray]:
            for i, face in enumerate(faces):
                if (picture := cut(bgr, face, self._crop, self._scale, self._picture)) is not None:
                    places.append(i)
                    yield picture

        batch = self._batch.fill(cuts(), len(faces))
        if not places:
            return estimates
        for i, (pitch, yaw, confidence) in zip(places, self._look(batch).tolist()):
            if math.isfinite(pitch + yaw):
                estimates[i] = Estimate(pitch, yaw, confidence)
        return estimates

    def angles(self, faces: list[np.ndarray]) -> np.ndarray:
        """Return (N, 2) pitch and yaw in radians of faces that are cut out already.

        :param faces: (S, S, 3) uint8 BGR with S the setting input_size, any number of them.
        """
        return np.concatenate([self._look(self._batch.fill([face]))[:, :2] for face in faces])

    def close(self) -> None:
        """Free the network."""
        self._network = None

    def _look(self, batch: np.ndarray) -> np.ndarray:
        """Return (N, 3) pitch and yaw, radians, and confidence, 0..1, of a batch of faces."""
        horizontal, vertical = self._network(batch)
        if self._swapped:
            horizontal, vertical = vertical, horizontal
        pitch, sure_pitch = decode(vertical, self._bins, self._step, self._offset)
        yaw, sure_yaw = decode(horizontal, self._bins, self._step, self._offset)
        # The model's yaw grows toward the left of the picture.
        return np.column_stack([pitch, -yaw, (sure_pitch + sure_yaw) / 2])

    def _try(self, path: Path) -> int:
        """Run the network once; return how many bins each of its heads has."""
        try:
            outputs = self._network(self._batch.fill(
                [np.zeros((self._size, self._size, 3), np.uint8)]))
        except Exception as e:  # each runtime has classes of its own
            reason = ' '.join(str(e).split())[-200:]
            raise ModelError(
                f"weight '{path}' does not take pictures of {self._size} x {self._size}: where "
                'its sides are fixed at others, set input_size to these, runtime to openvino, '
                'which can change them, or weight to a checkpoint; else it is no network of model '
                f"'{self.name}' ({reason})") from e
        shapes = [np.shape(o) for o in outputs]
        if len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2:
            raise ModelError(
                f"weight '{path}' gives outputs of the shapes {shapes}; model '{self.name}' was "
                'expected to give two of (1, bins)')
        if not all(np.isfinite(o).all() for o in outputs):
            raise ModelError(
                f"weight '{path}' gives numbers that are not finite: is it damaged, or was its "
                'training broken off?')
        return shapes[0][1]


def cut(bgr: np.ndarray, face: Face, policy: str = Settings.crop,
        scale: float = Settings.crop_scale,
        into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
    """Return a face as the networks see it, (INPUT_SIZE, INPUT_SIZE, 3) uint8 BGR.

    :param policy: how it is cut out, as is scale: see
        :func:`gaze_ros.core.geometry.crops.face_transform`.
    :param into: (S, S, 3) uint8 that may be overwritten and returned; the face has its size then.
    :return: None for a box without extent in the picture.
    """
    side = INPUT_SIZE if into is None else len(into)
    height, width = bgr.shape[:2]
    if not min(face.clipped(width, height)[2:]):
        return None
    size = min(CUT_SIZE, side) if policy == 'square' else side
    try:
        transform = face_transform(face.box, size, policy, scale, (width, height))
    except ValueError:  # less than a pixel of it is left
        return None
    picture = crop(bgr, transform, size)
    return picture if size == side else cv2.resize(picture, (side, side), into)


def decode(
        logits: np.ndarray, bins: np.ndarray, step: float,
        offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected angle in radians, and how sure it is.

    degrees = sum(softmax(logits) * bin) * step - offset, as upstream; sureness is
    1 - entropy / ln(bins), 0..1.

    :param logits: (N, bins) float32.
    :param bins: 0, 1, 2, ... as float32.
    """
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    degrees = (p @ bins) * step - offset
    entropy = -(p * np.log(np.maximum(p, 1e-12))).sum(axis=1)
    return np.radians(degrees), 1 - entropy / math.log(len(bins))


def _find(name: str, settings: Settings) -> Path:
    """Return the file the store has, of the kind that suits the runtime best."""
    whole = tuple(s for row in RUNTIMES.values() for s in row[4] if s not in CHECKPOINTS)
    # A whole network needs no torch to be read, but only torch has half precision on a GPU, and
    # Core ML reads no other's.
    gpu = settings.device in ('cuda', 'mps') or settings.device == 'auto' and (
        # Asking torch takes more than a second: only where there may be one.
        (sys.platform == 'darwin' or Path('/proc/driver/nvidia').exists()) and installed('torch')
        and any(available('torch', kind) for kind in ('cuda', 'mps')))
    if settings.runtime in ('torch', 'coreml') or settings.runtime == 'auto' and gpu:
        return store.find(name, suffixes=(*CHECKPOINTS, *whole))
    return store.find(name, suffixes=(*whole, *CHECKPOINTS))


def _dataset(dataset: str, bins: int, path: Path) -> str:
    """Return the dataset whose number of bins the heads have."""
    fits = [name for name, row in DATASETS.items() if row[0] == bins]
    known = ', '.join(f'{name} ({row[0]})' for name, row in DATASETS.items())
    if not fits:
        raise ModelError(
            f"weight '{path}' has {bins} bins: it belongs to no known dataset: {known}")
    if dataset not in ('auto', fits[0]):
        raise ModelError(
            f"weight '{path}' has {bins} bins, but dataset '{dataset}' has "
            f"{DATASETS[dataset][0]}: set dataset to '{fits[0]}' or auto")
    return fits[0]


def is_swapped(path: Path, head_order: str, metadata: dict[str, str]) -> bool:
    """Return whether the second output is the horizontal one."""
    if head_order != 'auto':
        return head_order == 'swapped'
    if path.suffix.lower() not in CHECKPOINTS:
        return False
    known = registry.identify(path)
    head_order = metadata.get('head_order') or known and known[1].head_order
    if not head_order:
        _log.warning(
            "weight '%s' (sha256 %s) is not in weights/manifest.yaml, so it is not known which "
            "head is horizontal; taking them as named. To be sure: gaze_ros models selftest; if "
            "left-right and up-down are exchanged, set head_order to 'swapped'.",
            path, registry.sha256(path))
    return head_order == 'swapped'
