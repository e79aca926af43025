"""Arrays of other shapes: pooling folded in, colours added and taken."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from ferjax import models, weights
from ferjax.models import vgg
from ferjax.weights import layout

# One of each form of a first convolution.
FAMILIES = (
  'simple_cnn',
  'cnn_s1',
  'cnn5',
  'cnn38',
  'mini_xception',
  'dexpression_48',
  'vgg_fer',
  'resnet18',
  'densenet_small',
  'mobilenet_v2',
  'efficientnet_b0',
  'convnext_tiny',
  'vit',
)


@pytest.mark.parametrize(
  'sides',
  [(1, 1), (2, 2), (3, 3), (5, 5), (6, 6), (7, 7), (1, 4), (7, 3), (2, 6)],
)
def test_pooling_folds_into_the_dense_layer(sides):
  # By torch's definition of adaptive pooling, window by window.
  rng = np.random.default_rng(0)
  kernel = rng.standard_normal((5, 4, 7, 7))
  x = rng.standard_normal((*sides, 4))
  pooled = np.empty((4, 7, 7))
  for i, j in np.ndindex(7, 7):
    window = tuple(
      slice(math.floor(k * side / 7), math.ceil((k + 1) * side / 7))
      for k, side in zip((i, j), sides, strict=True)
    )
    pooled[:, i, j] = x[window].mean((0, 1))
  expected = kernel.reshape(5, -1) @ pooled.ravel()
  for form in kernel, kernel.reshape(5, -1):
    shape = (math.prod(sides) * 4, 5)
    ours = layout.from_torch(form, 'hidden1/kernel', shape, sides)
    np.testing.assert_allclose(x.ravel() @ ours, expected, rtol=1e-5)
    if sides[0] == sides[1]:
      alone = layout.from_torch(form, 'hidden1/kernel', shape)
      np.testing.assert_array_equal(alone, ours)


@pytest.mark.parametrize('shape', [(16, 64, 3), (32, 32, 3), (64, 16, 3)])
def test_vgg_takes_the_shape_of_the_images(tmp_path, monkeypatch, shape):
  # Two halvings make maps of 4x16, 8x8 and 16x4 pixels, pooled to 7.
  tiny = functools.partial(vgg.VGG, stages=((2,), (2,)), hidden=3)
  monkeypatch.setitem(vgg.SIZES, 'vgg11', tiny)
  ours = models.init(tiny(num_classes=2), shape, seed=0)
  height, width = min(7, shape[0] // 4), min(7, shape[1] // 4)
  rng = np.random.default_rng(0)
  shapes = {
    'features.0': (2, 3, 3, 3),
    'features.3': (2, 2, 3, 3),
    'classifier.0': (3, 2 * 49),
    'classifier.3': (3, 3),
    'classifier.6': (2, 3),
  }
  tensors = {}
  for name, of in shapes.items():
    tensors[f'{name}.weight'] = rng.standard_normal(of, np.float32)
    tensors[f'{name}.bias'] = np.zeros(of[0], np.float32)
  path = tmp_path / 'vgg11.safetensors'
  safetensors.numpy.save_file(tensors, path)
  loaded, report = weights.load(path, 'vgg11', ours, shape)
  assert not report.kept
  kernel = loaded['params']['hidden1']['kernel']
  assert kernel.shape == (height * width * 2, 3)
  # A map that is the same in every column: torch pools its rows alone.
  row = np.arange(1.0, height + 1)[:, None, None] * np.ones((1, width, 2))
  starts = [slice(i * height // 7, -(-(i + 1) * height // 7)) for i in range(7)]
  pooled = np.array([row[part, 0, 0].mean() for part in starts])
  seen = np.broadcast_to(pooled[:, None], (2, 7, 7)).ravel()
  np.testing.assert_allclose(
    row.ravel() @ kernel,
    tensors['classifier.0.weight'] @ seen,
    rtol=1e-4,
    atol=1e-4,
  )


def draw(name, channels):
  """Variables of random integers: sums of them are exact."""
  model = models.create_model(name, 7)
  shapes = jax.eval_shape(
    functools.partial(model.init, train=False),
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, 48, 48, channels), jnp.float32),
  )
  rng = np.random.default_rng(channels)
  return jax.tree.map(
    lambda leaf: rng.integers(-9, 9, leaf.shape).astype(np.float32), shapes
  )


@pytest.mark.parametrize('name', FAMILIES)
def test_runs_of_gray_and_colour_images_begin_from_each_other(name):
  gray, colour = draw(name, 1), draw(name, 3)
  for source, ours in ((gray, colour), (colour, gray)):
    loaded, report = weights.load_own(source, ours, same_classes=True)
    assert not report.kept
    (path,) = report.adapted
    module, leaf = path.split('/')
    theirs, kernel = (tree['params'][module][leaf] for tree in (source, loaded))
    # What it makes of gray pixels, given once or three times.
    rng = np.random.default_rng(0)
    groups = min(theirs.shape[2], kernel.shape[2])
    pixels = rng.integers(0, 9, (*kernel.shape[:2], groups))
    seen = [
      np.einsum('ijc,ijco->o', np.repeat(pixels, k.shape[2] // groups, 2), k)
      for k in (theirs, kernel)
    ]
    np.testing.assert_allclose(*seen, rtol=1e-4, atol=1e-3)
    # All else is as it was.
    loaded['params'][module][leaf] = theirs
    jax.tree.map(np.testing.assert_array_equal, loaded, source)


def test_space_to_depth_keeps_the_colours_of_a_pixel_together():
  kernel = np.arange(12.0).reshape(1, 1, 12, 1)
  summed = layout.adapt_colors(kernel, 'stem_conv/kernel', (1, 1, 4, 1))
  np.testing.assert_array_equal(summed.ravel(), [3, 12, 21, 30])
