"""The gradients of one device's share of a batch, worked through in parts."""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from ml_collections import config_dict

from ferjax import losses, metrics, models
from ferjax.inputs import Batch
from ferjax.train_state import TrainState

Hold = Callable[[Any, jax.Array], Any]


def of_batch(
  config: config_dict.ConfigDict,
  model: models.Module,
  hold: Hold,
  state: TrainState,
  batch: Batch,
  total_weight: jax.Array,
  dropout_key: jax.Array,
) -> tuple[Any, Any, metrics.Sums]:
  """Works through one device's batch, in `accumulation_steps` parts.

  Args:
    config: the whole config.
    model: the network.
    hold: stops the gradients of what is frozen, by parameters and step.
    state: before the step.
    batch: of `inputs.prepare`, `[n, ...]`.
    total_weight: of the whole global batch.
    dropout_key: of this step and device.

  Returns:
    The other variables after the last part, the gradients of this device's
    share of the loss, and its sums.
  """
  loss_of = losses.make_loss(config.data.label_mode)

  def loss_fn(
    params: Any, model_state: Any, part: Batch, key: jax.Array
  ) -> tuple[jax.Array, tuple[Any, metrics.Sums]]:
    logits, model_state = model.apply(
      {'params': hold(params, state.step), **model_state},
      part['image'],
      train=True,
      mutable=list(model_state),
      rngs={'dropout': key},
    )
    each = loss_of(logits, part['target'])
    sums = metrics.batch_sums(logits, each, part['label'], part['mask'])
    loss = jnp.sum(each * part['weight']) / total_weight
    return loss, (model_state, sums)

  def add_part(carry: tuple, share: tuple) -> tuple[tuple, None]:
    model_state, grads, sums = carry
    more, (model_state, more_sums) = jax.grad(loss_fn, has_aux=True)(
      state.params, model_state, *share
    )
    add = functools.partial(jax.tree.map, jnp.add)
    return (model_state, add(grads, more), add(sums, more_sums)), None

  parts = config.accumulation_steps
  shares = (
    jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch),
    jax.random.split(dropout_key, parts),
  )
  zeros = jax.tree.map(jnp.zeros_like, state.params)
  no_sums = dict.fromkeys(('loss', 'correct', 'count'), jnp.float32(0))
  carry = (state.model_state, zeros, no_sums)
  if parts == 1:
    carry, _ = add_part(carry, jax.tree.map(lambda x: x[0], shares))
  else:
    carry, _ = lax.scan(
      add_part, carry, shares, unroll=jax.default_backend() == 'cpu'
    )
  return carry
