"""What the published forms of each network call the modules that we have.

Each function yields one row per module: our path, then the names in the
libraries. Read from the state dicts of torchvision 0.28, timm 1.0.31 and
transformers 5.23. MobileNetV2 and EfficientNet of transformers are missing:
they pad as TensorFlow does and so are other functions of the same numbers.
So are timm's `tf_` networks, whose names cannot be told from the others;
`names.refuse_tensorflow` goes by what the file is called.
"""

from collections.abc import Callable, Iterator, Mapping
import functools

from ferjax.models import (
  convnext,
  densenet,
  efficientnet,
  initial,
  mobilenet,
  resnet,
  vgg,
)

Rows = Iterator[tuple[str, ...]]


def _vgg(build: functools.partial) -> Rows:
  """Yields ours, torchvision, timm."""
  has_norm = build.keywords.get('batch_norm', False)
  number, place = 0, 0
  for widths in build.keywords['stages']:
    for _ in widths:
      number += 1
      yield f'conv{number}', *2 * (f'features.{place}',)
      if has_norm:
        place += 1
        yield f'norm{number}', *2 * (f'features.{place}',)
      place += 2  # the ReLU has a place too
    place += 1  # and so has the pooling
  yield 'hidden1', 'classifier.0', 'pre_logits.fc1'
  yield 'hidden2', 'classifier.3', 'pre_logits.fc2'
  yield 'classifier', 'classifier.6', 'head.fc'


def _resnet(build: functools.partial) -> Rows:
  """Yields ours, torchvision and timm, transformers."""
  num_convs = 2 if build.keywords['block'] is resnet.BasicBlock else 3
  yield 'stem_conv', 'conv1', 'embedder.embedder.convolution'
  yield 'stem_norm', 'bn1', 'embedder.embedder.normalization'
  for i, size in enumerate(build.keywords['stage_sizes']):
    for j in range(size):
      ours = f'stage{i + 1}_block{j + 1}'
      torch = f'layer{i + 1}.{j}'
      hugging = f'encoder.stages.{i}.layers.{j}'
      for n in range(1, num_convs + 1):
        norm = initial.LAST_NORM if n == num_convs else f'norm{n}'
        place = f'{hugging}.layer.{n - 1}'
        yield f'{ours}/conv{n}', f'{torch}.conv{n}', f'{place}.convolution'
        yield f'{ours}/{norm}', f'{torch}.bn{n}', f'{place}.normalization'
      if j == 0 and (i > 0 or num_convs == 3):
        place = f'{hugging}.shortcut'
        yield (
          f'{ours}/shortcut_conv',
          f'{torch}.downsample.0',
          f'{place}.convolution',
        )
        yield (
          f'{ours}/shortcut_norm',
          f'{torch}.downsample.1',
          f'{place}.normalization',
        )
  yield 'classifier', 'fc', 'classifier.1'


def _densenet(build: functools.partial) -> Rows:
  """Yields ours, torchvision and timm, torchvision's files of 2017."""
  yield 'stem_conv', *2 * ('features.conv0',)
  yield 'stem_norm', *2 * ('features.norm0',)
  for i, size in enumerate(build.keywords['block_sizes'], start=1):
    if i > 1:
      for kind in 'norm', 'conv':
        name = f'features.transition{i - 1}.{kind}'
        yield f'transition{i - 1}_{kind}', name, name
    for j in range(1, size + 1):
      theirs = f'features.denseblock{i}.denselayer{j}'
      for kind in 'norm', 'conv':
        for n in 1, 2:
          ours = f'block{i}_layer{j}/{kind}{n}'
          yield ours, f'{theirs}.{kind}{n}', f'{theirs}.{kind}.{n}'
  yield 'norm', *2 * ('features.norm5',)
  yield 'classifier', *2 * ('classifier',)


