"""OpenVINO on the CPU or an Intel NPU, from an IR or ONNX file or from a torch module."""
from collections.abc import Hashable, Sequence
from functools import partial
from hashlib import blake2b
import logging
import math
from pathlib import Path
from typing import Any, Optional, TYPE_CHECKING, Union
from weakref import WeakValueDictionary

from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.conversion import to_openvino
from gaze_ros.core.system import native_threads as thread_counts
import numpy as np
import openvino

if TYPE_CHECKING:
    from torch.nn import Module

_log = logging.getLogger(__name__)

#: The only Core of the process, never freed. The CPU plugin of a Core gives the thread that first
#: uses it a signal stack, and freeing the Core removes it: the next signal to that thread killed
#: the process (2026.4.1).
CORE = openvino.Core()

# A mapped file that is truncated before the network is compiled kills the process (SIGBUS).
# Reading it takes no more time or memory: a mapped file is copied when compiled.
CORE.set_property({'ENABLE_MMAP': False})

#: Precision names used here, and OpenVINO's.
_TYPES = {'fp32': 'f32', 'fp16': 'f16', 'bf16': 'bf16'}
_NAMES = {v: k for k, v in _TYPES.items()}

#: Types of constants that are checked for NaN and infinity.
_FLOATS = ('f16', 'f32', 'f64')
#: Operations that may never end.
_ENDLESS = ('Loop', 'TensorIterator', 'If')
#: Maximum output values of an operation: a hundred times those of face networks.
_MAX_VALUES = 1 << 27


class OpenVINONetwork:
    """A compiled network that processes a batch in parts of fixed sizes.

    Compiled for any batch size, OpenVINO 2026.4.1 returns wrong values for a batch of one in bf16
    (the gaze of adas is off by ten degrees), so each size is compiled by itself.

    :param batches: sizes of parts above 1, largest first. They pay for some networks only:
        per face, MediaPipe's landmarks take 4.2 ms one by one and 3.5 ms by four (bf16, one
        thread), MobileOne-S0 3.5 ms one by one and 3.8 ms in batches.
    :param prepare: changes the network that was read, before it is checked and compiled: takes and
        returns an openvino.Model; a partial of a function with keywords.
    :ivar shapes: of the inputs for one sample, -1 for any size.
    :ivar outputs: names of the outputs.
    :raises ModelError: if the file is not a network, or the device does not support the precision.
    """

    runtime = 'openvino'

    def __init__(
            self, model: Union[Path, 'Module'], *, device: str, precision: str,
            threads: int, size: Union[int, tuple[int, int]] = 0, parameter: str = 'weight',
            prepare: Optional[partial] = None, batches: Sequence[int] = (),
            **_: Any) -> None:
        options = {'PERFORMANCE_HINT': 'LATENCY'}
        if device == 'cpu':
            options['INFERENCE_NUM_THREADS'] = thread_counts.thread_count(threads)
            # Pinned, all networks of one thread would run on the same core: 1.3 of 2 cores used.
            options['ENABLE_CPU_PINNING'] = False
        if precision not in ('auto', 'int8'):
            options['INFERENCE_PRECISION_HINT'] = _TYPES[precision]
        key = _key(model, device, precision, size, prepare, batches)
        loaded = _loaded.get(key) if key else None
        self._quantised = loaded is not None and loaded._quantised
        try:
            copies = loaded._copy(device, options) if loaded is not None else {}
            self._compiled = copies or self._compile(
                model, device, precision, size, parameter, prepare, batches, options)
            self._requests = {
                batch: _Request(compiled) for batch, compiled in self._compiled.items()}
        except RuntimeError as e:
            raise ModelError(f"OpenVINO cannot run '{model}' on {device}: {_reason(e)}") from e
        compiled = self._compiled[1]
        used = compiled.get_property('INFERENCE_PRECISION_HINT').get_type_name()
        self.device = device
        self.precision = 'int8' if self._quantised else _NAMES.get(used, used)
        self.shapes = [tuple(d.get_length() if d.is_static else -1 for d in i.partial_shape)
                       for i in compiled.inputs]
        self.outputs = [next(iter(sorted(o.get_names())), '') for o in compiled.outputs]
        if key and not copies:  # OpenVINO cannot copy a copy
            _loaded[key] = self

    def _copy(self, device: str, options: dict[str, Any]) -> dict[int, openvino.CompiledModel]:
        """Return copies by batch size, with other options; empty if OpenVINO cannot copy it."""
        try:
            return {batch: CORE.import_model(compiled.export_model(), device.upper(), options)
                    for batch, compiled in self._compiled.items()}
        except RuntimeError as e:  # not every device can, nor every release
            _log.info('a network is compiled again, since it cannot be copied: %s', _reason(e))
            return {}

    def _compile(
            self, model: Union[Path, 'Module'], device: str, precision: str,
            size: Union[int, tuple[int, int]], parameter: str, prepare: Optional[partial],
            batches: Sequence[int], options: dict[str, Any]) -> dict[int, openvino.CompiledModel]:
        """Return the compiled network by batch size.

        :raises ModelError: as the class.
        :raises RuntimeError: if OpenVINO cannot compile it.
        """
        try:
            graph = CORE.read_model(model) if isinstance(model, Path) else to_openvino(model, size)
            graph = prepare(graph) if prepare else graph
            try:
                graph.reshape(
                    {i: _sample_shape(list(i.partial_shape), size) for i in graph.inputs})
            except RuntimeError:
                # The input size is fixed: another size is reported as an error when it is run.
                graph.reshape({i: _sample_shape(list(i.partial_shape), 0) for i in graph.inputs})
        except RuntimeError as e:
            raise ModelError(
                f"{parameter} '{model}' is not a network that OpenVINO can read: {_reason(e)}"
            ) from e
        if problem := _graph_problem(graph):
            raise ModelError(f"{parameter} '{model}' is not a network that can be run here: "
                             f'{problem}')
        self._quantised = any(op.get_type_name() == 'FakeQuantize' for op in graph.get_ops())
        if precision == 'int8':
            if not self._quantised:
                raise ModelError(
                    "precision 'int8' needs quantised weights, and "
                    + (f"those of '{model}'" if isinstance(model, Path) else "a checkpoint's")
                    + ' are not: create them with gaze_ros models export --format openvino '
                    '--int8 CLIP')
        elif precision != 'auto':
            supported = CORE.get_property(device.upper(), 'OPTIMIZATION_CAPABILITIES')
            # For an unsupported precision OpenVINO silently uses another one.
            if precision.upper() not in supported:
                raise ModelError(
                    f"precision '{precision}' is not native to this {device}, which supports "
                    f'{", ".join(supported)}: set precision to auto or fp32')
        compiled = {1: CORE.compile_model(graph, device.upper(), options)}
        for batch in batches:
            graph.reshape({i: [batch, *list(i.partial_shape)[1:]] for i in graph.inputs})
            compiled[batch] = CORE.compile_model(graph, device.upper(), options)
        return compiled

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for one batch of each input."""
        count = len(inputs[0])
        if count in self._requests:
            return self._requests[count](inputs)
        outputs: list[np.ndarray] = []
        start = 0
        while start < count:
            size = max(size for size in self._requests if size <= count - start)
            part = self._requests[size]([x[start:start + size] for x in inputs])
            if not outputs:
                outputs = [np.empty((count, *o.shape[1:]), o.dtype) for o in part]
            for output, o in zip(outputs, part):
                output[start:start + size] = o
            start += size
        return outputs


class _Request:
    """An inference request for inputs that are often the same buffers.

    Their tensors are created once: ``infer`` with arrays takes 0.05 to 0.1 ms more per call, in
    which it holds the interpreter lock.
    """

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self.request = compiled.create_infer_request()
        self._types = [i.get_element_type().to_dtype() for i in compiled.inputs]
        #: Of each input: address and shape of the array that is set, and the array.
        self._set: list[tuple[tuple, Optional[np.ndarray]]] = [((), None)] * len(self._types)
        self._static = all(o.partial_shape.is_static for o in compiled.outputs)
        self._count = len(compiled.outputs)
        self._outputs: list[np.ndarray] = []

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs, valid until the next call."""
        for i, array in enumerate(inputs):
            # A tensor cannot share the memory of a read-only array, which is copied.
            array = np.require(array, self._types[i], 'CW')
            place = array.__array_interface__['data'][0], array.shape
            if self._set[i][0] != place:
                self.request.set_input_tensor(i, openvino.Tensor(array, shared_memory=True))
            # The array is kept: while it is, no other one has its address.
            self._set[i] = place, array
        self.request.infer()
        if not self._outputs or not self._static:
            self._outputs = [
                self.request.get_output_tensor(i).data for i in range(self._count)]
        return list(self._outputs)


