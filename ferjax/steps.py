"""The training and evaluation steps: the only place where one is compiled.

A step is written once, for one device, with collectives over `AXIS`, and then
spread over all devices by `parallel.spread`. Sums and gradients are reduced
inside, so that what leaves a step replicated is the same on every device.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np
import optax

from ferjax import inputs, losses, metrics, models, parallel, preprocess
from ferjax.errors import UserError
from ferjax.inputs import Batch
from ferjax.parallel import AXIS
from ferjax.train_state import TrainState

Hold = Callable[[Any, jax.Array], Any]


def validate(config: config_dict.ConfigDict) -> None:
  """Raises UserError for settings that no step can be made of."""
  if config.sharding not in parallel.SHARDINGS:
    raise UserError(
      f'config.sharding is {config.sharding!r}; have {parallel.SHARDINGS}'
    )
  parts = jax.device_count() * config.accumulation_steps
  if config.batch_size % parts:
    raise UserError(
      f'config.batch_size={config.batch_size} cannot be divided over '
      f'{jax.device_count()} devices in {config.accumulation_steps} '
      f'accumulation steps; give a multiple of {parts}'
    )
  if not 0.0 <= config.ema_decay < 1.0:
    raise UserError(
      f'config.ema_decay is {config.ema_decay}; it lies in [0, 1)'
    )


def make_train_step(
  config: config_dict.ConfigDict,
  model: models.Module,
  optimizer: optax.GradientTransformation,
  class_weights: np.ndarray,
  hold: Hold = lambda params, step: params,
) -> Callable[[TrainState, Any, Batch], tuple[TrainState, metrics.Sums]]:
  """Returns the compiled `step(state, table, batch) -> (state, sums)`.

  The state is donated and comes back replicated. `table` holds the images and
  labels that live on the devices, or is empty. The batch's leaves are
  `[devices, steps, n, ...]`: as many steps are made as it holds, one after
  another. The sums are those of `metrics.batch_sums` over all of it, with
  `grad_norm` summed over `steps`.

  Args:
    config: the whole config, validated.
    model: the network.
    optimizer: of its parameters.
    class_weights: float32 `[classes]`.
    hold: stops the gradients of what is frozen; see `backbone.hold`.
  """
  one_step = functools.partial(
    _train_step, config, model, optimizer, class_weights, hold
  )
  unroll = jax.default_backend() == 'cpu'  # a loop of convolutions crawls

  def steps(
    state: TrainState, table: Any, batch: Batch
  ) -> tuple[TrainState, metrics.Sums]:
    if len(batch['index']) == 1:
      return one_step(state, table, jax.tree.map(lambda x: x[0], batch))
    state, sums = lax.scan(
      lambda state, batch: one_step(state, table, batch),
      state,
      batch,
      unroll=unroll,
    )
    return state, jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)

  return parallel.spread(steps, config.sharding, (None, None), donate=True)


def make_eval_step(
  config: config_dict.ConfigDict, model: models.Module
) -> Callable[[Any, Any, Batch], tuple[metrics.Sums, jax.Array]]:
  """Returns the compiled `step(variables, table, batch)`.

  It gives the sums over the batch, `confusion` among them, and each example's
  probabilities, float32 `[devices, n, classes]`. The loss is the plain
  cross-entropy, whatever the training minimises.

  Args:
    config: the whole config, validated.
    model: the network.
  """
  see = preprocess.make_preprocess(config)

  def step(
    variables: Any, table: Any, batch: Batch
  ) -> tuple[metrics.Sums, jax.Array]:
    batch = inputs.take(table, batch)
    logits = model.apply(
      {'params': variables['params'], **variables['model_state']},
      see(preprocess.to_float(batch['image'])),
      train=False,
    )
    labels, mask = batch['label'], batch['mask']
    targets = losses.make_targets(labels, logits.shape[-1], 0.0)
    sums = metrics.batch_sums(
      logits, losses.cross_entropy(logits, targets), labels, mask
    )
    sums['confusion'] = metrics.confusion(logits, labels, mask)
    return lax.psum(sums, AXIS), jax.nn.softmax(logits)

  return parallel.spread(step, config.sharding, (None, 0), donate=False)


def _train_step(
  config: config_dict.ConfigDict,
  model: models.Module,
  optimizer: optax.GradientTransformation,
  class_weights: np.ndarray,
  hold: Hold,
  state: TrainState,
  table: Any,
  batch: Batch,
) -> tuple[TrainState, metrics.Sums]:
  """One step on one device, over its `[n, ...]` share of the batch."""
  key = jax.random.fold_in(jax.random.key(config.seed), state.step)
  image_key, device_key = jax.random.split(key)
  mix_key, dropout_key = jax.random.split(
    jax.random.fold_in(device_key, lax.axis_index(AXIS))
  )
  batch = inputs.prepare(
    config, image_key, mix_key, inputs.take(table, batch), class_weights
  )
  total_weight = lax.psum(jnp.sum(batch['weight']), AXIS)

  model_state, grads, sums = _gradients(
    config, model, hold, state, batch, total_weight, dropout_key
  )
  grads, sums = lax.psum((grads, sums), AXIS)
  # Each device saw other examples, and so has other batch statistics.
  model_state = lax.pmean(model_state, AXIS)
  sums |= {'grad_norm': optax.tree.norm(grads), 'steps': jnp.float32(1)}
  return _update(config, optimizer, state, grads, model_state), sums


def _gradients(
  config: config_dict.ConfigDict,
  model: models.Module,
  hold: Hold,
  state: TrainState,
  batch: Batch,
  total_weight: jax.Array,
  dropout_key: jax.Array,
) -> tuple[Any, Any, metrics.Sums]:
  """Works through one device's batch, in `accumulation_steps` parts.

  Returns:
    The other variables after the last part, the gradients of this device's
    share of the loss, and its sums.
  """

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
    each = losses.cross_entropy(logits, part['target'])
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


def _update(
  config: config_dict.ConfigDict,
  optimizer: optax.GradientTransformation,
  state: TrainState,
  grads: Any,
  model_state: Any,
) -> TrainState:
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  ema = state.ema
  if ema is not None:
    # A young average follows quickly, or it would stay near the first weights.
    age = state.step.astype(jnp.float32)
    decay = jnp.minimum(config.ema_decay, (1.0 + age) / (10.0 + age))
    ema = optax.incremental_update(
      {'params': params, 'model_state': model_state}, ema, 1.0 - decay
    )
  return TrainState(state.step + 1, params, model_state, opt_state, ema)
