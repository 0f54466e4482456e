"""Core ML on macOS, from an .mlpackage or from a torch module, which is converted.

Only the conversion has been tested: prediction needs macOS.
"""
from pathlib import Path
from typing import Any, TYPE_CHECKING, Union

import coremltools
from gaze_ros.core.errors import ModelError
from gaze_ros.core.runtimes.conversion import OUTPUTS, to_coreml
import numpy as np

if TYPE_CHECKING:
    from torch.nn import Module

_UNITS = {'cpu': 'CPU_ONLY', 'mps': 'CPU_AND_GPU', 'npu': 'CPU_AND_NE'}


class CoreMLNetwork:
    """A Core ML program with inputs and outputs as made by :func:`to_coreml`.

    :raises ModelError: if the file is not a Core ML program, or the precision is not supported.
    """

    runtime = 'coreml'

    def __init__(
            self, model: Union[Path, 'Module'], *, device: str, precision: str, size: int = 0,
            parameter: str = 'weight', **_: Any) -> None:
        if precision not in ('auto', 'fp16', 'fp32'):
            raise ModelError(f"precision '{precision}' is not one of Core ML's: fp16, fp32")
        self.device = device
        self.precision = 'fp16' if precision == 'auto' else precision
        units = coremltools.ComputeUnit[_UNITS[device]]
        if isinstance(model, Path):
            try:
                self._model = coremltools.models.MLModel(str(model), compute_units=units)
            except Exception as e:  # coremltools also raises bare Exceptions
                reason = ' '.join(str(e).split())[:300]
                raise ModelError(
                    f"{parameter} '{model}' is not a Core ML program: {reason}") from e
        else:
            self._model = to_coreml(model, size, self.precision, units)
        self._input = self._model.get_spec().description.input[0].name

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for one batch."""
        result = self._model.predict({self._input: inputs[0]})
        return [result[name] for name in OUTPUTS]
