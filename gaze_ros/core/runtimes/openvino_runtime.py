"""OpenVINO on the CPU or an Intel NPU: from IR, from ONNX, or from a torch module."""
from collections.abc import Sequence
import math
from pathlib import Path
from typing import Any, TYPE_CHECKING, Union

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.conversion import to_openvino
from gaze_ros.core.system import native_threads as thread_counts
import numpy as np
import openvino

if TYPE_CHECKING:
    from torch.nn import Module

#: The process's only one, never freed: the CPU plugin of a Core gives the thread that first uses
#: it a stack for signals, and the thread that frees it takes the stack away: the next signal to
#: the first one ended the process (2026.4.1).
CORE = openvino.Core()

# A file that is mapped and cut short before the network is compiled ends the process (SIGBUS).
# Read instead, it costs neither time nor memory: the mapped one is copied when compiled.
CORE.set_property({'ENABLE_MMAP': False})

#: Our names of the precisions, and OpenVINO's.
_TYPES = {'fp32': 'f32', 'fp16': 'f16', 'bf16': 'bf16'}
_NAMES = {v: k for k, v in _TYPES.items()}

#: Types of constants that may be no numbers.
_FLOATS = ('f16', 'f32', 'f64')
#: Operations that may go on for ever.
_ENDLESS = ('Loop', 'TensorIterator', 'If')
#: Numbers that an operation may give: those of faces have a hundredth of it.
_MOST_VALUES = 1 << 27


class OpenVINONetwork:
    """A compiled network that takes its batch one by one.

    Compiled for a batch of any size, OpenVINO 2026.4.1 gives wrong numbers for a batch of one in
    bf16 (the gaze of adas is off by ten degrees), and it is no faster: MobileOne-S0 takes 3.8 ms a
    face in batches, and 3.5 one by one.

    :ivar shapes: of the inputs for one sample, -1 where any size will do.
    :ivar outputs: their names.
    :raises ModelError: if the file is no network, or the precision is not this device's.
    """

    runtime = 'openvino'

    def __init__(
            self, model: Union[Path, 'Module'], *, device: str, precision: str,
            threads: int, size: Union[int, tuple[int, int]] = 0, named: str = 'weight',
            **_: Any) -> None:
        try:
            graph = CORE.read_model(model) if isinstance(model, Path) else to_openvino(model, size)
            try:
                graph.reshape({i: _one(list(i.partial_shape), size) for i in graph.inputs})
            except RuntimeError:
                # A network of fixed sides: that it does not take these is told when it is run.
                graph.reshape({i: _one(list(i.partial_shape), 0) for i in graph.inputs})
        except RuntimeError as e:
            raise ModelError(
                f"{named} '{model}' is no network OpenVINO can read: {_reason(e)}") from e
        if why := _wrong(graph):
            raise ModelError(f"{named} '{model}' is no network that is run here: {why}")
        quantised = any(op.get_type_name() == 'FakeQuantize' for op in graph.get_ops())
        options = {'PERFORMANCE_HINT': 'LATENCY'}
        if device == 'cpu':
            options['INFERENCE_NUM_THREADS'] = thread_counts.thread_count(threads)
        if precision == 'int8':
            if not quantised:
                raise ModelError(
                    f"precision 'int8' needs quantised weights, and those of '{model}' are not: "
                    'make them with gaze_ros models export --format openvino --int8 CLIP'
                    if isinstance(model, Path) else
                    "precision 'int8' needs quantised weights, and a checkpoint's are not: make "
                    'them with gaze_ros models export --format openvino --int8 CLIP')
        elif precision != 'auto':
            able = CORE.get_property(device.upper(), 'OPTIMIZATION_CAPABILITIES')
            # Asked for what it has not, it silently takes another.
            if precision.upper() not in able:
                raise ModelError(
                    f"precision '{precision}' is not native to this {device}, which has "
                    f'{", ".join(able)}: set precision to auto or fp32')
            options['INFERENCE_PRECISION_HINT'] = _TYPES[precision]
        try:
            compiled = CORE.compile_model(graph, device.upper(), options)
        except RuntimeError as e:
            raise ModelError(f"OpenVINO cannot run '{model}' on {device}: {_reason(e)}") from e
        used = compiled.get_property('INFERENCE_PRECISION_HINT').get_type_name()
        self.device = device
        self.precision = 'int8' if quantised else _NAMES.get(used, used)
        self.shapes = [tuple(d.get_length() if d.is_static else -1 for d in i.partial_shape)
                       for i in compiled.inputs]
        self.outputs = [next(iter(sorted(o.get_names())), '') for o in compiled.outputs]
        self._request = compiled.create_infer_request()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for one batch of each input."""
        if len(inputs[0]) == 1:
            return self._run(inputs)
        outputs: list[np.ndarray] = []
        for i in range(len(inputs[0])):
            row = self._run([x[i:i + 1] for x in inputs])
            if not outputs:
                outputs = [np.empty((len(inputs[0]), *o.shape[1:]), o.dtype) for o in row]
            for output, o in zip(outputs, row):
                output[i] = o[0]
        return outputs

    def _run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(self._request.infer(
            list(inputs), share_inputs=True, share_outputs=True).values())


def _wrong(graph: openvino.Model) -> str:
    """Return why a network takes more memory than there is, has no end or no sense; or ''.

    Weights that are no numbers need not show in what comes of them: its Relu makes NaN 0.
    """
    for op in graph.get_ops():
        if (kind := op.get_type_name()) in _ENDLESS:
            return f'it holds a {kind}'
        for shape in (o.partial_shape for o in op.outputs()):
            if shape.is_static and math.prod(shape.get_shape()) > _MOST_VALUES:
                return f'its {kind} gives {shape.get_shape()} values'
        if kind == 'Constant' and op.get_element_type().get_type_name() in _FLOATS:
            # Infinite alone is the bound of a range.
            if np.isnan(op.data).any() or op.data.size > 1 and np.isinf(op.data).any():
                return 'it holds weights that are not finite: is it damaged?'
    return ''


def _one(shape: list[openvino.Dimension], size: Union[int, tuple[int, int]]) -> list:
    """Return the shape of one sample, with its sides set where the size is not 0."""
    sides = size if isinstance(size, tuple) else [size or side for side in shape[2:]]
    return [1, *shape[1:2], *sides]


def _reason(error: RuntimeError) -> str:
    """Return the last line that says something: the first ones name OpenVINO's source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
