"""MobileGaze (yakhyo/gaze-estimation) in torch, from a checkpoint the user has."""
import logging
import math
from pathlib import Path
import pickle
from zipfile import BadZipFile

from gaze_ros.core import models
from gaze_ros.core import threads as thread_counts
from gaze_ros.core.crops import crop, square_transform
from gaze_ros.core.errors import ModelError
from gaze_ros.core.faces import Estimate, Face
import numpy as np

_log = logging.getLogger(__name__)

#: Side in pixels of the square the face is scaled to; the weights were trained on it.
INPUT_SIZE = 448

#: What the heads' classes mean: bins, degrees a bin, degrees subtracted.
DATASETS = {'gaze360': (90, 4.0, 180.0), 'mpiigaze': (28, 3.0, 42.0)}

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class MobileGazeEstimator:
    """ResNet-18/34/50 and MobileOne-S0, one batch a frame.

    Which head is horizontal changed between releases of the weights: in the older ones it is
    ``fc_pitch``. ``head_order`` says ``as_named``, ``swapped`` or ``auto``: by the file's sha256
    where weights/manifest.yaml has it, else as named, with a warning.

    :raises ModelError: if torch is missing, or the file is missing, needs code to load, or holds
        other tensors than the model and dataset have.
    """

    def __init__(
            self, entry: dict, *, weight: str = '', dataset: str = 'gaze360',
            device: str = 'auto', threads: int = 0, head_order: str = 'auto') -> None:
        self.name = entry['name']
        if dataset not in DATASETS:
            raise ModelError(f"dataset '{dataset}' is not one of: {', '.join(DATASETS)}")
        if head_order not in ('auto', 'as_named', 'swapped'):
            raise ModelError(f"head_order '{head_order}' is not auto, as_named or swapped")
        if not weight:
            raise ModelError(
                f"model '{self.name}' needs its weights: set weight to the path of "
                f'{entry["source"].rsplit(", ")[-1]} (from {entry["source"]}; '
                f'licence: {entry["licence"]})')
        if not Path(weight).is_file():
            raise ModelError(f"weight '{weight}' is not a file")
        try:
            import torch
        except ImportError as e:
            raise ModelError(
                f"model '{self.name}' needs torch ({e}): pip install 'gaze_ros[torch]'") from e
        self._torch = torch
        bins, self._step, self._offset = DATASETS[dataset]
        self._device = _device(torch, device)
        torch.set_num_threads(thread_counts.count(threads))
        state = _read_state(torch, weight)
        self._net = _network(torch, self.name, bins, state, weight, dataset)
        self._net.to(self._device)
        self._swapped = _is_swapped(entry, weight, head_order)
        self._mean = torch.tensor(_MEAN, device=self._device).view(1, 3, 1, 1) * 255
        self._deviation = torch.tensor(_DEVIATION, device=self._device).view(1, 3, 1, 1) * 255
        self._bins = torch.arange(bins, device=self._device, dtype=torch.float32)

    def estimate(self, bgr: np.ndarray, faces: list[Face]) -> list[Estimate]:
        """Return an estimate for each face of a (H, W, 3) uint8 BGR picture, in one batch."""
        if not faces:
            return []
        torch = self._torch
        crops = np.stack([
            crop(bgr, square_transform(face.box, INPUT_SIZE), INPUT_SIZE) for face in faces])
        with torch.inference_mode():
            batch = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).flip(1)
            batch = (batch.float() - self._mean) / self._deviation
            horizontal, vertical = self._net(batch)
            if self._swapped:
                horizontal, vertical = vertical, horizontal
            angles, sharpness = self._decode(torch.stack([vertical, horizontal]))
        rows = torch.cat([angles, sharpness.mean(dim=0, keepdim=True)]).T.cpu().numpy().tolist()
        # The model's yaw grows toward the left of the picture.
        return [Estimate(pitch, -yaw, confidence) if math.isfinite(pitch + yaw) else Estimate()
                for pitch, yaw, confidence in rows]

    def close(self) -> None:
        """Free the network."""
        self._net = None

    def _decode(self, logits):
        """Return radians and 1 - entropy / ln(bins), each shaped as logits without its bins."""
        probabilities = logits.float().softmax(dim=-1)
        degrees = (probabilities * self._bins).sum(dim=-1) * self._step - self._offset
        entropy = -(probabilities * probabilities.clamp_min(1e-12).log()).sum(dim=-1)
        return degrees.deg2rad(), 1 - entropy / math.log(len(self._bins))


