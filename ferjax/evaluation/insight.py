"""What a trained network makes of stored images: features, and heat maps."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ferjax import models, parallel, preprocess
from ferjax.inference import Predictor
from ferjax.models import insight

# Small: the slopes of large networks take memory, and there are few images.
_BATCH = 32


def features(predictor: Predictor, images: np.ndarray) -> np.ndarray:
  """Returns what the last layer sees of each image.

  Of one view, the image itself, on one device.

  Args:
    predictor: the network.
    images: uint8 `[n, height, width, channels]`.

  Returns:
    float32 `[n, features]`.
  """
  return _in_batches(predictor, insight.features, images)


def grad_cam(
  predictor: Predictor, images: np.ndarray, labels: np.ndarray
) -> np.ndarray:
  """Returns how much each pixel speaks for a class, see `insight.grad_cam`.

  Args:
    predictor: the network.
    images: uint8 `[n, height, width, channels]`.
    labels: int `[n]`, of each image the class to ask about, a position in
      `predictor.class_names`.

  Returns:
    float32 `[n, height, width]` in [0, 1].

  Raises:
    UserError: if the network has no feature map.
  """

  def explain(
    model: models.Module, variables: Any, seen: jax.Array, labels: jax.Array
  ) -> jax.Array:
    heat = insight.grad_cam(model, variables, seen, labels)
    # Back from the size that the network sees.
    shape = (len(heat), *images.shape[1:3])
    return jax.image.resize(heat, shape, 'linear')

  return _in_batches(predictor, explain, images, labels.astype(np.int32))


def _in_batches(
  predictor: Predictor,
  function: Callable[..., jax.Array],
  images: np.ndarray,
  *others: np.ndarray,
) -> np.ndarray:
  """Calls `function(model, variables, images, *others)` on all images.

  The last batch is filled up with its first example: one size to compile.
  """
  model = models.from_config(predictor.config.model, len(predictor.class_names))
  see = preprocess.make_preprocess(predictor.config)
  weights = parallel.to_host(predictor.variables)
  weights = {'params': weights['params'], **weights['model_state']}

  @jax.jit
  def call(weights: Any, images: jax.Array, *others: jax.Array) -> jax.Array:
    seen = see(preprocess.to_float(images))
    return function(model, weights, seen, *others)

  answers = []
  for start in range(0, len(images), _BATCH):
    rows = np.arange(start, start + _BATCH)
    rows = np.where(rows < len(images), rows, start)
    answers.append(call(weights, *(x[rows] for x in (images, *others))))
  return np.concatenate(jax.device_get(answers))[: len(images)]
