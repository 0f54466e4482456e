"""What runs a network: torch, OpenVINO, ONNX Runtime or Core ML, behind one call.

``network(*inputs) -> list of outputs``: float32 arrays, in the order of the model's own inputs and
outputs. What is returned may be overwritten by the next call.
"""
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
import sys
from typing import Optional, Protocol, TYPE_CHECKING, Union

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.network_files import refuse
from gaze_ros.core.system import import_errors
import numpy as np

if TYPE_CHECKING:
    from torch.nn import Module

# openvino tells Google Analytics of every import, by a process forked from a thread: a robot is to
# do neither. Without this package it takes a stub of its own.
sys.modules.setdefault('openvino_telemetry', None)

#: How a file of a state dict may end; whatever else there is describes a whole network.
CHECKPOINTS = ('.pt', '.pth', '.pkl', '.ckpt', '.safetensors')

#: Name of each runtime, fastest on a CPU first (README, Models): its module, class, the package it
#: needs, the devices it knows and the files it reads.
RUNTIMES = {
    'openvino': ('openvino_runtime', 'OpenVINONetwork', 'openvino', ('cpu', 'npu'),
                 (*CHECKPOINTS, '.onnx', '.xml')),
    'onnx': ('onnx_runtime', 'OnnxNetwork', 'onnxruntime', ('cpu', 'cuda', 'mps'),
             (*CHECKPOINTS, '.onnx')),
    'coreml': ('coreml_runtime', 'CoreMLNetwork', 'coremltools', ('cpu', 'mps', 'npu'),
               (*CHECKPOINTS, '.mlpackage')),
    'torch': ('torch_runtime', 'TorchNetwork', 'torch', ('cpu', 'cuda', 'mps'), CHECKPOINTS),
}

#: Which runtime is tried first where the device is not the CPU: a GPU runs torch's half precision.
_FIRST = {'cuda': ('torch', 'onnx'), 'mps': ('torch', 'coreml', 'onnx'),
          'npu': ('openvino', 'coreml'), 'cpu': tuple(RUNTIMES)}

#: Devices that ``auto`` takes, in this order, where they are there.
_AUTO = ('cuda', 'mps', 'cpu')


class Network(Protocol):
    """What a runtime has to offer.

    :ivar runtime: its name; device and precision likewise, as they are, never ``auto``.
    """

    runtime: str
    device: str
    precision: str

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for one batch of each input."""


def installed(runtime: str) -> bool:
    """Return whether the package of a runtime is there; imports nothing."""
    return find_spec(RUNTIMES[runtime][2]) is not None


def open_network(
        path: Path, *, runtime: str = 'auto', device: str = 'auto', precision: str = 'auto',
        threads: int = 0, module: Optional[Callable[[], 'Module']] = None,
        size: Union[int, tuple[int, int]] = 0, named: str = 'weight') -> Network:
    """Return a network that is ready to run.

    :param path: a network's file, or a checkpoint, for which ``module`` is needed.
    :param runtime: a key of :data:`RUNTIMES`, or ``auto``: the first of them that is installed,
        reads the file and knows the device.
    :param device: cpu, cuda, mps, npu, or ``auto``: a GPU if there is one, else the CPU.
    :param precision: fp32, fp16, bf16, int8, or ``auto``: what the device computes fastest
        without a quantised file.
    :param threads: of the CPU; 0 for one a core.
    :param module: gives the torch module of a checkpoint, with its weights; called at most once.
    :param size: side in pixels of the input: of a module, and of a file where the runtime can
        change it, as OpenVINO does, which takes height and width as well; 0 for a file's own.
    :param named: the parameter that gave the path, for errors.
    :raises ModelError: if the runtime is not installed, does not read the file, does not know the
        device or the precision here, or the file is no network.
    """
    try:
        runtime, device = _choose(path, runtime, device, named)
        name, cls = RUNTIMES[runtime][:2]
        network = getattr(import_module(f'{__name__}.{name}'), cls)
    except (ImportError, OSError) as e:  # installed, but broken: torch raises OSError
        raise ModelError(f"runtime '{runtime}' for '{path}': {import_errors.describe(e)}") from e
    if module is None:
        refuse(path, named)
    model = path if module is None else module()
    return network(
        model, device=device, precision=precision, threads=threads, size=size, named=named)


def available(runtime: str, device: str) -> bool:
    """Return whether an installed runtime finds a device of that kind on this machine."""
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
        wanted = {'cuda': 'CUDAExecutionProvider', 'mps': 'CoreMLExecutionProvider'}[device]
        return wanted in onnxruntime.get_available_providers()
    from gaze_ros.core.runtimes.openvino_runtime import CORE
    return 'NPU' in CORE.available_devices


def _choose(path: Path, runtime: str, device: str, named: str) -> tuple[str, str]:
    """Return the runtime and the device, neither of them ``auto``."""
    suffix = path.suffix.lower()
    readers = [name for name, row in RUNTIMES.items() if suffix in row[4]]
    if not readers:
        every = sorted({s for row in RUNTIMES.values() for s in row[4]})
        raise ModelError(
            f"{named} '{path}' ends in '{suffix}'; known are {', '.join(every)}")
    if runtime != 'auto':
        if runtime not in readers:
            raise ModelError(
                f"runtime '{runtime}' does not read '{path}': it reads "
                f'{", ".join(RUNTIMES[runtime][4])}; for this file set runtime to auto or to '
                f'{" or ".join(readers)}')
        readers = [runtime]
    if suffix in CHECKPOINTS and not installed('torch'):
        raise ModelError(
            f"{named} '{path}' is a checkpoint, which the package torch reads whatever runs it: "
            "pip install 'gaze_ros[torch]', or take the model's .onnx file")
    there = [name for name in readers if installed(name)]
    if there == ['coreml'] and sys.platform != 'darwin':
        raise ModelError(
            f"runtime 'coreml' runs '{path}' on macOS only: set runtime to auto, and weight to a "
            'file that another runtime reads')
    if not there:
        extras = ' or '.join(f"pip install 'gaze_ros[{name}]'" for name in readers)
        packages = ' or '.join(RUNTIMES[name][2] for name in readers)
        raise ModelError(f"{named} '{path}' needs the package {packages} to run: {extras}")
    for kind in _AUTO if device == 'auto' else (device,):
        for name in _FIRST[kind]:
            if name in there and available(name, kind):
                return name, kind
    if device == 'auto':
        device = 'cpu'
    raise ModelError(
        f"device '{device}' is not there for {' or '.join(there)} on this machine: set device to "
        "auto or cpu, or runtime to auto")
