"""ResNet (He et al., CVPR 2016) with two heads; tensor names and shapes as in torchvision."""
from collections.abc import Sequence

import torch
from torch import nn


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(outputs)


class _Block(nn.Module):
    """A residual block; its output has ``expansion`` times ``width`` channels."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.add_convolutions(inputs, width, stride)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        outputs = width * self.expansion
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(*_conv_norm(inputs, outputs, 1, stride))


class BasicBlock(_Block):
    """Two 3x3 convolutions, as in ResNet-18 and -34."""

    def add_convolutions(self, inputs: int, width: int, stride: int) -> None:
        self.conv1, self.bn1 = _conv_norm(inputs, width, 3, stride)
        self.conv2, self.bn2 = _conv_norm(width, width, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + skip)


class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions, as in ResNet-50 and deeper; the 3x3 has the stride."""

    expansion = 4

    def add_convolutions(self, inputs: int, width: int, stride: int) -> None:
        self.conv1, self.bn1 = _conv_norm(inputs, width, 1, 1)
        self.conv2, self.bn2 = _conv_norm(width, width, 3, stride)
        self.conv3, self.bn3 = _conv_norm(width, width * self.expansion, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + skip)


class ResNet(nn.Module):
    """Backbone and two heads.

    :param block: BasicBlock or Bottleneck.
    :param blocks: number of blocks in each of the four stages.
    :param bins: classes per head.
    """

    def __init__(self, block: type, blocks: Sequence[int], bins: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_norm(3, 64, 7, 2)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, count in enumerate(blocks):
            width = 64 << stage
            layers = []
            for i in range(count):
                layers.append(block(channels, width, 2 if stage and not i else 1))
                channels = width * block.expansion
            setattr(self, f'layer{stage + 1}', nn.Sequential(*layers))
        self.fc_yaw = nn.Linear(channels, bins)
        self.fc_pitch = nn.Linear(channels, bins)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))
        return self.fc_yaw(x), self.fc_pitch(x)


def resnet18(bins: int) -> ResNet:
    """Return an untrained ResNet-18."""
    return ResNet(BasicBlock, (2, 2, 2, 2), bins)


def resnet34(bins: int) -> ResNet:
    """Return an untrained ResNet-34."""
    return ResNet(BasicBlock, (3, 4, 6, 3), bins)


def resnet50(bins: int) -> ResNet:
    """Return an untrained ResNet-50."""
    return ResNet(Bottleneck, (3, 4, 6, 3), bins)


def resnet101(bins: int) -> ResNet:
    """Return an untrained ResNet-101."""
    return ResNet(Bottleneck, (3, 4, 23, 3), bins)


def resnet152(bins: int) -> ResNet:
    """Return an untrained ResNet-152."""
    return ResNet(Bottleneck, (3, 8, 36, 3), bins)
