"""Names of weight files: those of every published network, and odd ones."""

import functools
import hashlib
import json
import math
import pathlib
import re

import jax
import jax.numpy as jnp
import pytest
from references import draw

from ferjax.errors import UserError
from ferjax.weights import families, names

REFERENCES = pathlib.Path(__file__).parent / 'references'
ALL = sorted(path.stem for path in REFERENCES.glob('*.json'))

# How many arrays torchvision 0.28 has, counters left out, and the beginning of
# the SHA-256 of their sorted names, one in a line.
TORCHVISION = {
  'resnet18': (102, 'e90b1f58'),
  'resnet34': (182, 'aeaf9ac2'),
  'resnet50': (267, 'd1512e10'),
  'resnet101': (522, '65c093d2'),
  'resnet152': (777, '9f9c78c1'),
  'densenet121': (606, '01da9529'),
  'densenet169': (846, '91709aef'),
  'densenet201': (1006, 'e59d0042'),
  'mobilenet_v2': (262, '7abb0d34'),
  'efficientnet_b0': (311, 'da046761'),
  'efficientnet_b1': (439, 'dadcfad3'),
  'efficientnet_b2': (439, 'dadcfad3'),
  'efficientnet_b3': (496, 'd253f740'),
  'convnext_tiny': (182, '819b4674'),
  'vgg11': (22, 'dc2092b0'),
  'vgg11_bn': (54, 'fdfeb8f9'),
  'vgg13': (26, 'caa86d3b'),
  'vgg13_bn': (66, '8a97c01f'),
  'vgg16': (32, '66817e79'),
  'vgg16_bn': (84, 'b3372d34'),
  'vgg19': (38, 'eb851df2'),
  'vgg19_bn': (102, 'c9646600'),
}


@functools.cache
def sizes(name):
  """Sizes of our arrays by path, without values."""
  build = next(table[name] for table, _ in families.FAMILIES if name in table)
  stem = {} if name.startswith('vgg') else {'stem': 'imagenet'}
  model = build(num_classes=draw.NUM_CLASSES, **stem)
  shapes = jax.eval_shape(
    functools.partial(model.init, train=False),
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32),
  )
  leaves = jax.tree.leaves_with_path(shapes)
  return {'/'.join(k.key for k in path[1:]): x.size for path, x in leaves}


def test_every_published_network_is_here():
  tables = [table for table, _ in families.FAMILIES]
  published = {name for table in tables for name in table}
  assert published - TORCHVISION.keys() == {'densenet_small', 'vgg_fer'}


@pytest.mark.parametrize('name', TORCHVISION)
def test_names_are_those_of_torchvision(name):
  table = names.find(name, sizes(name), ())  # the first library, in doubt
  assert table.keys() == sizes(name).keys()
  theirs = sorted(set(table.values()))
  digest = hashlib.sha256('\n'.join(theirs).encode()).hexdigest()[:8]
  assert (len(theirs), digest) == TORCHVISION[name]
  assert len(theirs) == len(table)


@pytest.mark.parametrize('reference', ALL)
def test_every_name_and_shape_has_its_place(reference):
  name = reference.partition('-')[2]
  shapes = json.loads((REFERENCES / f'{reference}.json').read_text())['shapes']
  theirs = names.shorten(shapes)
  ours = sizes(name)
  table = names.find(name, ours, theirs)
  assert table.keys() == ours.keys()
  assert set(table.values()) == theirs.keys()
  for path, size in ours.items():
    assert size == math.prod(theirs[table[path]])
  looks = names.looks_like(theirs)
  assert re.search(rf'\b{name}\b', looks)


@pytest.mark.parametrize(
  ('name', 'short'),
  [
    ('module.conv1.weight', 'conv1.weight'),
    ('model.module.resnet.conv1.weight', 'conv1.weight'),
    ('block.model.conv1.weight', 'block.model.conv1.weight'),
    ('supermodel.conv1.weight', 'supermodel.conv1.weight'),
  ],
)
def test_prefixes_are_cut_at_the_start_alone(name, short):
  arrays = {name: 1, f'{name}.num_batches_tracked': 2}
  assert names.shorten(arrays) == {short: 1}


def test_two_names_that_shorten_alike_are_refused():
  arrays = {'module.fc.bias': 1, 'model.fc.bias': 2}
  with pytest.raises(
    UserError, match=r'both module\.fc\.bias and model\.fc\.bias'
  ):
    names.shorten(arrays)
