"""Fusing the weights of MobileOne as trained into those of :mod:`mobileone`.

A block as trained sums its branches: ``rbr_conv.N`` and the 1x1 ``rbr_scale``, each a convolution
without bias and a batch normalisation, and ``rbr_skip``, a batch normalisation of the input.
"""
from collections.abc import Iterable, Mapping

from gaze_ros.core.networks.mobileone import MobileOne
import torch
from torch import nn

#: BatchNorm2d's default, which upstream uses.
_EPS = 1e-5


def is_unfused(names: Iterable[str]) -> bool:
    """Return whether any tensor belongs to a branch."""
    return any('.rbr_' in name for name in names)


def unfused_shapes(net: MobileOne) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the unfused tensors that fuse into those of ``net``."""
    shapes = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()
              if '.reparam_conv.' not in key}
    for name, conv in net.named_modules():
        block, found, _ = name.partition('.reparam_conv')
        if not found:
            continue
        outputs, depth, side, _ = conv.weight.shape
        kernels = {f'{block}.rbr_conv.{i}': (outputs, depth, side, side)
                   for i in range(1 if block == 'stage0' else net.branches)}
        if side > 1:
            kernels[f'{block}.rbr_scale'] = (outputs, depth, 1, 1)
        norms = [f'{branch}.bn' for branch in kernels]
        if conv.stride == (1, 1) and conv.in_channels == outputs:
            norms.append(f'{block}.rbr_skip')
        shapes |= {f'{branch}.conv.weight': shape for branch, shape in kernels.items()}
        for norm in norms:
            shapes |= {f'{norm}.{name}': (outputs,) for name in (
                'weight', 'bias', 'running_mean', 'running_var')}
            shapes[f'{norm}.num_batches_tracked'] = ()
    return shapes


def reparameterise(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors with the branches of each block fused into one convolution.

    :param state: floating point tensors as in unfused_shapes; other tensors are kept.
    """
    fused = {key: tensor for key, tensor in state.items() if '.rbr_' not in key}
    sums: dict[str, torch.Tensor] = {}
    for key, variance in state.items():
        block, _, branch = key.partition('.rbr_')
        if not branch.endswith('.running_var'):
            continue
        norm = key.removesuffix('running_var')
        largest = state[f'{block}.rbr_conv.0.conv.weight']
        kernel = (_identity(largest) if branch.startswith('skip')
                  else state[norm.removesuffix('bn.') + 'conv.weight'])
        margin = (largest.shape[-1] - kernel.shape[-1]) // 2
        # In float64: in float32 the sums would add more rounding than the unfused network has.
        scale = state[f'{norm}weight'].double() / (variance.double() + _EPS).sqrt()
        kernel = nn.functional.pad(kernel.double(), [margin] * 4) * scale.view(-1, 1, 1, 1)
        bias = state[f'{norm}bias'].double() - state[f'{norm}running_mean'].double() * scale
        for name, term in ((f'{block}.reparam_conv.weight', kernel),
                           (f'{block}.reparam_conv.bias', bias)):
            sums[name] = sums[name] + term if name in sums else term
    return fused | {name: total.float() for name, total in sums.items()}


def _identity(like: torch.Tensor) -> torch.Tensor:
    """Return a kernel of the same shape that maps each channel to itself."""
    outputs, depth, side, _ = like.shape
    kernel = torch.zeros(like.shape)
    channels = torch.arange(outputs)
    kernel[channels, channels % depth, side // 2, side // 2] = 1
    return kernel
