"""Files of weights: read without running anything in them, checked whole, and loaded."""
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
from gaze_ros.core.system.safe_files import weights_problem
import torch
from torch import nn

#: L2CS-Net's names of the heads, and the layer that it has but does not use.
_L2CS_HEADS = {'fc_yaw_gaze': 'fc_yaw', 'fc_pitch_gaze': 'fc_pitch'}
_L2CS_UNUSED = 'fc_finetune'
#: What a batch normalisation counts in training; some exports leave it out.
_COUNTER = 'num_batches_tracked'
#: A head may claim any width without being as large: a file can repeat one number.
_MOST_BINS = 3600
#: Bytes of the pickle in a checkpoint, without its numbers: of ResNet-152 it has 0.1 MB.
_MOST_PICKLE = 8 << 20
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_Shapes = dict[str, tuple[int, ...]]


def read_state(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors of a file, on the CPU, and its metadata; nothing in it is run.

    ``.safetensors`` is read as such, and only it has metadata; any other file as torch saves:
    bare tensors or a training checkpoint of which they are ``model_state_dict`` or
    ``state_dict``. Where every name begins with DataParallel's ``module.`` that is dropped.

    :raises ModelError: if the file is missing, damaged, needs code to load, holds anything but
        named dense tensors, or needs a package that is missing.
    """
    if why := weights_problem(Path(path)):
        size = f' ({Path(path).stat().st_size} bytes)' if Path(path).is_file() else ''
        raise ModelError(f"weight '{path}' is no checkpoint{size}: {why}")
    metadata: dict[str, str] = {}
    if path.lower().endswith('.safetensors'):
        state, metadata = _read_safetensors(path)
    else:
        state = _read_pickle(path)
    if not isinstance(state, dict) or not state or not all(
            isinstance(key, str) and _is_dense(value) for key, value in state.items()):
        raise ModelError(f"weight '{path}' holds no dictionary of tensors")
    if all(key.startswith('module.') for key in state):
        state = {key.removeprefix('module.'): tensor for key, tensor in state.items()}
    return dict(state), metadata


def load_network(
        architecture: str, path: str,
        bins: Optional[int] = None) -> tuple[nn.Module, dict[str, str]]:
    """Return the network with a file's weights, on the CPU, ready to infer, and the metadata.

    L2CS-Net's names of the heads are known, and MobileOne as trained is fused.

    :param architecture: a name in ARCHITECTURES.
    :param path: a file as read_state reads it.
    :param bins: classes that each head must have; None: as many as ``fc_yaw`` has in the file.
    :raises ModelError: if read_state raises it, there is no such architecture, one tensor is
        missing, over or of another shape, or a weight is no finite floating point number.
    """
    state, metadata = read_state(path)
    state = _rename_l2cs(state)
    held = _shapes(state)
    width = next((shape[0] for key in ('fc_yaw.weight', 'fc_pitch.weight')
                  if len(shape := held.get(key, ())) == 2), bins or 1)
    if not 0 < width <= _MOST_BINS or bins not in (None, width):
        raise ModelError(f"weight '{path}' has {width} bins, not {bins or 'a few dozen'}")
    net = _empty(architecture, width)
    wanted = _wanted(net, held)
    differences = _differences(wanted, held)
    if differences:
        fits = [name for name in ARCHITECTURES
                if not _differences(_wanted(_empty(name, width), held), held)]
        raise ModelError(
            f"weight '{path}' does not fit model '{architecture}': it holds {len(held)} tensors, "
            f'{len(wanted)} were expected; {", ".join(differences)}'
            + (f"; it fits '{fits[0]}'" if fits else ''))
    state = _finite(path, state)
    if is_unfused(state):
        # A negative variance is finite and its root is not.
        state = _finite(path, reparameterise(state))
    counters = {key: torch.zeros(()) for key in net.state_dict() if key.endswith(_COUNTER)}
    net.to_empty(device='cpu')
    net.load_state_dict(counters | state)
    return net.eval(), metadata


def _read_safetensors(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with open(path, 'rb') as file:
        head = int.from_bytes(file.read(8), 'little')
    if head > _MOST_PICKLE and head <= Path(path).stat().st_size:
        raise ModelError(f"weight '{path}' is no safetensors file of ours: its header alone has "
                         f'{head} bytes, at most {_MOST_PICKLE} were expected')
    try:
        import safetensors
    except ImportError as e:
        raise ModelError(
            f"weight '{path}' needs safetensors ({e}): pip install 'gaze_ros[torch]'") from e
    try:
        with safetensors.safe_open(path, framework='pt', device='cpu') as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as e:
        raise ModelError(
            f"weight '{path}' is no safetensors file "
            f'({Path(path).stat().st_size} bytes): {_reason(e)}') from e


def _read_pickle(path: str) -> object:
    if why := _bomb(path):
        raise ModelError(
            f"weight '{path}' is no checkpoint that loads without running code "
            f'({Path(path).stat().st_size} bytes): {why}')
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except UnpicklingError as e:
        # Torch's own words recommend to load it with the check switched off.
        raise ModelError(
            f"weight '{path}' is no checkpoint that loads without running code "
            f'({Path(path).stat().st_size} bytes): it is no pickle of tensors alone') from e
    except Exception as e:  # a damaged pickle raises whatever it happens to
        raise ModelError(
            f"weight '{path}' is no checkpoint that loads without running code "
            f'({Path(path).stat().st_size} bytes): {_reason(e)}') from e
    if isinstance(state, dict):
        state = state.get('model_state_dict', state.get('state_dict', state))
    return state


def _bomb(path: str) -> str:
    """Return why a file would take far more memory than it has bytes, or ''."""
    try:
        if not zipfile.is_zipfile(path):
            with open(path, 'rb') as file:
                # As torch saved before 1.6: four pickles, and numbers behind them.
                return next((why for _ in range(4) if (why := _bomb_in_pickle(file))), '')
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(e.file_size for e in entries) > Path(path).stat().st_size or any(
                    e.compress_type != zipfile.ZIP_STORED for e in entries):
                return 'it is packed, and torch packs nothing'
            for entry in entries:
                if entry.filename.endswith('data.pkl'):
                    if entry.file_size > _MOST_PICKLE:
                        return f'its pickle has {entry.file_size} bytes'
                    return _bomb_in_pickle(io.BytesIO(archive.read(entry)))
    except Exception as e:  # a damaged archive raises whatever it happens to
        return _reason(e)
    return ''


def _bomb_in_pickle(file: BinaryIO) -> str:
    start = file.tell()
    try:
        for code, argument, at in pickletools.genops(file):
            if code.name in ('GLOBAL', 'INST') and 'bytearray' in str(argument) or (
                    code.name in ('STACK_GLOBAL', 'EXT1', 'EXT2', 'EXT4')):
                return f'it asks for {argument or code.name}, which torch does not save'
            if at - start > _MOST_PICKLE:
                return f'its pickle has more than {_MOST_PICKLE} bytes'
    except (ValueError, UnicodeDecodeError, OverflowError, MemoryError, EOFError):
        pass  # torch says what is wrong with it
    return ''


def _reason(error: Exception) -> str:
    return str(error).strip().partition('\n')[0] or type(error).__name__


def _is_dense(value: object) -> bool:
    return (isinstance(value, torch.Tensor) and value.layout is torch.strided
            and not value.is_nested and value.device.type == 'cpu')


def _rename_l2cs(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return L2CS-Net's tensors under the names of ours, others as they are."""
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
    """Return the network without memory for its weights."""
    with torch.device('meta'):
        return build(architecture, bins)


def _shapes(state: Mapping[str, torch.Tensor]) -> _Shapes:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _wanted(net: nn.Module, held: _Shapes) -> _Shapes:
    """Return the names and shapes that ``net`` needs, unfused where the held ones are."""
    if isinstance(net, MobileOne) and is_unfused(held):
        return unfused_shapes(net)
    return _shapes(net.state_dict())


def _differences(wanted: _Shapes, held: _Shapes) -> list[str]:
    """Return what is missing, over or of another shape, in words."""
    missing = sorted(k for k in wanted.keys() - held.keys() if not k.endswith(_COUNTER))
    extra = sorted(held.keys() - wanted.keys())
    other = sorted(k for k in wanted.keys() & held.keys() if wanted[k] != held[k])
    return [f'{len(keys)} {what} (first: {keys[0]})' for keys, what in (
        (missing, 'missing'), (extra, 'not known to it'), (other, 'of another shape')) if keys]


def _finite(path: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights as float32, counters as they are.

    :raises ModelError: if one is no floating point number, or not finite.
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
