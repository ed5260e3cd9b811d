"""A small timm ResNet for the scripts beside it."""
from timm.models import resnet as timm_resnet
import torch.nn as nn


def resnet(block, layers, channels, stem, classes):
    """timm's ResNet with a stem of `stem` channels; timm itself fixes that of a plain stem at 64."""
    net = timm_resnet.ResNet(block, layers, num_classes=classes, channels=channels)
    net.conv1 = nn.Conv2d(3, stem, kernel_size=7, stride=2, padding=3, bias=False)
    net.bn1 = nn.BatchNorm2d(stem)
    blocks = [block] * len(layers)
    stages, _ = timm_resnet.make_blocks(
        blocks, channels, layers, stem, cardinality=1, base_width=64, act_layer=nn.ReLU, norm_layer=nn.BatchNorm2d,
        aa_layer=None,
    )
    for name, stage in stages:
        setattr(net, name, stage)
    return net
