"""The training and evaluation steps: the only place where one is compiled.

A step is written once, for one device, with collectives over `AXIS`, and then
spread over all devices by `parallel.spread`. Sums and gradients are reduced
inside, so that what leaves a step replicated is the same on every device.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np
import optax

from ferjax import (
  gradients,
  inputs,
  losses,
  metrics,
  models,
  parallel,
  preprocess,
  views,
)
from ferjax.errors import UserError
from ferjax.inputs import Batch
from ferjax.parallel import AXIS
from ferjax.train_state import TrainState

TrainStep = Callable[[TrainState, Any, Batch], tuple[TrainState, metrics.Sums]]

MEMBER_MODES = ('auto', 'vmap', 'loop')


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
  if config.member_mode not in MEMBER_MODES:
    raise UserError(
      f'config.member_mode is {config.member_mode!r}; have {MEMBER_MODES}'
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
  hold: gradients.Hold = lambda params, step: params,
  has_members: bool = False,
) -> TrainStep:
  """Returns the compiled `step(state, table, batch) -> (state, sums)`.

  The state is donated and comes back replicated. `table` holds the images and
  labels that live on the devices, or is empty. The batch's leaves are
  `[devices, steps, n, ...]`: as many steps are made as it holds, one after
  another. The sums are those of `metrics.batch_sums` over all of it, with
  `grad_norm` summed over `steps`.

  What it draws depends on the batch's `seed`. Nothing of the seed is compiled
  in, so that all seeds share one program, on disk too.

  With `has_members`, an axis of members stands in front of every leaf of the
  state and of the sums, and behind the steps in those of the batch, `[devices,
  steps, members, n, ...]`. All members share the table. Each does what a
  training with its seed does alone.

  Args:
    config: the whole config, validated.
    model: the network.
    optimizer: of its parameters.
    class_weights: float32 `[classes]`, or `[members, classes]`.
    hold: stops the gradients of what is frozen; see `backbone.hold`.
    has_members: whether there is an axis of members.
  """
  step = functools.partial(_train_step, config, model, optimizer, hold)
  if has_members:
    step = jax.vmap(step, (0, 0, None, 0))
  one_step = functools.partial(step, class_weights)
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
  config: config_dict.ConfigDict,
  model: models.Module,
  seen: Sequence[views.View] = (views.keep,),
) -> Callable[[Any, Any, Batch], tuple[metrics.Sums, jax.Array]]:
  """Returns the compiled `step(variables, table, batch)`.

  It gives the sums over the batch, `confusion` among them, and each example's
  probabilities, float32 `[devices, n, classes]`. The loss is the plain
  cross-entropy, whatever the training minimises. All of it is of the mean of
  the probabilities over the views.

  Args:
    config: the whole config, validated.
    model: the network.
    seen: the views of each image, see `views.make_views`.
  """
  see = preprocess.make_preprocess(config)

  def step(
    variables: Any, table: Any, batch: Batch
  ) -> tuple[metrics.Sums, jax.Array]:
    batch = inputs.take(table, batch)
    logits = model.apply(
      {'params': variables['params'], **variables['model_state']},
      see(views.stack(seen, preprocess.to_float(batch['image']))),
      train=False,
    )
    probabilities = views.average(logits, len(seen))
    if len(seen) > 1:  # what follows takes logits, and these are as good
      logits = jnp.log(jnp.maximum(probabilities, np.finfo(np.float32).tiny))
    labels, mask = batch['label'], batch['mask']
    targets = losses.make_targets(labels, logits.shape[-1], 0.0)
    sums = metrics.batch_sums(
      logits, losses.cross_entropy(logits, targets), labels, mask
    )
    sums['confusion'] = metrics.confusion(logits, labels, mask)
    return lax.psum(sums, AXIS), probabilities

  return parallel.spread(step, config.sharding, (None, 0), donate=False)


def _train_step(
  config: config_dict.ConfigDict,
  model: models.Module,
  optimizer: optax.GradientTransformation,
  hold: gradients.Hold,
  class_weights: jax.Array,
  state: TrainState,
  table: Any,
  batch: Batch,
) -> tuple[TrainState, metrics.Sums]:
  """One step on one device, over its `[n, ...]` share of the batch."""
  key = jax.random.fold_in(jax.random.key(batch['seed']), state.step)
  image_key, device_key = jax.random.split(key)
  mix_key, dropout_key = jax.random.split(
    jax.random.fold_in(device_key, lax.axis_index(AXIS))
  )
  batch = inputs.prepare(
    config, image_key, mix_key, inputs.take(table, batch), class_weights
  )
  total_weight = lax.psum(jnp.sum(batch['weight']), AXIS)

  model_state, grads, sums = gradients.of_batch(
    config, model, hold, state, batch, total_weight, dropout_key
  )
  grads, sums = lax.psum((grads, sums), AXIS)
  # Each device saw other examples, and so has other batch statistics.
  model_state = lax.pmean(model_state, AXIS)
  sums |= {'grad_norm': optax.tree.norm(grads), 'steps': jnp.float32(1)}
  return _update(config, optimizer, state, grads, model_state), sums


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
