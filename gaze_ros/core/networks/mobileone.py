"""MobileOne (Vasu et al., CVPR 2023) as it infers: every block fused into one convolution."""
from collections.abc import Sequence

import torch
from torch import nn

#: Depthwise-pointwise pairs in each stage.
_PAIRS = (2, 8, 10, 1)
#: Channels of stage 0 to 4 of MobileOne-S0.
_S0 = (48, 48, 128, 256, 1024)


class _Fused(nn.Module):
    """A convolution with bias, and ReLU; ``reparam_conv`` is the checkpoint's name for it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.reparam_conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu_(self.reparam_conv(x))


class MobileOne(nn.Module):
    """Fused backbone and the two heads.

    :param channels: of stage 0 to 4.
    :param bins: classes of each head.
    """

    def __init__(self, channels: Sequence[int], bins: int) -> None:
        super().__init__()
        self.stage0 = _Fused(3, channels[0], 3, 2, 1)
        inputs = channels[0]
        for stage, (pairs, outputs) in enumerate(zip(_PAIRS, channels[1:]), start=1):
            layers = []
            for i in range(pairs):
                layers.append(_Fused(inputs, inputs, 3, 1 if i else 2, inputs))
                layers.append(_Fused(inputs, outputs, 1, 1, 1))
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
    return MobileOne(_S0, bins)
