"""Parameters and FLOPs against published counts and counts by hand."""

import os
import pathlib
import subprocess
import sys

import flax.linen as nn
import jax.numpy as jnp
import pytest

from ferjax import models
from ferjax.models import layers, summary


class Tiny(nn.Module):
  """A bit of everything that is counted, and of what is not."""

  @nn.compact
  def __call__(self, x, train):
    conv = {'name': 'grouped', 'feature_group_count': 2, 'use_bias': True}
    x = nn.Conv(8, (3, 3), 2, padding=1, **conv)(x)  # 10x10x4 to 5x5x8
    x = layers.depthwise_conv(x, 3, name='depthwise', dtype=jnp.float32)
    x = layers.batch_norm(
      x, name='norm', train=train, dtype=jnp.float32, axis_name=None
    )
    tokens = x.reshape(1, 25, 8)
    weights = nn.softmax(tokens @ tokens.swapaxes(1, 2) / 2.0)
    tokens = layers.dense(weights @ tokens, 6, name='mix', dtype=jnp.float32)
    return layers.classify(tokens.mean(1), 3, 0.5, train)


def test_a_tiny_network_by_hand():
  rows = {row.path: row for row in summary.layers(Tiny(), (10, 10, 4))}
  assert rows == {
    # Two products of 25x8 and 8x25, and of 25x25 and 25x8.
    '': ('', 'Tiny', (3,), 0, 2 * (25 * 25 * 8 + 25 * 8 * 25)),
    'grouped': (
      'grouped',
      'Conv',
      (5, 5, 8),
      3 * 3 * 2 * 8 + 8,
      2 * 25 * (3 * 3 * 2 * 8),
    ),
    'depthwise': ('depthwise', 'Conv', (5, 5, 8), 72, 2 * 25 * 72),
    'norm': ('norm', 'BatchNorm', (5, 5, 8), 16, 0),
    'mix': ('mix', 'Dense', (25, 6), 8 * 6 + 6, 2 * 25 * 8 * 6),
    'classifier': ('classifier', 'Dense', (3,), 6 * 3 + 3, 2 * 6 * 3),
  }
  assert summary.count(Tiny(), (10, 10, 4)) == (
    sum(row.parameters for row in rows.values()),
    sum(row.flops for row in rows.values()),
  )


class ShiftedSums(nn.Module):
  """A depthwise convolution without a product that a trace would show."""

  @nn.compact
  def __call__(self, x):
    kernel = self.param('kernel', nn.initializers.ones, (3, 3, 1, x.shape[-1]))
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return sum(
      padded[:, i : i + height, j : j + width] * kernel[i, j][None, None]
      for i in range(3)
      for j in range(3)
    )


class Shifted(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    return ShiftedSums(name='depthwise')(x)


def test_a_depthwise_convolution_counts_whatever_its_form():
  (row,) = summary.layers(Shifted(), (6, 7, 5))
  assert row[3:] == (45, 2 * 6 * 7 * 45)


class Step(nn.Module):
  @nn.compact
  def __call__(self, x, _):
    return nn.Dense(8, name='inner')(x) + x, None


class Folded(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    repeat = nn.scan(
      Step, variable_axes={'params': 0}, split_rngs={'params': True}, length=5
    )
    x, _ = repeat(name='steps')(x.reshape(1, -1), None)
    return x


def test_folded_blocks_count_each_time():
  counts = summary.count(Folded(), (2, 4, 1))
  assert counts == (5 * (64 + 8), 5 * 2 * 64)


@pytest.mark.parametrize(
  ('name', 'parameters', 'multiply_adds'),
  [
    ('resnet18', 11_689_512, 1.814e9),
    ('resnet50', 25_557_032, 4.089e9),
    # Published: 2.834e9. Its 1x1 convolutions of the transitions, 128 to 128
    # channels at 56x56 and so on, come after the pooling here: a quarter.
    ('densenet121', 7_978_856, 2.834e9 - 0.75 * 3 * (256 * 128 * 56**2)),
    ('mobilenet_v2', 3_504_872, 0.301e9),
    ('efficientnet_b0', 5_288_548, 0.386e9),
    ('convnext_tiny', 28_589_128, 4.456e9),
  ],
)
def test_counts_are_those_that_torchvision_publishes(
  name, parameters, multiply_adds
):
  model = models.create_model(name, 1000, stem='imagenet')
  counts = summary.count(model, (224, 224, 3))
  assert counts.parameters == parameters
  assert counts.flops / 2 == pytest.approx(multiply_adds, rel=1e-3)


class Rematerialized(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    return nn.remat(Shifted, static_argnums=(2,))(name='block')(x, train)


def test_rematerialised_blocks_count_once():
  assert summary.count(Rematerialized(), (6, 7, 5)) == (45, 2 * 6 * 7 * 45)


def call(*arguments):
  """Runs `python -m ferjax.summary`, which must not ask for an accelerator."""
  return subprocess.run(
    [
      *(sys.executable, '-m', 'ferjax.summary'),
      *('--config=configs/simple_cnn.py', '--num_classes=7', *arguments),
    ],
    cwd=pathlib.Path(__file__).parent.parent,
    env=dict(os.environ, XLA_FLAGS='', JAX_PLATFORMS='cuda'),
    capture_output=True,
    text=True,
    timeout=100,
    check=False,
  )


@pytest.mark.slow
def test_the_binary_prints_the_table():
  done = call('--image_shape=48,48,1')
  assert done.returncode == 0, done.stderr
  rows = [line.split() for line in done.stdout.splitlines()]
  assert ['conv1', 'Conv', '48x48x32', '288', '1,327,104'] in rows
  assert ['total', '1,274,599', '46,157,312'] in rows


@pytest.mark.slow
@pytest.mark.parametrize('shape', ['48,48', '48,48,2', '0,48,1', '48,-48,1'])
def test_the_binary_refuses_other_shapes(shape):
  done = call(f'--image_shape={shape}')
  assert done.returncode == 2
  assert done.stderr == (
    f'error: --image_shape={shape}: give height, width and 1 or 3 channels, as '
    '48,48,1\n'
  )
