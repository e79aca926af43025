"""VGG networks: torchvision's sizes, and its adaptive pooling."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.models import vgg


def trace(name, num_classes, shape):
  model = vgg.SIZES[name](num_classes=num_classes)
  _, variables = jax.eval_shape(
    functools.partial(model.init_with_output, train=False),
    jax.random.key(0),
    jax.ShapeDtypeStruct((2, *shape), jnp.float32),
  )
  return variables['params']


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
  ('name', 'expected'),
  [  # torchvision's, for the 1,000 classes of ImageNet
    ('vgg11', 132_863_336),
    ('vgg13', 133_047_848),
    ('vgg16', 138_357_544),
    ('vgg19', 143_667_240),
    ('vgg11_bn', 132_868_840),
    ('vgg13_bn', 133_053_736),
    ('vgg16_bn', 138_365_992),
    ('vgg19_bn', 143_678_248),
  ],
)
def test_as_many_parameters_as_published(name, expected):
  assert count(trace(name, 1000, (224, 224, 3))) == expected


@pytest.mark.parametrize(
  ('name', 'expected', 'inputs'),
  [  # of the first dense layer: 1x1, and 3x3, of 512 channels
    ('vgg11', 28_130_567, 512),
    ('vgg16_bn', 33_633_223, 512),
    ('vgg_fer', 40_376_519, 9 * 512),
  ],
)
def test_parameters_for_faces(name, expected, inputs):
  params = trace(name, 7, (48, 48, 1))
  assert count(params) == expected
  assert params['hidden1']['kernel'].shape == (inputs, 4096)


def test_vgg_fer_has_the_parameters_of_its_authors():
  """Theirs sees crops of 40x40."""
  widths = (1, 64, 64, 128, 128, 256, 256, 512, 512)
  convolutions = sum(
    (9 * ins + 1 + 2) * outs  # bias, and the two of batch norm
    for ins, outs in itertools.pairwise(widths)
  )
  dense = (2 * 2 * 512 + 1) * 4096 + 4097 * 4096 + 4097 * 7
  assert count(trace('vgg_fer', 7, (40, 40, 1))) == convolutions + dense


def test_names_that_weight_files_are_read_by():
  dense = {'hidden1', 'hidden2', 'classifier'}
  convolutions = {f'conv{i}' for i in range(1, 14)}
  norms = {f'norm{i}' for i in range(1, 14)}
  assert set(trace('vgg16', 7, (48, 48, 1))) == dense | convolutions
  assert set(trace('vgg16_bn', 7, (48, 48, 1))) == dense | convolutions | norms


@pytest.mark.parametrize(
  ('height', 'width'), [(14, 7), (9, 10), (3, 8), (1, 2), (23, 13)]
)
def test_adaptive_pool_against_a_loop(height, width):
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, height, width, 3))
  rows, columns = min(7, height), min(7, width)
  expected = np.empty((2, rows, columns, 3))

  def window(i, side, size):
    return slice(math.floor(i * side / size), math.ceil((i + 1) * side / size))

  for i, j in np.ndindex(rows, columns):
    part = x[:, window(i, height, rows), window(j, width, columns)]
    expected[:, i, j] = part.mean((1, 2))
  ours = vgg.adaptive_average_pool(jnp.asarray(x, jnp.float32), 7)
  np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_images_that_are_too_small_are_named():
  with pytest.raises(UserError, match='1x1 cannot be halved'):
    trace('vgg11', 7, (31, 31, 1))
