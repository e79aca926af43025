"""Residual networks with squeeze-excitation; the plain: test_models.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from probes import count, trace
import pytest

from ferjax import models
from ferjax.models import resnet


@pytest.mark.parametrize(
  ('name', 'expected'),
  [  # timm's seresnet18 and seresnet50
    ('resnet18', 11_778_592),
    ('resnet50', 28_088_024),
  ],
)
def test_as_many_parameters_as_published(name, expected):
  model = resnet.SIZES[name](
    num_classes=1000, stem='imagenet', squeeze_excitation=True
  )
  params = trace(model, (224, 224, 3))[1]['params']
  assert count(params) == expected


def test_off_it_leaves_no_trace():
  model = functools.partial(resnet.SIZES['resnet18'], num_classes=7)
  plain = trace(model(), (48, 48, 1))[1]['params']
  squeezed = trace(model(squeeze_excitation=True), (48, 48, 1))[1]['params']
  for name, block in squeezed.items():
    assert ('squeeze' in block) == name.startswith('stage')
    block.pop('squeeze', None)
  assert jax.tree.map(jnp.shape, squeezed) == jax.tree.map(jnp.shape, plain)


@pytest.mark.parametrize('block', [resnet.BasicBlock, resnet.Bottleneck])
def test_a_gate_weighs_the_branch_and_not_the_shortcut(block):
  build = functools.partial(
    resnet.ResNet, num_classes=3, stage_sizes=(1,), block=block, width=4
  )
  shape = (6, 6, 1)
  variables = models.init(build(squeeze_excitation=True), shape, seed=0)
  params = variables['params']['stage1_block1']
  params['last_norm']['scale'] += 1
  squeeze = params['squeeze']['expand']
  squeeze['kernel'] *= 0
  squeeze['bias'] += np.float32(np.log(1 / 3))  # whose sigmoid is 1/4
  images = jnp.asarray(np.random.default_rng(0).standard_normal((2, *shape)))
  images = images.astype(jnp.float32)
  ours = build(squeeze_excitation=True).apply(variables, images, train=False)
  plain = variables.copy()
  del params['squeeze']
  params['last_norm']['scale'] /= 4
  theirs = build().apply(plain, images, train=False)
  np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
