"""PyTorch on the CPU, CUDA or MPS; half precision and channels_last on a GPU."""
from typing import Any

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.batches import Batches, one_line
from gaze_ros.core.system import native_threads as thread_counts
import numpy as np
import torch

_TYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


class TorchNetwork:
    """A torch module in inference mode.

    :raises ModelError: if torch does not support the precision, or the memory is too small.
    """

    runtime = 'torch'

    def __init__(
            self, model: torch.nn.Module, *, device: str, precision: str, threads: int,
            **_: Any) -> None:
        if precision == 'auto':
            precision = 'fp32' if device == 'cpu' else 'fp16'
        if precision not in _TYPES:
            raise ModelError(
                f"precision '{precision}' is not one of torch's: {', '.join(_TYPES)}; int8 needs "
                'runtime openvino and a file from gaze_ros models export')
        self.device, self.precision = device, precision
        torch.set_num_threads(thread_counts.thread_count(threads))
        # Tensor cores need channels last; on the CPU it is not faster here.
        self._format = torch.preserve_format if device == 'cpu' else torch.channels_last
        try:
            self._module = model.eval().to(
                device=device, dtype=_TYPES[precision], memory_format=self._format)
        except RuntimeError as e:
            raise ModelError(f"device '{device}' cannot load the model: {one_line(e)}") from e
        self._batches = Batches()
        self._pinned: list[torch.Tensor] = []

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for one batch of each input."""
        return self._batches.run(self._infer, inputs, self._free)

    def _infer(self, *inputs: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            batches = [torch.from_numpy(x) for x in inputs]
            if self.device == 'cuda':
                batches = self._to_gpu(batches)
            outputs = self._module(*(
                x.to(device=self.device, dtype=_TYPES[self.precision],
                     memory_format=self._format) for x in batches))
            # All outputs have the same shape: one transfer from the device is enough.
            return list(torch.stack(outputs).float().cpu().numpy())

    def _free(self) -> None:
        """Release the memory that torch caches."""
        self._pinned = []
        if self.device != 'cpu':
            getattr(torch, self.device).empty_cache()

    def _to_gpu(self, batches: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the batches on the GPU, transferred asynchronously from pinned memory.

        The pinned memory is reused: the transfer is complete when the outputs have arrived.
        """
        if len(self._pinned) != len(batches) or any(
                len(p) < len(b) or p.shape[1:] != b.shape[1:]
                for p, b in zip(self._pinned, batches)):
            self._pinned = [torch.empty_like(b, pin_memory=True) for b in batches]
        return [p[:len(b)].copy_(b).to(self.device, non_blocking=True)
                for p, b in zip(self._pinned, batches)]
