"""Makes the references: logits of other libraries, and files that torch saved.

    python tests/references/make_references.py

Wants torchvision, timm and transformers; made with 0.28, 1.0.31 and 5.23.
"""

from collections.abc import Iterator
import json
import pathlib

import draw
import timm
import torch
import torchvision
import transformers

FOLDER = pathlib.Path(__file__).parent

TORCHVISION = (
  'vgg11',
  'vgg11_bn',
  'resnet18',
  'resnet50',
  'densenet121',
  'mobilenet_v2',
  'efficientnet_b0',
  'convnext_tiny',
)
TIMM = {  # where its names are not torchvision's
  'vgg11': 'vgg11',
  'mobilenet_v2': 'mobilenetv2_100',
  'efficientnet_b0': 'efficientnet_b0',
  'convnext_tiny': 'convnext_tiny',
}


def networks() -> Iterator[tuple[str, torch.nn.Module]]:
  """Yields each network and its name here, its values as they happen to be."""
  for name in TORCHVISION:
    network = torchvision.models.get_model(name, num_classes=draw.NUM_CLASSES)
    yield f'torchvision-{name}', network
  for name, theirs in TIMM.items():
    network = timm.create_model(theirs, num_classes=draw.NUM_CLASSES)
    yield f'timm-{name}', network
  basic = transformers.ResNetConfig(
    num_labels=draw.NUM_CLASSES,
    layer_type='basic',
    hidden_sizes=[64, 128, 256, 512],
    depths=[2, 2, 2, 2],
  )
  bottleneck = transformers.ResNetConfig(num_labels=draw.NUM_CLASSES)
  convnext = transformers.ConvNextConfig(num_labels=draw.NUM_CLASSES)
  for name, network in (
    ('resnet18', transformers.ResNetForImageClassification(basic)),
    ('resnet50', transformers.ResNetForImageClassification(bottleneck)),
    ('convnext_tiny', transformers.ConvNextForImageClassification(convnext)),
  ):
    yield f'transformers-{name}', network


def describe(network: torch.nn.Module) -> dict[str, object]:
  """Returns the shapes of the arrays by name, and the logits for our images."""
  shapes = {
    name: tuple(tensor.shape)
    for name, tensor in network.state_dict().items()
    if tensor.is_floating_point()
  }
  drawn = {
    name: torch.from_numpy(draw.draw(name, shape))
    for name, shape in shapes.items()
  }
  network.load_state_dict(drawn, strict=False)  # counters are not drawn
  images = torch.from_numpy(draw.draw_images()).permute(0, 3, 1, 2)
  with torch.no_grad():
    logits = network.eval()(images)
  logits = getattr(logits, 'logits', logits)  # transformers wraps them
  return {'shapes': shapes, 'logits': logits.tolist()}


def save_files() -> None:
  """Saves a state dict in both of torch's forms, and what is not one."""
  numbers = torch.arange(24, dtype=torch.float32).reshape(4, 6)
  state_dict = {
    'whole': numbers,
    'transposed': numbers.T,  # of the same storage, and so is the next
    'part': numbers[1:3, ::2],
    'parameter': torch.nn.Parameter(numbers[0] / 8),
    'half': numbers[0].half() / 8,
    'bfloat16': numbers[0].bfloat16() / 8,
    'double': numbers[0].double() / 8,
    'scalar': torch.tensor(0.5),
    'num_batches_tracked': torch.tensor(7),
  }
  torch.save(state_dict, FOLDER / 'archive.pth')
  training = {'epoch': 3, 'optimizer': {'m': numbers + 1}}
  torch.save(
    {**training, 'state_dict': state_dict},
    FOLDER / 'stream.pth',
    _use_new_zipfile_serialization=False,
  )
  torch.save(torch.nn.Linear(1, 1), FOLDER / 'module.pth')


if __name__ == '__main__':
  save_files()
  for name, network in networks():
    path = FOLDER / f'{name}.json'
    path.write_text(json.dumps(describe(network)) + '\n')
    print(path)
