"""ONNX Runtime on the CPU, on CUDA, or on Apple devices through its Core ML provider."""
from functools import lru_cache
from pathlib import Path
from typing import Any, TYPE_CHECKING, Union

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.batches import Batches
from gaze_ros.core.runtimes.conversion import to_onnx
from gaze_ros.core.system import native_threads as thread_counts
from gaze_ros.core.system.utf8 import is_utf8
import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from torch.nn import Module

_PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider',
              'mps': 'CoreMLExecutionProvider'}

#: Maximum bytes for the computations of all networks on the CPU: a process with ResNet-152 and a
#: batch of sixteen faces takes 1.1 GB.
_MAX_ARENA = 4 << 30
#: Maximum bytes of a constant that is folded when a network is loaded; a larger one is computed at
#: run time, within the limit above. The largest weight of ResNet-152 has 9 MB.
_MAX_CONSTANT = 1 << 24


class OnnxNetwork:
    """A session on one provider.

    :raises ModelError: if the file is not a network, or the provider cannot run it.
    """

    runtime = 'onnx'

    def __init__(
            self, model: Union[Path, 'Module'], *, device: str, precision: str,
            threads: int, size: int = 0, parameter: str = 'weight', **_: Any) -> None:
        if precision not in ('auto', 'fp32'):
            raise ModelError(
                f"precision '{precision}' is not available with runtime 'onnx', which uses the "
                'precision of the file: set precision to auto or fp32, or runtime to openvino or '
                'torch')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_counts.thread_count(threads)
        # Spinning threads would occupy cores that the camera or the next stage needs.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.log_severity_level = 3
        options.add_session_config_entry(
            'optimization.constant_folding_max_output_size_in_bytes', str(_MAX_CONSTANT))
        if device == 'cpu':
            _limit_memory()
            options.log_severity_level = 4  # errors are raised as well
            options.add_session_config_entry('session.use_env_allocators', '1')
        provider = _PROVIDERS[device]
        try:
            session = onnxruntime.InferenceSession(
                _path_or_bytes(model) if isinstance(model, Path) else to_onnx(model, size),
                options,
                providers=[provider, 'CPUExecutionProvider'][:1 if device == 'cpu' else 2])
        except Exception as e:  # its classes derive from Exception directly
            reason = ' '.join(str(e).split())[:300]
            raise ModelError(
                f"{parameter} '{model}' is not a network that ONNX Runtime can load: {reason}"
            ) from e
        # It falls back to the CPU with only a log line.
        if session.get_providers()[0] != provider:
            raise ModelError(
                f"device '{device}': the {provider} of ONNX Runtime does not work here: set "
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


def _path_or_bytes(path: Path) -> Union[str, bytes]:
    """Return a path, or the content of the file if the path is not UTF-8, which it must be."""
    return str(path) if is_utf8(str(path)) else path.read_bytes()


@lru_cache(maxsize=1)
def _limit_memory() -> None:
    """Limit the memory of networks on the CPU: a tiny file can request any amount."""
    memory = onnxruntime.OrtMemoryInfo(
        'Cpu', onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0,
        onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(
        memory, onnxruntime.OrtArenaCfg(_MAX_ARENA, -1, -1, -1))
