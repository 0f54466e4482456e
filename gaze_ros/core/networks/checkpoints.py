"""Loading checkpoints safely: no code in a file is run, and every tensor is checked."""
from collections.abc import Mapping
import io
from pathlib import Path
from pickle import UnpicklingError
import pickletools
from typing import BinaryIO, Optional
import zipfile

from gaze_ros.core.errors import ModelError
from gaze_ros.core.networks import ARCHITECTURES, build
from gaze_ros.core.networks.mobileone import MobileOne
from gaze_ros.core.networks.reparameterise import is_unfused, reparameterise, unfused_shapes
from gaze_ros.core.system.import_errors import pip_command
from gaze_ros.core.system.safe_files import weights_problem
import torch
from torch import nn

#: L2CS-Net's names of the heads, and a layer that it has but does not use.
_L2CS_HEADS = {'fc_yaw_gaze': 'fc_yaw', 'fc_pitch_gaze': 'fc_pitch'}
_L2CS_UNUSED = 'fc_finetune'
#: Training counter of a batch normalisation; some exports omit it.
_COUNTER = 'num_batches_tracked'
#: Maximum bins per head: a small file can declare any size by repeating one number.
_MAX_BINS = 3600
#: Maximum bytes of the pickle in a checkpoint, without tensor data; ResNet-152 has 0.1 MB.
_MAX_PICKLE = 8 << 20
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_Shapes = dict[str, tuple[int, ...]]


