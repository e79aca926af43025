"""What a training step makes of a batch: augmented images, targets, weights."""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np

from ferjax import augment, losses, preprocess
from ferjax.parallel import AXIS

Batch = dict[str, jax.Array]


def take(table: Any, batch: Batch) -> Batch:
  """Fills in what stayed on the device under `device` placement.

  Args:
    table: images and labels of a whole split, or nothing under `host`.
    batch: the rows of `table` that it is of, or everything.
  """
  if not table:
    return batch
  rows = jnp.maximum(batch['index'], 0)  # padding is -1
  return batch | {name: values[rows] for name, values in table.items()}


def prepare(
  config: config_dict.ConfigDict,
  key: jax.Array,
  mix_key: jax.Array,
  batch: Batch,
  class_weights: np.ndarray,
) -> Batch:
  """Augments one device's images and makes the targets and their weights.

  Args:
    config: the whole config.
    key: of this step, the same on every device.
    mix_key: of this step and device.
    batch: one device's share, uint8 images and labels, `[n, ...]`.
    class_weights: float32 `[classes]`.

  Returns:
    `image`, as the network sees it; `target`, float32 `[n, classes]`; `weight`,
    float32 `[n]`, 0 for padding; `label` and `mask` as they came.
  """
  n = len(batch['label'])
  # By the place in the global batch, so that the number of devices is no
  # matter.
  positions = lax.axis_index(AXIS) * n + jnp.arange(n)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, positions)
  images = augment.make_augment(config.augment)(
    keys, preprocess.to_float(batch['image'])
  )
  targets = losses.make_targets(
    batch['label'], len(class_weights), config.loss.label_smoothing
  )
  images, targets = augment.make_mix(config.augment)(mix_key, images, targets)
  return {
    'image': preprocess.make_preprocess(config)(images),
    'target': targets,
    'weight': losses.example_weights(targets, class_weights, batch['mask']),
    'label': batch['label'],
    'mask': batch['mask'],
  }
