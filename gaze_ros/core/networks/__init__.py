"""The networks of MobileGaze and L2CS-Net in torch, written from their tensor names and shapes.

Each takes (N, 3, H, W) float32 RGB, normalised by ImageNet's mean and standard deviation, and
returns the logits (N, bins) of its ``fc_yaw`` and its ``fc_pitch`` head. Which of the two is
horizontal depends on the weights.
"""
from collections.abc import Callable

from gaze_ros.core.errors import ModelError
from gaze_ros.core.networks import mobileone, resnet
from gaze_ros.core.networks.mobilenetv2 import MobileNetV2
from torch import nn

#: Function that builds each network, untrained, for a number of bins.
ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {
    'resnet18': resnet.resnet18,
    'resnet34': resnet.resnet34,
    'resnet50': resnet.resnet50,
    'resnet101': resnet.resnet101,
    'resnet152': resnet.resnet152,
    'mobilenetv2': MobileNetV2,
    'mobileone_s0': mobileone.mobileone_s0,
    'mobileone_s1': mobileone.mobileone_s1,
    'mobileone_s2': mobileone.mobileone_s2,
    'mobileone_s3': mobileone.mobileone_s3,
    'mobileone_s4': mobileone.mobileone_s4,
}


def build(architecture: str, bins: int) -> nn.Module:
    """Return an untrained network with ``bins`` classes in each head.

    :raises ModelError: if the architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"architecture '{architecture}' is not one of: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture](bins)
