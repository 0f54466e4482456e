"""Convert checkpoints to files of other runtimes, and quantise them to int8."""
from collections.abc import Iterable
import os
from pathlib import Path
import shutil
import tempfile
from typing import TYPE_CHECKING, Union

from gaze_ros.core.errors import ModelError
from gaze_ros.core.estimators.binned_estimator import (
    DEVIATION,
    INPUT_SIZE,
    is_swapped,
    MEAN,
)
from gaze_ros.core.geometry.crops import InputBatch
from gaze_ros.core.model_zoo.manifest import Model
from gaze_ros.core.runtimes import CHECKPOINTS
from gaze_ros.core.runtimes.conversion import to_coreml, to_onnx, to_openvino
from gaze_ros.core.system.import_errors import pip_command
import numpy as np

if TYPE_CHECKING:
    import openvino
    from torch.nn import Module

#: File suffix of each export format.
FORMATS = {'onnx': '.onnx', 'openvino': '.xml', 'coreml': '.mlpackage',
           'safetensors': '.safetensors'}


def read(entry: Model, path: Path, head_order: str) -> Union['Module', Path]:
    """Return a checkpoint's network, ``fc_yaw`` made the horizontal head, or the ONNX file's path.

    :raises ModelError: if the file is neither, or does not fit the model.
    """
    if not path.is_file():
        raise ModelError(f"weight '{path}' is not a file")
    if path.suffix.lower() == '.onnx':
        if head_order == 'swapped':
            raise ModelError(
                f"weight '{path}' is ONNX, whose first output is taken as the horizontal one: "
                'set weight to the checkpoint, or leave head_order at auto')
        return path
    if path.suffix.lower() not in CHECKPOINTS:
        raise ModelError(
            f"weight '{path}' is neither a checkpoint ({', '.join(CHECKPOINTS)}) nor ONNX: only "
            'these can be exported')
    from gaze_ros.core.networks.checkpoints import load_network
    module, metadata = load_network(entry.architecture, str(path))
    if is_swapped(path, head_order, metadata):
        module.fc_yaw, module.fc_pitch = module.fc_pitch, module.fc_yaw
    return module


def export(model: Union['Module', Path], name: str, form: str, target: Path,
           precision: str = 'fp32') -> None:
    """Write a model that :func:`read` returned.

    The file is written completely or not at all. Its first output is the horizontal one; in a
    safetensors file it is the head ``fc_yaw``, as its metadata states.

    :param form: a key of :data:`FORMATS`.
    :param precision: precision of the weights: fp32, or fp16 for Core ML and OpenVINO.
    :raises ModelError: if a package is missing, an ONNX file cannot be converted to the format, or
        the target cannot be written.
    """
    if isinstance(model, Path) and form != 'openvino':
        raise ModelError(
            f"'{model}' is ONNX, which can only be converted to OpenVINO's format: set weight to "
            'the checkpoint')
    if form == 'onnx':
        _write(target, lambda path: path.write_bytes(to_onnx(model, INPUT_SIZE)))
    elif form == 'coreml':
        program = to_coreml(model, INPUT_SIZE, precision)
        _write(target, lambda path: program.save(str(path)))
    elif form == 'safetensors':
        from safetensors.torch import save_file
        metadata = {'architecture': name, 'head_order': 'as_named'}
        _write(target, lambda path: save_file(model.state_dict(), str(path), metadata))
    else:
        save_openvino(openvino_model(model), target, fp16=precision == 'fp16')


def openvino_model(model: Union['Module', Path]) -> 'openvino.Model':
    """Return the OpenVINO model of a module or an ONNX file.

    :raises ModelError: if openvino is missing or cannot read the file.
    """
    try:
        import openvino
    except ImportError as e:
        raise ModelError(
            f"OpenVINO's format needs the package openvino ({e}): "
            f"{pip_command('openvino')}") from e
    if not isinstance(model, Path):
        return to_openvino(model, INPUT_SIZE)
    try:
        return openvino.Core().read_model(model)
    except RuntimeError as e:
        reason = ' '.join(str(e).split())[-200:]
        raise ModelError(
            f"weight '{model}' is not a network that OpenVINO can read: {reason}") from e


def save_openvino(model: 'openvino.Model', target: Path, *, fp16: bool = False) -> None:
    """Write the target .xml and its .bin.

    :raises ModelError: if they cannot be written.
    """
    import openvino

    def write(path: Path) -> None:
        openvino.save_model(model, path, compress_to_fp16=fp16)
        # The .bin goes first: an .xml without its .bin cannot be loaded.
        os.replace(path.with_suffix('.bin'), target.with_suffix('.bin'))
    _write(target, write)


def quantised(model: 'openvino.Model', faces: Iterable[np.ndarray]) -> 'openvino.Model':
    """Return the model in int8, calibrated on faces by NNCF's post-training quantisation.

    :param faces: images (INPUT_SIZE, INPUT_SIZE, 3) uint8 BGR; about 300 are enough.
    :raises ModelError: if nncf is missing.
    """
    try:
        import nncf
    except ImportError as e:
        raise ModelError(
            f"int8 needs the package nncf ({e}): {pip_command('nncf')}") from e
    batch = InputBatch(MEAN, DEVIATION, rgb=True)
    faces = list(faces)
    return nncf.quantize(
        model, nncf.Dataset(faces, lambda face: batch.fill([face]).copy()),
        preset=nncf.QuantizationPreset.MIXED, subset_size=len(faces))


def _write(target: Path, write) -> None:
    """Call write(path) for a path in the target's folder, then rename the result to the target."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix='.export-') as folder:
            path = Path(folder, target.name)
            write(path)
            if target.is_dir() and (target / 'Manifest.json').is_file():
                shutil.rmtree(target)  # an earlier .mlpackage
            if path.is_file():
                path.chmod(0o644)  # not all writers respect the umask
            os.replace(path, target)
    except OSError as e:
        raise ModelError(f"'{target}' cannot be written: {e}") from e