#: The networks in use that were compiled, by :func:`_key`.
_loaded: WeakValueDictionary[Hashable, OpenVINONetwork] = WeakValueDictionary()


def _key(model: Union[Path, 'Module'], device: str, precision: str,
         size: Union[int, tuple[int, int]], prepare: Optional[partial], batches: Sequence[int]
         ) -> Hashable:
    """Return what makes two networks equal except their threads; None for a torch module.

    An equal network that is in use is copied, which takes 40 % of the time of compiling it: the
    models of images that are processed side by side are loaded while there is too much work.
    """
    if not isinstance(model, Path):
        return None
    # By their contents: a file may be replaced, and MediaPipe's are extracted anew each time.
    files = [blake2b(file.read_bytes()).digest() for file in (
        model, model.with_suffix('.bin')) if file.is_file()]
    changes = (prepare.func, *sorted(prepare.keywords.items())) if prepare else ()
    return *files, device, precision, size, changes, *batches


def _graph_problem(graph: openvino.Model) -> str:
    """Return why a network may take too much memory, never end or return nonsense; or ''.

    The outputs may hide weights that are NaN: OpenVINO's Relu turns NaN into 0.
    """
    for op in graph.get_ops():
        if (kind := op.get_type_name()) in _ENDLESS:
            return f'it holds a {kind}'
        for shape in (o.partial_shape for o in op.outputs()):
            if shape.is_static and math.prod(shape.get_shape()) > _MAX_VALUES:
                return f'its {kind} returns {shape.get_shape()} values'
        if kind == 'Constant' and op.get_element_type().get_type_name() in _FLOATS:
            # A single infinite value is allowed: it may be the limit of a range.
            if np.isnan(op.data).any() or op.data.size > 1 and np.isinf(op.data).any():
                return 'it holds weights that are not finite: is it damaged?'
    return ''


def _sample_shape(shape: list[openvino.Dimension], size: Union[int, tuple[int, int]]) -> list:
    """Return the shape of one sample, with its sides set if size is not 0."""
    sides = size if isinstance(size, tuple) else [size or side for side in shape[2:]]
    return [1, *shape[1:2], *sides]


def _reason(error: RuntimeError) -> str:
    """Return the last non-empty line: the first ones name OpenVINO's source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
