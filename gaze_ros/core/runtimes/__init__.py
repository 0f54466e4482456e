"""Inference runtimes (torch, OpenVINO, ONNX Runtime, Core ML) behind one interface.

``network(*inputs) -> list of outputs``: float32 arrays, in the order of the model's inputs and
outputs. The next call may overwrite the returned arrays.
"""
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
import sys
from typing import Optional, Protocol, TYPE_CHECKING, Union

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.network_files import check_network_file
from gaze_ros.core.system import import_errors
import numpy as np

if TYPE_CHECKING:
    from torch.nn import Module

# openvino reports every import to Google Analytics, from a process that a thread forks: neither is
# acceptable on a robot. Without this package openvino uses its own stub.
sys.modules.setdefault('openvino_telemetry', None)

#: Suffixes of state dict files; files with other suffixes describe a whole network.
CHECKPOINTS = ('.pt', '.pth', '.pkl', '.ckpt', '.safetensors')

#: The runtimes, fastest on a CPU first (README, Models): module, class, required package,
#: supported devices and file suffixes.
RUNTIMES = {
    'openvino': ('openvino_runtime', 'OpenVINONetwork', 'openvino', ('cpu', 'npu'),
                 (*CHECKPOINTS, '.onnx', '.xml')),
    'onnx': ('onnx_runtime', 'OnnxNetwork', 'onnxruntime', ('cpu', 'cuda', 'mps'),
             (*CHECKPOINTS, '.onnx')),
    'coreml': ('coreml_runtime', 'CoreMLNetwork', 'coremltools', ('cpu', 'mps', 'npu'),
               (*CHECKPOINTS, '.mlpackage')),
    'torch': ('torch_runtime', 'TorchNetwork', 'torch', ('cpu', 'cuda', 'mps'), CHECKPOINTS),
}

#: Order in which ``auto`` tries the runtimes on each device: on a GPU torch uses half precision.
_PREFERRED = {'cuda': ('torch', 'onnx'), 'mps': ('torch', 'coreml', 'onnx'),
              'npu': ('openvino', 'coreml'), 'cpu': tuple(RUNTIMES)}

#: Devices that ``auto`` tries, in this order.
_AUTO = ('cuda', 'mps', 'cpu')


class Network(Protocol):
    """Interface of a network loaded by a runtime.

    :ivar runtime: name of the runtime.
    :ivar device: the device in use, never ``auto``.
    :ivar precision: the precision in use, never ``auto``.
    """

    runtime: str
    device: str
    precision: str

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for one batch of each input."""


def installed(runtime: str) -> bool:
    """Return whether the package of a runtime is installed, without importing it."""
    return find_spec(RUNTIMES[runtime][2]) is not None


def open_network(
        path: Path, *, runtime: str = 'auto', device: str = 'auto', precision: str = 'auto',
        threads: int = 0, module: Optional[Callable[[], 'Module']] = None,
        size: Union[int, tuple[int, int]] = 0, parameter: str = 'weight',
        batches: Sequence[int] = ()) -> Network:
    """Return a network that is ready to run.

    :param path: a network file, or a checkpoint, which needs ``module``.
    :param runtime: a key of :data:`RUNTIMES`, or ``auto``: the first one that is installed, reads
        the file and supports the device.
    :param device: cpu, cuda, mps, npu, or ``auto``: a GPU if available, else the CPU.
    :param precision: fp32, fp16, bf16, int8, or ``auto``: the fastest of the device that needs no
        quantised file.
    :param threads: CPU threads; 0 for one per core.
    :param module: returns the torch module of a checkpoint, with its weights; called at most once.
    :param size: side in pixels of the input: of a module, and of a file if the runtime can change
        it. OpenVINO can, and also takes (height, width). 0 for the file's own size.
    :param parameter: name of the parameter that gave the path, for error messages.
    :param batches: sizes above 1 that OpenVINO compiles beside it, largest first.
    :raises ModelError: if the runtime is not installed or cannot read the file, the device or the
        precision is not supported here, or the file is not a network.
    """
    try:
        runtime, device = _choose(path, runtime, device, parameter)
        name, cls = RUNTIMES[runtime][:2]
        network = getattr(import_module(f'{__name__}.{name}'), cls)
    except (ImportError, OSError) as e:  # installed, but broken: torch raises OSError
        raise ModelError(f"runtime '{runtime}' for '{path}': {import_errors.describe(e)}") from e
    if module is None:
        check_network_file(path, parameter)
    model = path if module is None else module()
    return network(
        model, device=device, precision=precision, threads=threads, size=size,
        parameter=parameter, batches=batches)


def available(runtime: str, device: str) -> bool:
    """Return whether an installed runtime can use a kind of device on this machine."""
    if device not in RUNTIMES[runtime][3]:
        return False
    if runtime == 'coreml':
        return sys.platform == 'darwin'
    if device == 'cpu':
        return True
    if runtime == 'torch':
        import torch
        return {'cuda': torch.cuda.is_available, 'mps': torch.backends.mps.is_available}[device]()
    if runtime == 'onnx':
        import onnxruntime
        provider = {'cuda': 'CUDAExecutionProvider', 'mps': 'CoreMLExecutionProvider'}[device]
        return provider in onnxruntime.get_available_providers()
    from gaze_ros.core.runtimes.openvino_runtime import CORE
    return 'NPU' in CORE.available_devices


def _choose(path: Path, runtime: str, device: str, parameter: str) -> tuple[str, str]:
    """Return the runtime and the device to use, with ``auto`` resolved."""
    suffix = path.suffix.lower()
    readers = [name for name, row in RUNTIMES.items() if suffix in row[4]]
    if not readers:
        suffixes = sorted({s for row in RUNTIMES.values() for s in row[4]})
        raise ModelError(
            f"{parameter} '{path}' ends in '{suffix}'; supported are {', '.join(suffixes)}")
    if runtime != 'auto':
        if runtime not in readers:
            raise ModelError(
                f"runtime '{runtime}' does not read '{path}': it reads "
                f'{", ".join(RUNTIMES[runtime][4])}; for this file set runtime to auto or to '
                f'{" or ".join(readers)}')
        readers = [runtime]
    if suffix in CHECKPOINTS and not installed('torch'):
        raise ModelError(
            f"{parameter} '{path}' is a checkpoint, which needs the package torch with any "
            f"runtime: {import_errors.pip_command('torch')}, or use the model's .onnx file")
    usable = [name for name in readers if installed(name)]
    if usable == ['coreml'] and sys.platform != 'darwin':
        raise ModelError(
            f"runtime 'coreml' runs '{path}' on macOS only: set runtime to auto, and weight to a "
            'file that another runtime reads')
    if not usable:
        packages = [RUNTIMES[name][2] for name in readers]
        raise ModelError(f"{parameter} '{path}' needs the package {' or '.join(packages)}: "
                         f"{' or '.join(map(import_errors.pip_command, packages))}")
    for kind in _AUTO if device == 'auto' else (device,):
        for name in _PREFERRED[kind]:
            if name in usable and available(name, kind):
                return name, kind
    if device == 'auto':
        device = 'cpu'
    raise ModelError(
        f"device '{device}' is not available for {' or '.join(usable)} here: set device to "
        'auto or cpu, or runtime to auto')