def read_state(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors of a file, on the CPU, and its metadata; no code in it is run.

    A ``.safetensors`` file is read as such; only this format has metadata. Any other file is read
    as saved by torch: a state dict, or a training checkpoint that holds one as
    ``model_state_dict`` or ``state_dict``. DataParallel's prefix ``module.`` is removed if all
    names have it.

    :raises ModelError: if the file is missing, damaged, needs code to load, holds anything but
        named dense tensors, or needs a package that is missing.
    """
    if problem := weights_problem(Path(path)):
        size = f' ({Path(path).stat().st_size} bytes)' if Path(path).is_file() else ''
        raise ModelError(f"weight '{path}' is not a checkpoint{size}: {problem}")
    metadata: dict[str, str] = {}
    if path.lower().endswith('.safetensors'):
        state, metadata = _read_safetensors(path)
    else:
        state = _read_pickle(path)
    if not isinstance(state, dict) or not state or not all(
            isinstance(key, str) and _is_dense(value) for key, value in state.items()):
        raise ModelError(f"weight '{path}' does not hold a dictionary of tensors")
    if all(key.startswith('module.') for key in state):
        state = {key.removeprefix('module.'): tensor for key, tensor in state.items()}
    return dict(state), metadata


def load_network(
        architecture: str, path: str,
        bins: Optional[int] = None) -> tuple[nn.Module, dict[str, str]]:
    """Return a network with the weights of a file, on the CPU in eval mode, and the metadata.

    L2CS-Net's names of the heads are accepted, and MobileOne as trained is fused.

    :param architecture: a name in ARCHITECTURES.
    :param path: a file that read_state can read.
    :param bins: required classes per head; None: taken from ``fc_yaw`` in the file.
    :raises ModelError: if read_state raises it, the architecture is unknown, a tensor is missing,
        unknown or of another shape, or a weight is not a finite floating point number.
    """
    state, metadata = read_state(path)
    state = _rename_l2cs(state)
    shapes = _shapes(state)
    width = next((shape[0] for key in ('fc_yaw.weight', 'fc_pitch.weight')
                  if len(shape := shapes.get(key, ())) == 2), bins or 1)
    if not 0 < width <= _MAX_BINS or bins not in (None, width):
        raise ModelError(f"weight '{path}' has {width} bins, not {bins or 'a few dozen'}")
    net = _empty(architecture, width)
    expected = _expected_shapes(net, shapes)
    differences = _differences(expected, shapes)
    if differences:
        fits = [name for name in ARCHITECTURES
                if not _differences(_expected_shapes(_empty(name, width), shapes), shapes)]
        raise ModelError(
            f"weight '{path}' does not fit model '{architecture}': it holds {len(shapes)} "
            f'tensors, {len(expected)} were expected; {", ".join(differences)}'
            + (f"; it fits '{fits[0]}'" if fits else ''))
    state = _finite(path, state)
    if is_unfused(state):
        # A negative variance is finite, but its root is not.
        state = _finite(path, reparameterise(state))
    counters = {key: torch.zeros(()) for key in net.state_dict() if key.endswith(_COUNTER)}
    net.to_empty(device='cpu')
    net.load_state_dict(counters | state)
    return net.eval(), metadata


def _read_safetensors(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with open(path, 'rb') as file:
        header = int.from_bytes(file.read(8), 'little')
    if header > _MAX_PICKLE and header <= Path(path).stat().st_size:
        raise ModelError(f"weight '{path}' is not a safetensors file of a gaze model: its header "
                         f'alone has {header} bytes; at most {_MAX_PICKLE} were expected')
    try:
        import safetensors
    except ImportError as e:
        raise ModelError(
            f"weight '{path}' needs safetensors ({e}): {pip_command('safetensors')}") from e
    try:
        with safetensors.safe_open(path, framework='pt', device='cpu') as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as e:
        raise ModelError(
            f"weight '{path}' is not a safetensors file "
            f'({Path(path).stat().st_size} bytes): {_reason(e)}') from e


def _read_pickle(path: str) -> object:
    if problem := _size_problem(path):
        raise ModelError(
            f"weight '{path}' is not a checkpoint that loads without running code "
            f'({Path(path).stat().st_size} bytes): {problem}')
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except UnpicklingError as e:
        # Not torch's own message: it recommends to load the file without the check.
        raise ModelError(
            f"weight '{path}' is not a checkpoint that loads without running code "
            f'({Path(path).stat().st_size} bytes): its pickle holds more than tensors') from e
    except Exception as e:  # a damaged pickle can raise anything
        raise ModelError(
            f"weight '{path}' is not a checkpoint that loads without running code "
            f'({Path(path).stat().st_size} bytes): {_reason(e)}') from e
    if isinstance(state, dict):
        state = state.get('model_state_dict', state.get('state_dict', state))
    return state


def _size_problem(path: str) -> str:
    """Return why a file would take far more memory than its size, or ''."""
    try:
        if not zipfile.is_zipfile(path):
            with open(path, 'rb') as file:
                # The format before torch 1.6: four pickles, followed by the tensor data.
                return next(
                    (problem for _ in range(4) if (problem := _pickle_problem(file))), '')
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(e.file_size for e in entries) > Path(path).stat().st_size or any(
                    e.compress_type != zipfile.ZIP_STORED for e in entries):
                return 'it is compressed, and torch does not compress checkpoints'
            for entry in entries:
                if entry.filename.endswith('data.pkl'):
                    if entry.file_size > _MAX_PICKLE:
                        return f'its pickle has {entry.file_size} bytes'
                    return _pickle_problem(io.BytesIO(archive.read(entry)))
    except Exception as e:  # a damaged archive can raise anything
        return _reason(e)
    return ''


def _pickle_problem(file: BinaryIO) -> str:
    start = file.tell()
    try:
        for code, argument, position in pickletools.genops(file):
            if code.name in ('GLOBAL', 'INST') and 'bytearray' in str(argument) or (
                    code.name in ('STACK_GLOBAL', 'EXT1', 'EXT2', 'EXT4')):
                return f'it requests {argument or code.name}, which torch does not save'
            if position - start > _MAX_PICKLE:
                return f'its pickle has more than {_MAX_PICKLE} bytes'
    except (ValueError, UnicodeDecodeError, OverflowError, MemoryError, EOFError):
        pass  # torch reports the error
    return ''


def _reason(error: Exception) -> str:
    return str(error).strip().partition('\n')[0] or type(error).__name__


def _is_dense(value: object) -> bool:
    return (isinstance(value, torch.Tensor) and value.layout is torch.strided
            and not value.is_nested and value.device.type == 'cpu')


def _rename_l2cs(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return L2CS-Net's tensors with the names used here; other tensors are unchanged."""
    layers = {key.rpartition('.')[0] for key in state}
    if not layers >= _L2CS_HEADS.keys() or layers & set(_L2CS_HEADS.values()):
        return state
    renamed = {}
    for key, tensor in state.items():
        layer, _, kind = key.rpartition('.')
        if layer != _L2CS_UNUSED:
            renamed[f'{_L2CS_HEADS[layer]}.{kind}' if layer in _L2CS_HEADS else key] = tensor
    return renamed


def _empty(architecture: str, bins: int) -> nn.Module:
    """Return the network without memory for its weights (meta device)."""
    with torch.device('meta'):
        return build(architecture, bins)


def _shapes(state: Mapping[str, torch.Tensor]) -> _Shapes:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _expected_shapes(net: nn.Module, shapes: _Shapes) -> _Shapes:
    """Return the names and shapes that ``net`` needs; unfused if those of the file are."""
    if isinstance(net, MobileOne) and is_unfused(shapes):
        return unfused_shapes(net)
    return _shapes(net.state_dict())


def _differences(expected: _Shapes, shapes: _Shapes) -> list[str]:
    """Return descriptions of the missing, unknown and misshapen tensors."""
    missing = sorted(k for k in expected.keys() - shapes.keys() if not k.endswith(_COUNTER))
    unknown = sorted(shapes.keys() - expected.keys())
    misshapen = sorted(k for k in expected.keys() & shapes.keys() if expected[k] != shapes[k])
    return [f'{len(keys)} {kind} (first: {keys[0]})' for keys, kind in (
        (missing, 'missing'), (unknown, 'unknown'), (misshapen, 'of another shape')) if keys]


def _finite(path: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights as float32; counters are unchanged.

    :raises ModelError: if a weight is not a floating point number, or not finite.
    """
    floats = {}
    for key, tensor in state.items():
        if key.endswith(_COUNTER):
            floats[key] = tensor
            continue
        if tensor.dtype not in _FLOATS:
            raise ModelError(
                f"weight '{path}' holds {key} as {tensor.dtype}: floating point was expected")
        floats[key] = tensor.detach().float()
        if not floats[key].isfinite().all():
            raise ModelError(f"weight '{path}' holds {key} with numbers that are not finite")
    return floats
