"""MobileGaze (yakhyo/gaze-estimation) and L2CS-Net: two heads of angle bins, on any runtime."""
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

#: Side of the input the networks were trained with, pixels.
INPUT_SIZE = 448

#: Side of a square crop in pixels before it is enlarged to the network's input. Gaze360's images
#: have this resolution; finer detail such as camera noise moves MobileOne-S0 by a third more.
CROP_SIZE = 224

#: ImageNet's mean and standard deviation, in BGR order, 0..255.
MEAN = (0.406 * 255, 0.456 * 255, 0.485 * 255)
DEVIATION = (0.225 * 255, 0.224 * 255, 0.229 * 255)


class BinnedEstimator:
    """Runs all faces of an image in one batch.

    Horizontal head: the first output of a complete network (ONNX, OpenVINO, Core ML). In a
    checkpoint it depends on the release, in older ones it is ``fc_pitch``: ``head_order`` decides,
    or the file's SHA-256 if weights/manifest.yaml has it; otherwise the heads are taken as named,
    with a warning.

    :raises ModelError: if a package or the file is missing, or the file needs code to load or
        holds another network.
    """

    def __init__(self, entry: registry.Model, settings: Settings) -> None:
        self.name = entry.name
        self._crop, self._scale = settings.crop, settings.crop_scale
        self._size = settings.input_size
        path = Path(settings.weight) if settings.weight else _find(entry.name, settings)
        if not path.is_dir() and (problem := weights_problem(path)):  # an .mlpackage is a folder
            raise ModelError(f"weight '{path}' is not a network: {problem}")
        if (known := registry.identify(path) if path.is_file() else None) and (
                known[0] not in entry.files):
            raise ModelError(
                f"weight '{path}' is known as {known[0].name}, which does not belong to model "
                f"'{entry.name}': set model to the one it belongs to (gaze_ros models list)")
        metadata: dict[str, str] = {}

        def load_module():
            from gaze_ros.core.networks.checkpoints import load_network
            net, file_metadata = load_network(entry.architecture, str(path))
            metadata.update(file_metadata)
            return net

        self._network = open_network(
            path, runtime=settings.runtime, device=settings.device, precision=settings.precision,
            threads=settings.threads, size=self._size,
            module=load_module if path.suffix.lower() in CHECKPOINTS else None)
        self.running = (
            f'{self._network.runtime}, {self._network.device}, {self._network.precision}')
        self._batch = InputBatch(MEAN, DEVIATION, rgb=True)
        self._face = np.empty((self._size, self._size, 3), np.uint8)
        bins = self._check_outputs(path)
        dataset = _dataset(settings.dataset, bins, path)
        _, self._step, self._offset = DATASETS[dataset]
        self._bins = np.arange(bins, dtype=np.float32)
        self._swapped = is_swapped(path, settings.head_order, metadata)

    def estimate(self, image: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face; NaN for a box without extent in the image."""
        estimates = [Estimate() for _ in faces]
        inside: list[int] = []

        def crops() -> Iterator[np.ndarray]:
            for i, face in enumerate(faces):
                face_image = face_input(image, face, self._crop, self._scale, self._face)
                if face_image is not None:
                    inside.append(i)
                    yield face_image

        batch = self._batch.fill(crops(), len(faces))
        if not inside:
            return estimates
        for i, (pitch, yaw, confidence) in zip(inside, self._predict(batch).tolist()):
            if math.isfinite(pitch + yaw):
                estimates[i] = Estimate(pitch, yaw, confidence)
        return estimates

    def angles(self, faces: list[np.ndarray]) -> np.ndarray:
        """Return (N, 2) pitch and yaw in radians for face crops.

        :param faces: N images (S, S, 3) uint8 BGR; S is the setting input_size.
        """
        return np.concatenate([self._predict(self._batch.fill([face]))[:, :2] for face in faces])

    def close(self) -> None:
        """Free the network."""
        self._network = None

    def _predict(self, batch: np.ndarray) -> np.ndarray:
        """Return (N, 3) pitch and yaw, radians, and confidence, 0..1, of a batch of faces."""
        horizontal, vertical = self._network(batch)
        if self._swapped:
            horizontal, vertical = vertical, horizontal
        pitch, pitch_confidence = decode(vertical, self._bins, self._step, self._offset)
        yaw, yaw_confidence = decode(horizontal, self._bins, self._step, self._offset)
        # The model's yaw is positive toward the left of the image.
        return np.column_stack([pitch, -yaw, (pitch_confidence + yaw_confidence) / 2])

    def _check_outputs(self, path: Path) -> int:
        """Run the network once and check its outputs; return the number of bins per head."""
        try:
            outputs = self._network(self._batch.fill(
                [np.zeros((self._size, self._size, 3), np.uint8)]))
        except Exception as e:  # each runtime has its own exception classes
            reason = ' '.join(str(e).split())[-200:]
            raise ModelError(
                f"weight '{path}' does not accept images of {self._size} x {self._size}: if its "
                'input size is fixed, set input_size to that, runtime to openvino, which can '
                'change it, or weight to a checkpoint; otherwise it is not a network of model '
                f"'{self.name}' ({reason})") from e
        shapes = [np.shape(o) for o in outputs]
        if len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2:
            raise ModelError(
                f"weight '{path}' has outputs of the shapes {shapes}; two of (1, bins) were "
                f"expected for model '{self.name}'")
        if not all(np.isfinite(o).all() for o in outputs):
            raise ModelError(
                f"weight '{path}' returns numbers that are not finite: is it damaged, or was its "
                'training interrupted?')
        return shapes[0][1]


def face_input(image: np.ndarray, face: Face, policy: str = Settings.crop,
               scale: float = Settings.crop_scale,
               into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
    """Return a face's crop at the input size, (INPUT_SIZE, INPUT_SIZE, 3) uint8 BGR.

    :param image: (H, W, 3) uint8 BGR.
    :param policy: crop policy, see :func:`gaze_ros.core.geometry.crops.face_transform`.
    :param scale: ratio of a square crop's side to the square root of the box's area.
    :param into: (S, S, 3) uint8 that may be overwritten and returned; the result has its size.
    :return: None for a box without extent in the image.
    """
    side = INPUT_SIZE if into is None else len(into)
    height, width = image.shape[:2]
    if not min(face.clipped(width, height)[2:]):
        return None
    size = min(CROP_SIZE, side) if policy == 'square' else side
    try:
        transform = face_transform(face.box, size, policy, scale, (width, height))
    except ValueError:  # less than a pixel of it is inside the image
        return None
    face_image = crop(image, transform, size)
    return face_image if size == side else cv2.resize(face_image, (side, side), into)


def decode(
        logits: np.ndarray, bins: np.ndarray, step: float,
        offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected angle in radians (N,) and its confidence (N,), 0..1.

    degrees = sum(softmax(logits) * bin) * step - offset, as in L2CS-Net (Abdelrahman et al.,
    2022); confidence = 1 - entropy / ln(number of bins).

    :param logits: (N, bins) float32.
    :param bins: 0, 1, 2, ... as float32.
    :param step: degrees per bin.
    :param offset: degrees subtracted.
    """
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    degrees = (p @ bins) * step - offset
    entropy = -(p * np.log(np.maximum(p, 1e-12))).sum(axis=1)
    return np.radians(degrees), 1 - entropy / math.log(len(bins))


def _find(name: str, settings: Settings) -> Path:
    """Return the store's file of the format that suits the runtime best."""
    complete = tuple(s for row in RUNTIMES.values() for s in row[4] if s not in CHECKPOINTS)
    # A complete network loads without torch, but torch has half precision on a GPU, and Core ML
    # is converted from a checkpoint.
    gpu = settings.device in ('cuda', 'mps') or settings.device == 'auto' and (
        # Importing torch takes more than a second: only where there may be a GPU.
        (sys.platform == 'darwin' or Path('/proc/driver/nvidia').exists()) and installed('torch')
        and any(available('torch', kind) for kind in ('cuda', 'mps')))
    if settings.runtime in ('torch', 'coreml') or settings.runtime == 'auto' and gpu:
        return store.find(name, suffixes=(*CHECKPOINTS, *complete))
    return store.find(name, suffixes=(*complete, *CHECKPOINTS))


def _dataset(dataset: str, bins: int, path: Path) -> str:
    """Return the dataset that has this number of bins."""
    matching = [name for name, row in DATASETS.items() if row[0] == bins]
    known = ', '.join(f'{name} ({row[0]})' for name, row in DATASETS.items())
    if not matching:
        raise ModelError(
            f"weight '{path}' has {bins} bins, which matches no known dataset: {known}")
    if dataset not in ('auto', matching[0]):
        raise ModelError(
            f"weight '{path}' has {bins} bins, but dataset '{dataset}' has "
            f"{DATASETS[dataset][0]}: set dataset to '{matching[0]}' or auto")
    return matching[0]


def is_swapped(path: Path, head_order: str, metadata: dict[str, str]) -> bool:
    """Return whether the second output is the horizontal one.

    :param metadata: of the checkpoint; its ``head_order`` comes before that of the manifest.
    """
    if head_order != 'auto':
        return head_order == 'swapped'
    if path.suffix.lower() not in CHECKPOINTS:
        return False
    known = registry.identify(path)
    head_order = metadata.get('head_order') or known and known[1].head_order
    if not head_order:
        _log.warning(
            "weight '%s' (sha256 %s) is not in weights/manifest.yaml, so the horizontal head is "
            'unknown; the heads are taken as named. Check with gaze_ros models selftest; if '
            "left-right and up-down are exchanged, set head_order to 'swapped'.",
            path, registry.sha256(path))
    return head_order == 'swapped'