def _mobilenet(build: functools.partial) -> Rows:
  """Yields ours, torchvision, timm; of EfficientNet too."""
  squeezes = build.keywords.get('squeeze_excitation', False)
  yield 'stem_conv', 'features.0.0', 'conv_stem'
  yield 'stem_norm', 'features.0.1', 'bn1'
  number, stages = 0, build.keywords['stages']
  for i, stage in enumerate(stages):
    for j in range(stage.depth):
      number += 1
      theirs = f'features.{number}.conv'
      if squeezes:
        theirs = f'features.{i + 1}.{j}.block'
      for ours, torch, timm in _inverted_residual(
        stage.expansion > 1, squeezes
      ):
        yield (
          f'block{number}/{ours}',
          f'{theirs}.{torch}',
          f'blocks.{i}.{j}.{timm}',
        )
  head = f'features.{(len(stages) if squeezes else number) + 1}'
  yield 'head_conv', f'{head}.0', 'conv_head'
  yield 'head_norm', f'{head}.1', 'bn2'
  yield 'classifier', 'classifier.1', 'classifier'


def _inverted_residual(widens: bool, squeezes: bool) -> Rows:
  """Yields the modules of one block: ours, torchvision, timm."""
  n = 0  # of torchvision
  if widens:
    yield 'expand_conv', '0.0', 'conv_pw'
    yield 'expand_norm', '0.1', 'bn1'
    n = 1
  yield 'depthwise_conv', f'{n}.0', 'conv_dw'
  yield 'depthwise_norm', f'{n}.1', f'bn{n + 1}'
  if squeezes:
    yield 'squeeze/reduce', f'{n + 1}.fc1', 'se.conv_reduce'
    yield 'squeeze/expand', f'{n + 1}.fc2', 'se.conv_expand'
  conv, norm = f'{n + 1}', f'{n + 2}'
  if squeezes:
    conv, norm = f'{n + 2}.0', f'{n + 2}.1'
  yield 'project_conv', conv, 'conv_pwl' if widens else 'conv_pw'
  # Ours is called by whether it ends a residual branch.
  for ours in 'project_norm', initial.LAST_NORM:
    yield ours, norm, f'bn{n + 2}'


def _convnext(build: functools.partial) -> Rows:
  """Yields ours, torchvision, timm, transformers."""
  yield 'stem_conv', 'features.0.0', 'stem.0', 'embeddings.patch_embeddings'
  yield 'stem_norm', 'features.0.1', 'stem.1', 'embeddings.layernorm'
  for i, depth in enumerate(build.keywords['depths']):
    hugging = f'encoder.stages.{i}'
    if i > 0:
      for n, kind in enumerate(('norm', 'conv')):
        yield (
          f'downsample{i}_{kind}',
          f'features.{2 * i}.{n}',
          f'stages.{i}.downsample.{n}',
          f'{hugging}.downsampling_layer.{n}',
        )
    for j in range(depth):
      for ours, torch, timm, last in (
        ('layer_scale', 'layer_scale', 'gamma', 'layer_scale_parameter'),
        ('depthwise_conv', 'block.0', 'conv_dw', 'dwconv'),
        ('norm', 'block.2', 'norm', 'layernorm'),
        ('hidden', 'block.3', 'mlp.fc1', 'pwconv1'),
        ('output', 'block.5', 'mlp.fc2', 'pwconv2'),
      ):
        yield (
          f'stage{i + 1}_block{j + 1}/{ours}',
          f'features.{2 * i + 1}.{j}.{torch}',
          f'stages.{i}.blocks.{j}.{timm}',
          f'{hugging}.layers.{j}.{last}',
        )
  yield 'norm', 'classifier.0', 'head.norm', 'layernorm'
  yield 'classifier', 'classifier.2', 'head.fc', 'classifier'


FAMILIES: tuple[tuple[Mapping[str, functools.partial], Callable], ...] = (
  (vgg.SIZES, _vgg),
  (resnet.SIZES, _resnet),
  (densenet.SIZES, _densenet),
  (mobilenet.SIZES, _mobilenet),
  (efficientnet.SIZES, _mobilenet),
  (convnext.SIZES, _convnext),
)