def _device(torch, wanted: str):
    present = {'cpu': True, 'cuda': torch.cuda.is_available(),
               'mps': torch.backends.mps.is_available()}
    if wanted == 'auto':
        return next(d for d in ('cuda', 'mps', 'cpu') if present[d])
    if wanted not in present:
        raise ModelError(f"device '{wanted}' is not one of: auto, {', '.join(present)}")
    if not present[wanted]:
        raise ModelError(
            f"device '{wanted}' is not available to torch {torch.__version__} on this machine: "
            "use 'auto' or 'cpu'")
    return wanted


def _read_state(torch, weight: str) -> dict:
    """Return the tensors of a checkpoint without running anything that is in it."""
    try:
        state = torch.load(weight, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError,
            AttributeError, TypeError, IndexError, UnicodeDecodeError, BadZipFile) as e:
        reason = str(e).strip().partition('\n')[0] or type(e).__name__
        raise ModelError(
            f"weight '{weight}' is no checkpoint that loads without running code "
            f'({Path(weight).stat().st_size} bytes): {reason}') from e
    if isinstance(state, dict):
        state = state.get('model_state_dict', state.get('state_dict', state))
    if not isinstance(state, dict) or not state or not all(
            isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelError(f"weight '{weight}' holds no dictionary of tensors")
    return state


def _network(torch, name: str, bins: int, state: dict, weight: str, dataset: str):
    """Return the network with the tensors loaded; not one may be missing, over or misshapen."""
    from gaze_ros.core.networks import mobileone, resnet
    build = getattr(mobileone if name.startswith('mobileone') else resnet, name)
    head = state.get('fc_yaw.weight')
    if head is not None and head.ndim == 2 and head.shape[0] != bins:
        fits = [d for d, (n, _, _) in DATASETS.items() if n == head.shape[0]]
        raise ModelError(
            f"weight '{weight}' has {head.shape[0]} bins, but dataset '{dataset}' has {bins}: "
            + (f"set dataset to '{fits[0]}'" if fits else 'it belongs to no known dataset'))
    net = build(bins)
    wanted = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    held = {k: tuple(v.shape) for k, v in state.items()}
    if held != wanted:
        missing = sorted(wanted.keys() - held.keys())
        extra = sorted(held.keys() - wanted.keys())
        other = sorted(k for k in wanted.keys() & held.keys() if wanted[k] != held[k])
        parts = [f'{len(keys)} {what} (first: {keys[0]})' for keys, what in (
            (missing, 'missing'), (extra, 'not known to it'), (other, 'of another shape')) if keys]
        raise ModelError(
            f"weight '{weight}' does not fit model '{name}': it holds {len(held)} tensors, "
            f'{len(wanted)} were expected; {", ".join(parts)}')
    net.load_state_dict(state)
    return net.eval()


def _is_swapped(entry: dict, weight: str, head_order: str) -> bool:
    if head_order == 'auto':
        digest = models.sha256(Path(weight))
        head_order = entry.get('sha256', {}).get(digest)
        if head_order is None:
            head_order = 'as_named'
            _log.warning(
                "weight '%s' (sha256 %s) is not in weights/manifest.yaml, so it is not known "
                'which head is horizontal; taking them as named. If left-right and up-down look '
                "exchanged, set head_order to 'swapped'.", weight, digest)
    return head_order == 'swapped'
