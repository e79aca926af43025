"""What goes on inside a network: its features, and where it looks.

Both work on every network alike: they listen to the calls of its layers.
"""

from collections.abc import Callable
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.errors import UserError
from ferjax.models.layers import CLASSIFIER

# Sees what a layer gave and how many calls ended before; gives it on.
_Listener = Callable[[nn.Module, jax.Array, int], jax.Array]


def features(model: nn.Module, variables: Any, images: jax.Array) -> jax.Array:
  """Returns what the classifier sees, float32 `[n, features]`.

  The classifier is the last layer of every network of this package: the
  features of `logistic` are its pixels.

  Args:
    model: of this package.
    variables: its weights, `{'params': ..., 'batch_stats': ...}`.
    images: as the network sees them, float `[n, height, width, channels]`.
  """
  seen = []

  def listen(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
    if context.module.path == (CLASSIFIER,):
      seen.append(args[0])
    return call(*args, **kwargs)

  with nn.intercept_methods(listen):
    model.apply(variables, images, train=False)
  return seen[-1].astype(jnp.float32)


def grad_cam(
  model: nn.Module, variables: Any, images: jax.Array, labels: jax.Array
) -> jax.Array:
  """Returns how much each place speaks for a class (arXiv:1610.02391).

  Grad-CAM (Selvaraju et al. 2016): the channels of the last feature map that
  still has places, each weighted by the mean slope of the class's logit over
  the channel, are summed; what is negative counts as 0. The map is that of the
  last layer with parameters, before any pooling; in a transformer, its tokens.

  Args:
    model: of this package.
    variables: its weights, `{'params': ..., 'batch_stats': ...}`.
    images: as the network sees them, float `[n, height, width, channels]`.
    labels: int `[n]`, the class of each image to ask about.

  Returns:
    float32 `[n, height, width]` in [0, 1], of the images' size (bilinear). The
    most important place of each coarse map has 1; where nothing speaks for the
    class, all is 0.

  Raises:
    UserError: if the network has no such map.
  """
  number, places, like = _last_map(model, variables, images)

  def score(change: jax.Array) -> tuple[jax.Array, jax.Array]:
    seen = []

    def listen(module: nn.Module, output: jax.Array, call: int) -> jax.Array:
      if call != number:
        return output
      seen.append(output)
      return output + change

    logits = _apply(model, variables, images, listen)
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    return own.sum(), seen[-1]

  # The slope at no change is that of the map itself.
  slopes, values = jax.grad(score, has_aux=True)(jnp.zeros_like(like))
  shape = (len(images), *places, -1)
  slopes, values = (
    x.reshape(shape).astype(jnp.float32) for x in (slopes, values)
  )
  weights = slopes.mean((1, 2), keepdims=True)
  heat = nn.relu((weights * values).sum(-1))
  most = heat.max((1, 2), keepdims=True)
  heat = jnp.where(most > 0, heat / jnp.where(most > 0, most, 1.0), 0.0)
  return jax.image.resize(heat, images.shape[:3], 'linear')


def _apply(
  model: nn.Module, variables: Any, images: jax.Array, listener: _Listener
) -> jax.Array:
  """Returns the logits; what each layer gives goes through the listener."""
  ended = 0

  def listen(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
    nonlocal ended
    output = call(*args, **kwargs)
    if context.method_name != '__call__':
      return output
    ended += 1
    return listener(context.module, output, ended)

  with nn.intercept_methods(listen):
    return model.apply(variables, images, train=False)


def _last_map(
  model: nn.Module, variables: Any, images: jax.Array
) -> tuple[int, tuple[int, int], jax.ShapeDtypeStruct]:
  """Finds the last feature map, without running the network.

  Returns:
    The number of the call that gives it, its height and width, and the shape
    and type of what is given, tokens perhaps.
  """
  maps = []

  def listen(module: nn.Module, output: jax.Array, call: int) -> jax.Array:
    # Dropout only passes on what may have been pooled.
    if isinstance(module, nn.Dropout):
      return output
    places = output.shape[1:3] if output.ndim == 4 else ()
    if output.ndim == 3 and maps:
      _, before, _ = maps[-1]
      places = before if math.prod(before) == output.shape[1] else ()
    if places and min(places) > 1:
      like = jax.ShapeDtypeStruct(output.shape, output.dtype)
      maps.append((call, places, like))
    return output

  jax.eval_shape(
    lambda variables, images: _apply(model, variables, images, listen),
    variables,
    images,
  )
  if not maps:
    raise UserError(
      f'{type(model).__name__} has no feature map, so there is no place in the '
      'image that Grad-CAM could show; take a network with convolutions'
    )
  return maps[-1]
