"""A small torchvision MobileNetV2 for the scripts beside it."""
import torch.nn as nn
from torchvision.models import MobileNetV2
from torchvision.ops import Conv2dNormActivation

from torch_golden import CLASSES


def mobilenet_v2(width_mult, last_channel):
    """torchvision's, without dropout, and with `last_channel` features, which torchvision has at least 1280 of."""
    net = MobileNetV2(num_classes=CLASSES, width_mult=width_mult, dropout=0.0)
    inputs = net.features[-1][0].in_channels
    net.features[-1] = Conv2dNormActivation(inputs, last_channel, kernel_size=1, activation_layer=nn.ReLU6)
    net.classifier[-1] = nn.Linear(last_channel, CLASSES)
    return net
