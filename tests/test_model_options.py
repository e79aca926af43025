"""What a network is built with, and which settings are refused by name."""

import jax.numpy as jnp
import pytest

from ferjax import config as config_lib
from ferjax import models
from ferjax.errors import UserError


def test_options_of_the_class_are_named():
  with pytest.raises(UserError, match=r"no 'hide'.*'hidden', 'widths'\]$"):
    models.create_model('simple_cnn', 7, hide=3)


def test_config_becomes_options():
  section = config_lib.default_config().model
  model = models.from_config(section, num_classes=7)
  assert (model.stem, model.axis_name) == ('space_to_depth', None)
  section.name, section.dtype, section.dropout = 'resnet18', 'bfloat16', 0.3
  section.stem, section.cross_replica_batch_norm = 'imagenet', True
  models.validate(section)
  model = models.from_config(section, num_classes=5, axis_name='replica')
  assert (model.num_classes, model.dtype) == (5, jnp.bfloat16)
  assert (model.dropout, model.stem) == (0.3, 'imagenet')
  assert model.axis_name == 'replica'
  assert models.from_config(section, num_classes=5).axis_name == 'batch'


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'name': 'vgg'}, r"unknown model 'vgg'; have \['cnn38', "),
    ({'dtype': 'float16'}, r"unknown dtype 'float16'; have \['bfloat16', "),
    ({'stem': 'large'}, r"'densenet_small' has no stem 'large'; it has \['im"),
    (
      {'name': 'mobilenet_v2', 'stem': 'space_to_depth'},
      r"no stem 'space_to_depth'; it has \['imagenet', 'small'\]$",
    ),
    (
      {'name': 'convnext_tiny', 'stem': 'space_to_depth'},
      r"no stem 'space_to_depth'; it has \['imagenet', 'small'\]$",
    ),
    ({'dropout': 1.0}, 'dropout is 1.0; give 0 <= dropout < 1'),
    (
      {'name': 'simple_cnn', 'stem': 'small'},
      r"'simple_cnn' takes no 'stem'; it takes \['dropout'\]$",
    ),
    (
      {'name': 'efficientnet_b0', 'squeeze_excitation': False},
      r"no 'squeeze_excitation'; it takes \['dropout', 'stem'\]$",
    ),
  ],
)
def test_wrong_settings_are_named(fields, message):
  section = config_lib.default_config().model
  section.update(fields)
  with pytest.raises(UserError, match=message):
    models.validate(section)
