"""How the variables of the layers begin: in JAX, and once more in NumPy."""

from collections.abc import Callable
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# A batch norm of this name ends a residual branch. Its scale begins at zero,
# so that each block begins as its shortcut (Goyal et al. 2017, section 5.1).
LAST_NORM = 'last_norm'

# A convolution whose name begins so works on each channel alone.
DEPTHWISE = 'depthwise'

# A learned factor of each channel of a residual branch, and what it begins
# with (Touvron et al. 2021, arXiv:2103.17239).
LAYER_SCALE, FIRST_LAYER_SCALE = 'layer_scale', 1e-6

# What is added to tokens to tell them apart, and its first deviation
# (Dosovitskiy et al. 2020, arXiv:2010.11929).
EMBEDDING, EMBEDDING_STD = 'embedding', 0.02


def kernel_std(shape: tuple[int, ...]) -> float:
  """Returns the standard deviation that a kernel of this shape begins with.

  Convolutions `[height, width, in, out]` have that of He et al. 2015 by
  fan-out, dense layers `[in, out]` that of LeCun et al. 1998 by fan-in.
  """
  if len(shape) == 4:
    height, width, _, features = shape
    return math.sqrt(2 / (height * width * features))
  return math.sqrt(1 / shape[0])


def depthwise_std(shape: tuple[int, ...]) -> float:
  """Returns that of a depthwise kernel `[height, width, 1, channels]`.

  Each input reaches height * width outputs, however many channels there are.
  """
  height, width, _, _ = shape
  return math.sqrt(2 / (height * width))


def _normal(std: Callable[[tuple[int, ...]], float]) -> Callable:
  def draw(
    key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32
  ) -> jax.Array:
    return std(shape) * jax.random.normal(key, shape, dtype)

  return draw


kernel_init = _normal(kernel_std)
depthwise_init = _normal(depthwise_std)


def initial_value(
  path: tuple[str, ...], shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
  """Returns what the variable at `path` begins with, float32 of this shape.

  These are the initialisers of the layers once more, in NumPy.

  Raises:
    ValueError: if the last name on the path is not one that they use.
  """
  name = path[-1]
  if name == 'kernel':
    is_depthwise = path[-2].startswith(DEPTHWISE)
    std = (depthwise_std if is_depthwise else kernel_std)(shape)
    return rng.standard_normal(shape, np.float32) * np.float32(std)
  if name == EMBEDDING:
    return rng.standard_normal(shape, np.float32) * np.float32(EMBEDDING_STD)
  if name == LAYER_SCALE:
    return np.full(shape, FIRST_LAYER_SCALE, np.float32)
  if name in ('bias', 'mean') or path[-2:] == (LAST_NORM, 'scale'):
    return np.zeros(shape, np.float32)
  if name in ('scale', 'var'):
    return np.ones(shape, np.float32)
  raise ValueError(f'no rule for the initial value of {"/".join(path)!r}')
