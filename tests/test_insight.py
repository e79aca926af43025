"""Features and heat maps, against closed forms; traced for every family."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import models
from ferjax.errors import UserError
from ferjax.models import insight, layers


class Pooled(nn.Module):
  """One convolution, the mean over positions, a dense layer."""

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images, train):
    x = layers.conv(images, 6, 3, name='conv', dtype=self.dtype, stride=2)
    x = nn.Dropout(0.5, deterministic=not train)(x)
    return layers.classify(x.mean((1, 2)), 3, 0.0, train)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_heat_of_a_pooled_network_is_its_class_activation_map(dtype):
  """Zhou et al. 2016: each place's part of the logit, without the bias."""
  model = Pooled(dtype=dtype)
  variables = models.init(model, (12, 16, 1), seed=0)
  images = np.random.default_rng(0).standard_normal((4, 12, 16, 1))
  images, labels = jnp.asarray(images, jnp.float32), jnp.arange(4) % 3
  seen = []

  def listen(call, args, kwargs, context):
    output = call(*args, **kwargs)
    if context.module.name == 'conv':
      seen.append(np.asarray(output, np.float64))
    return output

  with nn.intercept_methods(listen):
    model.apply(variables, images, train=False)
  kernel = variables['params']['classifier']['kernel'].astype(np.float64)
  expected = np.stack(
    [
      np.maximum(x @ kernel[:, c], 0)
      for x, c in zip(seen[0], labels, strict=True)
    ]
  )
  expected /= expected.max((1, 2), keepdims=True)
  expected = jax.image.resize(
    jnp.asarray(expected, jnp.float32), (4, 12, 16), 'linear'
  )
  heat = insight.grad_cam(model, variables, images, labels)
  assert heat.dtype == jnp.float32
  close = 1e-5 if dtype == jnp.float32 else 0.02
  np.testing.assert_allclose(heat, expected, atol=close)
  features = insight.features(model, variables, images)
  np.testing.assert_allclose(
    features, seen[0].mean((1, 2)), atol=close, rtol=close
  )


def test_nothing_that_speaks_for_a_class_is_no_heat():
  model = Pooled()
  variables = models.init(model, (8, 8, 1), seed=0)
  kernel = variables['params']['classifier']['kernel']
  variables['params']['classifier']['kernel'] = np.zeros_like(kernel)
  heat = insight.grad_cam(
    model, variables, jnp.ones((2, 8, 8, 1)), jnp.zeros(2, jnp.int32)
  )
  assert not np.any(heat)


# The smallest of each family, its features, and the side of its last map, at
# 48x48.
FAMILIES = [
  ('simple_cnn', 256, 12),
  ('cnn_s1', 32, 12),
  ('cnn38', 128, 6),
  ('mini_xception', 1152, 3),
  ('dexpression_48', 272 * 6 * 6, 6),
  ('vgg_fer', 4096, 6),
  ('vgg11_bn', 4096, 3),
  ('resnet18', 512, 6),
  ('densenet_small', None, 6),
  ('mobilenet_v2', 1280, None),
  ('efficientnet_b0', 1280, None),
  ('convnext_tiny', 768, 3),
  ('vit', 192, 8),
]


@pytest.mark.parametrize(('name', 'width', 'side'), FAMILIES)
def test_every_family_has_features_and_a_map(name, width, side):
  model = models.create_model(name, 7)
  images = jax.ShapeDtypeStruct((2, 48, 48, 1), jnp.float32)
  variables = jax.eval_shape(
    functools.partial(model.init, train=False), jax.random.key(0), images
  )
  features = jax.eval_shape(
    functools.partial(insight.features, model), variables, images
  )
  kernel = variables['params']['classifier']['kernel']
  assert features.shape == (2, kernel.shape[0])
  assert features.dtype == jnp.float32
  assert width in (None, features.shape[1])
  _, places, _ = insight._last_map(model, variables, images)
  assert places[0] == places[1] > 1
  assert side in (None, places[0])
  heat = jax.eval_shape(
    functools.partial(insight.grad_cam, model),
    variables,
    images,
    jax.ShapeDtypeStruct((2,), jnp.int32),
  )
  assert heat.shape == (2, 48, 48)


@pytest.mark.parametrize('name', ['logistic', 'mlp'])
def test_a_network_without_maps_says_so(name):
  model = models.create_model(name, 7)
  images = jnp.asarray(np.random.default_rng(0).random((2, 8, 8, 1)), 'float32')
  variables = models.init(model, (8, 8, 1), seed=0)
  with pytest.raises(UserError, match='MLP has no feature map') as error:
    insight.grad_cam(model, variables, images, jnp.zeros(2, jnp.int32))
  assert '\n' not in str(error.value)
  if name == 'logistic':
    np.testing.assert_array_equal(
      insight.features(model, variables, images), images.reshape(2, -1)
    )
