"""Muon for networks of convolutions: orthogonal updates of their matrices."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from optax import contrib

from ferjax.models import layers

# A convolution of no more channels sees pixels (of 2x2 windows in colour, at
# most) or one channel alone: nothing to make orthogonal.
_FEW_CHANNELS = 12

_ADAM_FACTOR = 0.1  # of the rate, for what is no matrix

# Of Newton and Schulz, as in the CIFAR-10 speed run. With five, the update of
# `fast_resnet` takes a fifth of a step of 128 images.
_STEPS = 3


def muon(
  learning_rate: optax.Schedule,
  momentum: float,
  nesterov: bool,
  weight_decay: float,
  weight_decay_mask: Callable[[Any], Any],
) -> optax.GradientTransformation:
  """Returns optax's Muon, as convolutions need it.

  Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. A kernel is
  the matrix from all that it sees to its features. The first convolution,
  depthwise ones, the classifier, factors and biases are Adam's, without decay,
  at a tenth of the rate.

  Args:
    learning_rate: of the matrices; 0.05 is a good one.
    momentum: of the matrices.
    nesterov: whether the momentum is Nesterov's.
    weight_decay: times the rate, of the matrices.
    weight_decay_mask: a function of parameters that tells which of them decay.
  """
  return contrib.muon(
    learning_rate,
    ns_steps=_STEPS,
    beta=momentum,
    nesterov=nesterov,
    weight_decay=weight_decay,
    weight_decay_mask=weight_decay_mask,
    adam_learning_rate=lambda count: _ADAM_FACTOR * learning_rate(count),
    muon_weight_dimension_numbers=_matrices,
  )


def _matrices(params: Any) -> Any:
  """Returns how each parameter is read as a matrix, None where it is not."""

  def read(
    path: tuple[Any, ...], x: jax.Array
  ) -> contrib.MuonDimensionNumbers | None:
    names = [part.key for part in path]
    if names[-1] != 'kernel' or names[0] == layers.CLASSIFIER or x.ndim < 2:
      return None
    if x.ndim == 4 and x.shape[2] <= _FEW_CHANNELS:
      return None
    return contrib.MuonDimensionNumbers(tuple(range(x.ndim - 1)), x.ndim - 1)

  return jax.tree_util.tree_map_with_path(read, params)
