"""The networks that PyTorch runs: torchvision's structure in plain torch."""

from collections.abc import Callable, Sequence
import functools

import torch
from torch import nn


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
  return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def _imagenet_stem(channels: int, width: int) -> list[nn.Module]:
  """Returns the layers that divide each side by four."""
  return [
    _conv(channels, width, 7, stride=2),
    nn.BatchNorm2d(width),
    nn.ReLU(inplace=True),
    nn.MaxPool2d(3, stride=2, padding=1),
  ]


class ResidualBlock(nn.Module):
  """Convolutions beside a shortcut (He et al. 2015, arXiv:1512.03385)."""

  def __init__(
    self, inputs: int, layers: Sequence[tuple[int, int, int]]
  ) -> None:
    """Builds the branch, and a projection where its shape is another.

    Args:
      inputs: channels.
      layers: output channels, size and stride of each convolution.
    """
    super().__init__()
    branch, channels, stride = [], inputs, 1
    for outputs, size, step in layers:
      branch += [
        _conv(channels, outputs, size, step),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
      ]
      channels, stride = outputs, stride * step
    self.branch = nn.Sequential(*branch[:-1])
    self.shortcut = nn.Identity()
    if stride > 1 or channels != inputs:
      self.shortcut = nn.Sequential(
        _conv(inputs, channels, 1, stride), nn.BatchNorm2d(channels)
      )
    self.relu = nn.ReLU(inplace=True)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps `[batch, channels, height, width]` to the block's channels."""
    return self.relu(self.branch(x) + self.shortcut(x))


def _basic(inputs: int, width: int, stride: int) -> ResidualBlock:
  return ResidualBlock(inputs, [(width, 3, stride), (width, 3, 1)])


def _bottleneck(inputs: int, width: int, stride: int) -> ResidualBlock:
  return ResidualBlock(
    inputs, [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
  )


def resnet(
  num_classes: int,
  channels: int,
  stage_sizes: Sequence[int],
  block: Callable[[int, int, int], ResidualBlock],
  expansion: int,
) -> nn.Sequential:
  """Returns the residual network of torchvision.

  Args:
    num_classes: how many logits.
    channels: of the images.
    stage_sizes: blocks of each stage; all but the first halve the resolution.
    block: makes one of input channels, width and stride.
    expansion: its output channels over its width.
  """
  layers, inputs = _imagenet_stem(channels, 64), 64
  for i, size in enumerate(stage_sizes):
    width = 64 * 2**i
    for j in range(size):
      layers.append(block(inputs, width, 2 if i > 0 and j == 0 else 1))
      inputs = expansion * width
  return nn.Sequential(*layers, *_head(inputs, num_classes))


class DenseLayer(nn.Module):
  """Adds `growth` channels (Huang et al. 2016, arXiv:1608.06993)."""

  def __init__(self, inputs: int, growth: int) -> None:
    super().__init__()
    self.branch = nn.Sequential(
      nn.BatchNorm2d(inputs),
      nn.ReLU(inplace=True),
      _conv(inputs, 4 * growth, 1),
      nn.BatchNorm2d(4 * growth),
      nn.ReLU(inplace=True),
      _conv(4 * growth, growth, 3),
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps `[batch, channels, height, width]` to `channels + growth`."""
    return torch.cat([x, self.branch(x)], 1)


def densenet(
  num_classes: int,
  channels: int,
  block_sizes: Sequence[int],
  growth: int = 32,
) -> nn.Sequential:
  """Returns the densely connected network of torchvision."""
  width = 2 * growth
  layers = _imagenet_stem(channels, width)
  for i, size in enumerate(block_sizes):
    if i > 0:
      layers += [
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv(width, width // 2, 1),
        nn.AvgPool2d(2),
      ]
      width //= 2
    layers += [DenseLayer(width + j * growth, growth) for j in range(size)]
    width += size * growth
  layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
  return nn.Sequential(*layers, *_head(width, num_classes))


def simple_cnn(num_classes: int, channels: int) -> nn.Sequential:
  """Returns ferjax's `simple_cnn` for images of 48x48."""
  layers = []
  for width in (32, 64, 128):
    layers += [
      _conv(channels, width, 3),
      nn.BatchNorm2d(width),
      nn.ReLU(inplace=True),
      nn.MaxPool2d(2),
    ]
    channels = width
  return nn.Sequential(
    *layers,
    nn.Flatten(),
    nn.Linear(6 * 6 * channels, 256),
    nn.ReLU(inplace=True),
    nn.Dropout(0.5),
    nn.Linear(256, num_classes),
  )


def _head(features: int, num_classes: int) -> list[nn.Module]:
  return [
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(features, num_classes),
  ]


# Each takes `num_classes` and `channels`.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
  'simple_cnn': simple_cnn,
  'resnet18': functools.partial(
    resnet, stage_sizes=(2, 2, 2, 2), block=_basic, expansion=1
  ),
  'resnet50': functools.partial(
    resnet, stage_sizes=(3, 4, 6, 3), block=_bottleneck, expansion=4
  ),
  'densenet121': functools.partial(densenet, block_sizes=(6, 12, 24, 16)),
}


def num_parameters(network: nn.Module) -> int:
  """Returns how many numbers are trained."""
  return sum(p.numel() for p in network.parameters())
