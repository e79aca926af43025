"""Sums over examples, made on the device, and the metrics they become."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import statistics

Sums = dict[str, Any]


def batch_sums(
  logits: jax.Array, losses: jax.Array, labels: jax.Array, mask: jax.Array
) -> Sums:
  """Returns what one device's examples add to the metrics.

  Args:
    logits: float32 `[n, classes]`.
    losses: float32 `[n]`.
    labels: int32 `[n]`.
    mask: bool `[n]`, false for padding, which adds nothing.

  Returns:
    `loss`, `correct` and `count` as float32 scalars.
  """
  correct = jnp.argmax(logits, axis=-1) == labels
  return {
    'loss': jnp.sum(jnp.where(mask, losses, 0.0)),
    'correct': jnp.sum(mask & correct, dtype=jnp.float32),
    'count': jnp.sum(mask, dtype=jnp.float32),
  }


def confusion(
  logits: jax.Array, labels: jax.Array, mask: jax.Array
) -> jax.Array:
  """Returns float32 counts `[classes, classes]`, rows true, columns guessed."""
  num_classes = logits.shape[-1]
  true = jax.nn.one_hot(jnp.where(mask, labels, -1), num_classes)
  guess = jax.nn.one_hot(jnp.argmax(logits, axis=-1), num_classes)
  return true.T @ guess


def add(sums: Sums | None, more: Sums) -> Sums:
  """Returns `sums + more` on the devices; None stands for nothing yet."""
  return more if sums is None else _add(sums, more)


@jax.jit
def _add(sums: Sums, more: Sums) -> Sums:
  return jax.tree.map(jnp.add, sums, more)


def means(sums: Mapping[str, Any], prefix: str) -> dict[str, float]:
  """Returns the metrics of sums that lie on the host.

  Args:
    sums: of `batch_sums`, over any number of batches.
    prefix: `'train'` or `'val'`.

  Returns:
    `PREFIX/loss` and `PREFIX/accuracy`, with a `confusion` `PREFIX/macro_f1`.
  """
  count = float(sums['count'])
  result = {
    f'{prefix}/loss': float(sums['loss']) / count,
    f'{prefix}/accuracy': float(sums['correct']) / count,
  }
  if 'confusion' in sums:
    counts = np.rint(sums['confusion']).astype(np.int64)
    result[f'{prefix}/macro_f1'] = float(statistics.macro_f1(counts))
  return result
