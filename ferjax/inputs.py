"""What a training step makes of a batch: augmented images, targets, weights."""

from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np

from ferjax import augment, losses, preprocess
from ferjax.errors import UserError
from ferjax.parallel import AXIS

Batch = dict[str, jax.Array]

_LABELS = 2**32 - 1  # the place in a batch whose key draws labels


def validate(config: config_dict.ConfigDict) -> None:
  """Checks what is made of targets that hold several labels.

  Raises:
    UserError: if any of them is to do and all of them would.
  """
  for section, name in (
    ('loss', 'label_smoothing'),
    ('augment', 'mixup'),
    ('augment', 'cutmix'),
  ):
    value = config[section][name]
    if config.data.label_mode == 'multi_target' and value:
      raise UserError(
        f'config.{section}.{name} is {value}; it must be 0 under'
        ' config.data.label_mode=multi_target, where every class in a target'
        ' counts in full'
      )


def take(table: Any, batch: Batch) -> Batch:
  """Fills in what stayed on the device under `device` placement.

  Args:
    table: the values of a whole split, or nothing under `host`.
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
    batch: one device's share, uint8 images, labels and perhaps soft targets,
      `[n, ...]`.
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
  targets = _targets(config, key, positions, batch, len(class_weights))
  images, targets = augment.make_mix(config.augment)(mix_key, images, targets)
  return {
    'image': preprocess.make_preprocess(config)(images),
    'target': targets,
    'weight': losses.example_weights(targets, class_weights, batch['mask']),
    'label': batch['label'],
    'mask': batch['mask'],
  }


def _targets(
  config: config_dict.ConfigDict,
  key: jax.Array,
  positions: jax.Array,
  batch: Batch,
  num_classes: int,
) -> jax.Array:
  """Returns what the network is to say, float32 `[n, classes]`."""
  smoothing = config.loss.label_smoothing
  if 'target' not in batch:
    return losses.make_targets(batch['label'], num_classes, smoothing)
  if config.data.label_mode != 'probability':
    return losses.smooth(batch['target'], smoothing)
  label_key = jax.random.fold_in(key, np.uint32(_LABELS))
  keys = jax.vmap(jax.random.fold_in, (None, 0))(label_key, positions)
  labels = losses.draw_labels(keys, batch['target'])
  return losses.make_targets(labels, num_classes, smoothing)
