"""Each family, shrunk: one device equals four, 64 faces are learnt by heart.

The whole networks are asked the same by `python tests/networks.py`.
"""

import jax
from jax.sharding import Mesh
import networks
import numpy as np
import pytest

from ferjax import models, parallel
from ferjax.models import mobilenet

# The smallest of each family that still has all of its parts.
TINY = {
  'logistic': {},
  'mlp': {'widths': (64,)},
  'simple_cnn': {'widths': (8, 16), 'hidden': 32},
  'cnn38': {'stages': ((8,), (16, 16)), 'hidden': (32,)},
  'mini_xception': {'widths': (16, 32)},
  'dexpression_48': {
    'stem_width': 16,
    'reduced': 16,
    'width': 24,
    'pooled': 8,
  },
  'fast_resnet': {'width': 16, 'widths': (16, 32)},
  'vgg11_bn': {'stages': ((8,), (16,)), 'hidden': 32},
  'resnet18': {'stage_sizes': (1, 1), 'width': 16, 'stem': 'space_to_depth'},
  'resnet50': {'stage_sizes': (1, 1), 'width': 16, 'squeeze_excitation': True},
  'densenet121': {'block_sizes': (1, 1), 'growths': (16, 32), 'width': 32},
  'mobilenet_v2': {
    'stages': (
      mobilenet.Stage(1, 3, 2, 16, 1),
      mobilenet.Stage(3, 5, 2, 32, 2),
    ),
    'stem_width': 16,
    'head_width': 64,
    'squeeze_excitation': True,
  },
  'convnext_tiny': {'depths': (1, 1), 'widths': (16, 32)},
  'vit': {'width': 32, 'depth': 2, 'num_heads': 2},
}
NAMES = sorted(TINY)


def trial(name, num_steps, until=2.0):
  options = networks.still(name) | TINY[name]
  made = networks.Trial(name, learning_rate=3e-3, image_size=24, **options)
  with jax.numpy_dtype_promotion('standard'):  # for optax's adam
    return list(made.train(num_steps, until))


def test_every_family_is_here():
  families = {
    type(models.create_model(name, 7)).__name__ for name in models.MODELS
  }
  assert families == {
    type(models.create_model(name, 7)).__name__ for name in TINY
  }


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_one_device_equals_four_and_faces_are_learnt_by_heart(
  name, monkeypatch
):
  four = trial(name, 2)
  mesh = Mesh(np.array(jax.devices()[:1]), (parallel.AXIS,))
  monkeypatch.setattr(parallel, 'global_mesh', lambda: mesh)
  monkeypatch.setattr(jax, 'local_device_count', lambda: 1)
  one = trial(name, networks.MOST_STEPS, until=networks.LEARNT)
  # Loss and gradient, and the loss after the first update.
  np.testing.assert_allclose(one[0][:2], four[0][:2], rtol=networks.GAP)
  np.testing.assert_allclose(one[1][0], four[1][0], rtol=networks.GAP)
  assert one[-1][-1] >= networks.LEARNT, one
