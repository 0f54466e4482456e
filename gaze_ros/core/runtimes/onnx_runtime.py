"""ONNX Runtime on the CPU, on CUDA, or on Apple's devices through its Core ML provider."""
from functools import lru_cache
from pathlib import Path
from typing import Any, TYPE_CHECKING, Union

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.batches import Batches
from gaze_ros.core.runtimes.conversion import to_onnx
from gaze_ros.core.system import native_threads as thread_counts
import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from torch.nn import Module

_PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider',
              'mps': 'CoreMLExecutionProvider'}

#: Bytes that all networks on the CPU have for what they compute: the process of ResNet-152 and a
#: batch of sixteen faces has 1.1 GB at most.
_MOST = 4 << 30
#: Bytes of what is computed of constants, once, when a network is loaded; a larger one is computed
#: when it runs, within the limit above. The largest weight of ResNet-152 has 9 MB.
_MOST_CONSTANT = 1 << 24


class OnnxNetwork:
    """A session on one provider.

    :raises ModelError: if the file is no network, or the provider does not take it.
    """

    runtime = 'onnx'

    def __init__(
            self, model: Union[Path, 'Module'], *, device: str, precision: str,
            threads: int, size: int = 0, named: str = 'weight', **_: Any) -> None:
        if precision not in ('auto', 'fp32'):
            raise ModelError(
                f"precision '{precision}' is not for runtime 'onnx', which computes as its file "
                'says: set precision to auto or fp32, or runtime to openvino or torch')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_counts.thread_count(threads)
        # A spinning worker takes the core that the camera or the next stage needs.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.log_severity_level = 3
        options.add_session_config_entry(
            'optimization.constant_folding_max_output_size_in_bytes', str(_MOST_CONSTANT))
        if device == 'cpu':
            _bound()
            options.log_severity_level = 4  # what it calls an error is raised, too
            options.add_session_config_entry('session.use_env_allocators', '1')
        provider = _PROVIDERS[device]
        try:
            session = onnxruntime.InferenceSession(
                str(model) if isinstance(model, Path) else to_onnx(model, size), options,
                providers=[provider, 'CPUExecutionProvider'][:1 if device == 'cpu' else 2])
        except Exception as e:  # its classes derive from Exception alone
            reason = ' '.join(str(e).split())[:300]
            raise ModelError(
                f"{named} '{model}' is no network ONNX Runtime can load: {reason}") from e
        # It falls back to the CPU with no more than a log line.
        if session.get_providers()[0] != provider:
            raise ModelError(
                f"device '{device}': ONNX Runtime did not get its {provider} to work here: set "
                'device to cpu')
        self.device, self.precision = device, 'fp32'
        self._session = session
        self._inputs = [i.name for i in session.get_inputs()]
        self._batches = Batches()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for one batch of each input."""
        return self._batches.run(self._infer, inputs)

    def _infer(self, *inputs: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, dict(zip(self._inputs, inputs)))


@lru_cache(maxsize=1)
def _bound() -> None:
    """Limit the memory of networks on the CPU: a hundred bytes of a file may ask for any."""
    where = onnxruntime.OrtMemoryInfo(
        'Cpu', onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0,
        onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg(_MOST, -1, -1, -1))
