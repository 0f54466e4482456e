"""MobileNetV2 (Sandler et al., CVPR 2018) with two heads; tensor names as in torchvision."""
import torch
from torch import nn

#: Output channels of the first and the last convolution.
_FIRST, _LAST = 32, 1280
#: Groups of blocks: expansion, output channels, number of blocks, stride of the first.
_GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
           (6, 160, 3, 2), (6, 320, 1, 1))


def _conv_norm_relu(
        inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        # Upstream's eps: with torchvision's 1e-5 the weights load, but the outputs differ.
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
        nn.ReLU6(inplace=True))


class _InvertedResidual(nn.Module):
    """1x1 to ``expansion`` times the channels (none if 1), depthwise 3x3, linear 1x1."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        layers = [_conv_norm_relu(inputs, width, 1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *layers,
            _conv_norm_relu(width, width, 3, stride, width),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)


class MobileNetV2(nn.Module):
    """Backbone and two heads.

    :param bins: classes per head.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        layers = [_conv_norm_relu(3, _FIRST, 3, 2)]
        channels = _FIRST
        for expansion, outputs, count, stride in _GROUPS:
            for i in range(count):
                layers.append(
                    _InvertedResidual(channels, outputs, 1 if i else stride, expansion))
                channels = outputs
        self.features = nn.Sequential(*layers, _conv_norm_relu(channels, _LAST, 1))
        self.fc_yaw = nn.Linear(_LAST, bins)
        self.fc_pitch = nn.Linear(_LAST, bins)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.features(x).mean(dim=(2, 3))
        return self.fc_yaw(x), self.fc_pitch(x)
