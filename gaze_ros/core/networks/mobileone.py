"""MobileOne (Vasu et al., CVPR 2023) for inference: every block is fused into one convolution."""
from collections.abc import Sequence

import torch
from torch import nn

#: Depthwise-pointwise pairs in stages 1 to 4, and the channels that the widths multiply.
_PAIRS = (2, 8, 10, 1)
_BASE = (64, 128, 256, 512)
#: Number of pairs with squeeze-excite at the end of each stage, if the network has it.
_SQUEEZED = (0, 0, 5, 1)


class _SqueezeExcite(nn.Module):
    """Scales each channel by a factor computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 16, 1)
        self.expand = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(torch.relu_(self.reduce(mean))))


class _Fused(nn.Module):
    """A convolution with bias, optional squeeze-excite, and ReLU.

    ``reparam_conv`` is the checkpoint's name for the convolution.
    """

    def __init__(
            self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1,
            squeeze: bool = False) -> None:
        super().__init__()
        self.reparam_conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        self.se = _SqueezeExcite(outputs) if squeeze else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu_(self.se(self.reparam_conv(x)))


class MobileOne(nn.Module):
    """Fused backbone and two heads.

    :param widths: of stages 1 to 4, as multiples of 64, 128, 256 and 512 channels.
    :param bins: classes per head.
    :param branches: parallel convolutions in each block of the unfused form, except in stage 0.
    :param squeeze: whether the last blocks have squeeze-excite.
    """

    def __init__(
            self, widths: Sequence[float], bins: int, *, branches: int = 1,
            squeeze: bool = False) -> None:
        super().__init__()
        self.branches = branches
        channels = [int(base * width) for base, width in zip(_BASE, widths)]
        inputs = min(64, channels[0])
        self.stage0 = _Fused(3, inputs, 3, stride=2)
        for stage, (pairs, squeezed, outputs) in enumerate(
                zip(_PAIRS, _SQUEEZED, channels), start=1):
            layers = []
            for i in range(pairs):
                se = squeeze and i >= pairs - squeezed
                layers.append(_Fused(
                    inputs, inputs, 3, stride=1 if i else 2, groups=inputs, squeeze=se))
                layers.append(_Fused(inputs, outputs, 1, squeeze=se))
                inputs = outputs
            setattr(self, f'stage{stage}', nn.Sequential(*layers))
        self.fc_yaw = nn.Linear(inputs, bins)
        self.fc_pitch = nn.Linear(inputs, bins)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stage3(self.stage2(self.stage1(self.stage0(x))))
        x = self.stage4(x).mean(dim=(2, 3))
        return self.fc_yaw(x), self.fc_pitch(x)


def mobileone_s0(bins: int) -> MobileOne:
    """Return an untrained, fused MobileOne-S0."""
    return MobileOne((0.75, 1, 1, 2), bins, branches=4)


def mobileone_s1(bins: int) -> MobileOne:
    """Return an untrained, fused MobileOne-S1."""
    return MobileOne((1.5, 1.5, 2, 2.5), bins)


def mobileone_s2(bins: int) -> MobileOne:
    """Return an untrained, fused MobileOne-S2."""
    return MobileOne((1.5, 2, 2.5, 4), bins)


def mobileone_s3(bins: int) -> MobileOne:
    """Return an untrained, fused MobileOne-S3."""
    return MobileOne((2, 2.5, 3, 4), bins)


def mobileone_s4(bins: int) -> MobileOne:
    """Return an untrained, fused MobileOne-S4."""
    return MobileOne((3, 3.5, 3.5, 4), bins, squeeze=True)
