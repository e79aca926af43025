"""All networks by name, and the variables that they begin with.

To add one, write its file and a line in `MODELS`. Take the layers of
`ferjax.models.layers`: `init` knows how their variables begin.
"""

from collections.abc import Callable, Iterable, Mapping
import functools
import inspect
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np

from ferjax.errors import UserError
from ferjax.models import (
  baselines,
  convnext,
  densenet,
  dexpression,
  efficientnet,
  fast_resnet,
  initial,
  mini_xception,
  mobilenet,
  plain,
  resnet,
  vgg,
  vit,
)
from ferjax.models.simple_cnn import SimpleCNN

Module = nn.Module  # so that nobody else has to import Linen

AXIS_NAME = 'batch'  # the mapped axis that cross-replica batch norm spans

MODELS: dict[str, Callable[..., nn.Module]] = {
  **baselines.SIZES,
  'simple_cnn': SimpleCNN,
  **fast_resnet.SIZES,
  **plain.SIZES,
  **mini_xception.SIZES,
  **dexpression.SIZES,
  **vgg.SIZES,
  **resnet.SIZES,
  **densenet.SIZES,
  **mobilenet.SIZES,
  **efficientnet.SIZES,
  **convnext.SIZES,
  **vit.SIZES,
}

# The side, in pixels, of the images that a network is made for; the others
# take images as they come.
IMAGE_SIZES = {'dexpression': 224}

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}

# What `config.model` sets of a network where it is given.
OPTIONS = ('dropout', 'stem', 'squeeze_excitation')


def _find(kind: str, name: str, table: Mapping[str, Any]) -> Any:
  """Returns `table[name]`; where there is none, tells the user the names."""
  if name not in table:
    raise UserError(f'unknown {kind} {name!r}; have {sorted(table)}')
  return table[name]


def known_options(name: str) -> set[str]:
  """Returns what `create_model` takes for the network of this name."""
  build = _find('model', name, MODELS)
  fields = set(inspect.signature(build).parameters)
  if name in efficientnet.SIZES:  # without, it would be none
    fields.remove('squeeze_excitation')
  return fields - {'num_classes', 'parent', 'name'}


def _check_known(name: str, options: Iterable[str], known: set[str]) -> None:
  for option in options:
    if option not in known:
      raise UserError(
        f'model {name!r} takes no {option!r}; it takes {sorted(known)}'
      )


def create_model(name: str, num_classes: int, **options: Any) -> nn.Module:
  """Builds the network of this name.

  Args:
    name: one of `MODELS`.
    num_classes: how many logits it has for an image.
    **options: fields of the network's class, such as `stem` or `dropout`.

  Returns:
    A module that maps `(images, train)`, with images float `[batch, height,
    width, channels]`, to logits, float32 `[batch, num_classes]`.

  Raises:
    UserError: if there is no such network or option, if the network has no
      such stem, or if the dropout is not a part.
  """
  _check_known(name, options, known_options(name))
  if not 0 <= options.get('dropout', 0) < 1:
    raise UserError(f'dropout is {options["dropout"]}; give 0 <= dropout < 1')
  model = MODELS[name](num_classes=num_classes, **options)
  if 'stem' in options and model.stem not in model.STEMS:
    raise UserError(
      f'model {name!r} has no stem {model.stem!r}; it has {sorted(model.STEMS)}'
    )
  return model


def from_config(
  model_config: config_dict.ConfigDict,
  num_classes: int,
  axis_name: str = AXIS_NAME,
) -> nn.Module:
  """Builds the network that `config.model` describes.

  Args:
    model_config: the section `model` of the config.
    num_classes: how many logits the network has for an image.
    axis_name: the mapped axis of cross-replica batch norm, where that is on.

  Returns:
    The module; see `create_model`.

  Raises:
    UserError: if the section is wrong.
  """
  known = known_options(model_config.name)
  options = {
    option: model_config[option]
    for option in OPTIONS
    if model_config[option] is not None
  }
  _check_known(model_config.name, options, known.intersection(OPTIONS))
  options['dtype'] = _find('dtype', model_config.dtype, DTYPES)
  # Networks without batch norm have nothing that could span an axis.
  if model_config.cross_replica_batch_norm and 'axis_name' in known:
    options['axis_name'] = axis_name
  return create_model(model_config.name, num_classes, **options)


def validate(model_config: config_dict.ConfigDict) -> None:
  """Raises a UserError if `config.model` is wrong."""
  from_config(model_config, num_classes=1)


def init(
  model: nn.Module, image_shape: tuple[int, int, int], seed: int
) -> dict[str, Any]:
  """Returns the variables that a model begins with.

  The shapes are those of `model.init`, the values are drawn by NumPy: alike on
  every device and machine, and in a second where compiling `model.init` takes
  ten (DenseNet-121 on two cores).

  Args:
    model: of this package; see `initial.initial_value`.
    image_shape: height, width and channels.
    seed: of the kernels.

  Returns:
    NumPy arrays, float32: `{'params': ..., 'batch_stats': ...}`.

  Raises:
    UserError: if the images are too small for the model.
    ValueError: if it has variables that `initial.initial_value` does not know.
  """
  rng = np.random.default_rng(seed)
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(
    functools.partial(model.init, train=False), jax.random.key(0), images
  )
  return jax.tree.map_with_path(
    lambda path, leaf: initial.initial_value(
      tuple(entry.key for entry in path), leaf.shape, rng
    ),
    variables,
  )
