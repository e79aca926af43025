"""All layers but the last: frozen, thawed later, or learning more slowly."""

import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from ml_collections import config_dict
import optax

from ferjax.errors import UserError
from ferjax.models import layers


def validate(backbone_config: config_dict.ConfigDict) -> None:
  """Raises a UserError where `config.backbone` contradicts itself.

  Its duration is checked with all others; see ferjax/durations.py.
  """
  factor = backbone_config.learning_rate_factor
  if not 0 < factor < math.inf:
    raise UserError(
      f'config.backbone.learning_rate_factor is {factor}; it is above 0 (to '
      'keep the backbone as it is, give config.backbone.freeze=True)'
    )
  thaws = [
    f'config.backbone.thaw_{unit}'
    for unit in ('steps', 'epochs', 'examples')
    if backbone_config[f'thaw_{unit}']
  ]
  if thaws and not backbone_config.freeze:
    raise UserError(
      f'{thaws[0]} is given, but nothing is frozen; give '
      'config.backbone.freeze=True as well'
    )
  if backbone_config.freeze and not thaws and factor != 1:
    raise UserError(
      f'config.backbone.learning_rate_factor is {factor}, but the backbone '
      'never thaws; give config.backbone.thaw_epochs as well'
    )


def is_head(name: str) -> bool:
  """Returns whether the layer of this name is the last, not the backbone."""
  return name == layers.CLASSIFIER


def hold(
  backbone_config: config_dict.ConfigDict,
  thaw_step: int,
  params: dict[str, Any],
  step: jax.Array,
) -> dict[str, Any]:
  """Returns the parameters, with no gradient to those that are frozen.

  The statistics of batch norm are not parameters: they go on following the
  images, which are seldom those that the weights were trained on.

  Args:
    backbone_config: `config.backbone`.
    thaw_step: the first step that trains the backbone; 0 is never.
    params: of a network, by the names of its layers.
    step: int32 scalar, from 0.
  """
  if not backbone_config.freeze:
    return params

  def stop(x: jax.Array) -> jax.Array:
    held = lax.stop_gradient(x)
    # Where it never thaws, nothing is computed for it at all.
    return jnp.where(step < thaw_step, held, x) if thaw_step else held

  return {
    name: value if is_head(name) else jax.tree.map(stop, value)
    for name, value in params.items()
  }


def split(
  backbone_config: config_dict.ConfigDict,
  thaw_step: int,
  head: optax.GradientTransformation,
  backbone: optax.GradientTransformation,
) -> optax.GradientTransformation:
  """Joins the optimizers of the last layer and of all others.

  A frozen backbone stays as it is to the bit: no weight decay reaches it, and
  its optimizer has no past when it thaws.

  Args:
    backbone_config: `config.backbone`.
    thaw_step: the first step that trains the backbone; 0 is never.
    head: of the last layer.
    backbone: of all others; its schedule begins with step `thaw_step`.
  """
  slower = optax.chain(
    backbone, optax.scale(backbone_config.learning_rate_factor)
  )
  if backbone_config.freeze and not thaw_step:
    slower = optax.set_to_zero()
  elif backbone_config.freeze:
    slower = optax.transforms.conditionally_mask(
      slower, lambda step: step >= thaw_step
    )
  return optax.partition(
    {'head': head, 'backbone': slower},
    lambda params: {
      name: 'head' if is_head(name) else 'backbone' for name in params
    },
  )
