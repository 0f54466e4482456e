"""Converting the torch module of a gaze network to ONNX, OpenVINO or Core ML.

The network takes (N, 3, size, size) float32 and returns two (N, bins) float32 outputs, named
``yaw`` and ``pitch`` in the order in which the module returns them.
"""
import io
import logging
from typing import TYPE_CHECKING
import warnings

from gaze_ros.core.errors import ModelError
from gaze_ros.core.system.import_errors import pip_command

if TYPE_CHECKING:
    import coremltools
    import openvino
    from torch.nn import Module

OUTPUTS = ('yaw', 'pitch')

#: Largest batch of a Core ML program: its ranges need an upper limit.
COREML_BATCH = 16


def to_openvino(module: 'Module', size: int) -> 'openvino.Model':
    """Return an OpenVINO model for any batch size."""
    import openvino
    import torch
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = openvino.convert_model(
            module, example_input=torch.zeros(1, 3, size, size), input=[-1, 3, size, size])
    model.inputs[0].get_tensor().set_names({'input'})
    for output, name in zip(model.outputs, OUTPUTS):
        output.get_tensor().set_names({name})
    return model


def to_onnx(module: 'Module', size: int) -> bytes:
    """Return an ONNX file for any batch size.

    :raises ModelError: if the package onnx is missing.
    """
    import torch
    try:
        import onnx  # noqa: F401, torch's exporter needs it
    except ImportError as e:
        raise ModelError(
            'converting a checkpoint to ONNX needs the package onnx: '
            f"{pip_command('onnx')}") from e
    file = io.BytesIO()
    with warnings.catch_warnings():
        # dynamo=False: its successor needs a compiler of some 30 MB for the same graph.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            module, (torch.zeros(1, 3, size, size),), file, input_names=['input'],
            output_names=list(OUTPUTS), dynamo=False,
            dynamic_axes={name: {0: 'batch'} for name in ('input', *OUTPUTS)})
    return file.getvalue()


def to_coreml(
        module: 'Module', size: int, precision: str = 'fp16',
        compute_units: 'coremltools.ComputeUnit' = None) -> 'coremltools.models.MLModel':
    """Return a Core ML program for macOS 13, iOS 16 and later; works on any platform.

    :param precision: fp16 or fp32.
    :raises ModelError: if the package coremltools is missing.
    """
    import torch
    logging.getLogger('coremltools').setLevel(logging.ERROR)
    try:
        import coremltools as ct
    except ImportError as e:
        raise ModelError(
            f"Core ML needs the package coremltools: {pip_command('coremltools')}") from e
    shape = ct.Shape((ct.RangeDim(1, COREML_BATCH, default=1), 3, size, size))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return ct.convert(
            torch.jit.trace(module, torch.zeros(1, 3, size, size)),
            inputs=[ct.TensorType(name='input', shape=shape)],
            outputs=[ct.TensorType(name=name) for name in OUTPUTS],
            minimum_deployment_target=ct.target.macOS13,
            compute_precision=ct.precision[precision.replace('fp', 'FLOAT')],
            compute_units=compute_units or ct.ComputeUnit.ALL)
