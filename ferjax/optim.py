"""How gradients become updates: optax's optimizers and our schedules."""

from collections.abc import Callable
import inspect
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import config_dict
import optax

from ferjax import backbone
from ferjax.errors import UserError
from ferjax.muon import muon

SCHEDULES = ('cosine', 'step', 'constant')

# Those of optax that need only gradients, and whose rate may be a schedule.
OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
  name: getattr(optax, name)
  for name in (
    'adabelief',
    'adadelta',
    'adafactor',
    'adagrad',
    'adam',
    'adamax',
    'adamaxw',
    'adamw',
    'adan',
    'amsgrad',
    'fromage',
    'lamb',
    'lars',
    'lion',
    'nadam',
    'nadamw',
    'novograd',
    'optimistic_adam_v2',
    'optimistic_gradient_descent',
    'radam',
    'rmsprop',
    'sgd',
    'sign_sgd',
    'signum',
    'yogi',
  )
} | {'muon': muon}

_RULES = {
  'optimizer': {
    'name': (OPTIMIZERS.__contains__, f'one of {", ".join(OPTIMIZERS)}'),
    'learning_rate': (lambda rate: 0 < rate < math.inf, 'above 0'),
    'momentum': (lambda momentum: 0 <= momentum < 1, 'at least 0, below 1'),
    'weight_decay': (lambda decay: 0 <= decay < math.inf, '0 or above'),
    'clip_norm': (
      lambda norm: 0 <= norm < math.inf,
      'the largest norm of the gradient, or 0 for no limit',
    ),
  },
  'schedule': {
    'name': (SCHEDULES.__contains__, f'one of {", ".join(SCHEDULES)}'),
    'decay_at': (
      lambda parts: (
        all(isinstance(part, int | float) for part in parts)
        and all(a < b for a, b in itertools.pairwise((0, *parts, 1)))
      ),
      'rising parts of the training, above 0 and below 1',
    ),
    'decay_factor': (lambda factor: 0 < factor <= 1, 'above 0, at most 1'),
    'end_factor': (lambda factor: 0 <= factor <= 1, '0 to 1'),
  },
}


def make_schedule(
  schedule_config: config_dict.ConfigDict,
  learning_rate: float,
  num_steps: int,
  warmup_steps: int,
) -> optax.Schedule:
  """Returns the learning rate of each step as a function of its number.

  Step t = 0, 1, ... of the warm-up has the rate `(t + 1) / warmup_steps` of
  the whole: no step is wasted on a rate of 0. Likewise `end_factor` is what
  the cosine reaches at `num_steps`, one step past the last. The step decay
  multiplies by `decay_factor` at each of the parts `decay_at` of the whole
  training, warm-up included.

  Args:
    schedule_config: `config.schedule`; its warm-up is given resolved, below.
    learning_rate: the highest rate.
    num_steps: of the whole training.
    warmup_steps: of the linear warm-up; 0 is none.

  Returns:
    A function of the step's number, int or int32 scalar, that returns a
    float32 scalar.

  Raises:
    UserError: where the warm-up takes the whole training.
  """
  config = schedule_config
  if not 0 <= warmup_steps < num_steps:
    raise UserError(
      f'config.schedule has {warmup_steps} steps of warm-up; '
      f'the whole training has {num_steps}, and they must be fewer'
    )
  boundaries = [round(part * num_steps) for part in config.decay_at]

  def decay(step: jax.Array) -> jax.Array:
    if config.name == 'constant':
      return jnp.ones_like(step)
    if config.name == 'step':
      passed = [(step >= b).astype(jnp.float32) for b in boundaries]
      return config.decay_factor ** sum(passed)
    progress = (step - warmup_steps) / (num_steps - warmup_steps)
    # The half wave as a square: exact near its end, where 1 + cos is not.
    wave = jnp.square(jnp.cos(math.pi / 2 * jnp.clip(progress, 0.0, 1.0)))
    return config.end_factor + (1.0 - config.end_factor) * wave

  def schedule(count: jax.Array | int) -> jax.Array:
    step = jnp.asarray(count).astype(jnp.float32)
    warmup = jnp.minimum(1.0, (step + 1.0) / max(warmup_steps, 1))
    return learning_rate * warmup * decay(step)

  return schedule


def make_optimizer(
  optimizer_config: config_dict.ConfigDict,
  schedule: optax.Schedule,
  backbone_config: config_dict.ConfigDict | None = None,
  thaw_step: int = 0,
) -> optax.GradientTransformation:
  """Returns the optimizer; the step is counted in its own state.

  The gradient is clipped first. Optimizers with a masked decay of their own
  (adamw, lion, lamb, lars) use it. For all others (sgd, adam) the decay is
  added to the gradient ahead of them, as in PyTorch. Momentum goes to those
  that take it, and with it `nesterov`, so that adam stays adam: Nesterov's
  form of it is nadam.

  Args:
    optimizer_config: `config.optimizer`.
    schedule: the learning rate by step, in place of the config's.
    backbone_config: `config.backbone`; None treats all layers alike.
    thaw_step: the first step that trains a frozen backbone; 0 is never.
  """
  clip = []
  if optimizer_config.clip_norm:
    clip.append(optax.clip_by_global_norm(optimizer_config.clip_norm))
  whole = _make_unclipped(optimizer_config, schedule)
  if backbone_config is None or not (
    backbone_config.freeze or backbone_config.learning_rate_factor != 1
  ):
    return optax.chain(*clip, *whole)
  # The backbone's own count of steps begins when it thaws.
  later = _make_unclipped(
    optimizer_config, lambda count: schedule(count + thaw_step)
  )
  return optax.chain(
    *clip,
    backbone.split(
      backbone_config, thaw_step, optax.chain(*whole), optax.chain(*later)
    ),
  )


def _make_unclipped(
  optimizer_config: config_dict.ConfigDict, schedule: optax.Schedule
) -> list[optax.GradientTransformation]:
  config = optimizer_config
  factory = OPTIMIZERS[config.name]
  takes = inspect.signature(factory).parameters
  arguments, links = {}, []
  if 'momentum' in takes:
    arguments['momentum'] = config.momentum
    if 'nesterov' in takes:
      arguments['nesterov'] = config.nesterov
  masks = [name for name in ('mask', 'weight_decay_mask') if name in takes]
  if masks and 'weight_decay' in takes:
    arguments['weight_decay'] = config.weight_decay
    arguments[masks[0]] = kernel_mask
  elif config.weight_decay:
    links.append(optax.add_decayed_weights(config.weight_decay, kernel_mask))
  return [*links, factory(learning_rate=schedule, **arguments)]


def kernel_mask(params: Any) -> Any:
  """Returns a tree of bools, True at leaves named 'kernel': what decays."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == 'kernel', params
  )


def validate(
  optimizer_config: config_dict.ConfigDict,
  schedule_config: config_dict.ConfigDict,
) -> None:
  """Raises a `UserError` where a setting is unknown or out of its range."""
  sections = {'optimizer': optimizer_config, 'schedule': schedule_config}
  for section, rules in _RULES.items():
    for name, (is_valid, meaning) in rules.items():
      value = sections[section][name]
      if not is_valid(value):
        raise UserError(
          f'config.{section}.{name} is {value!r}; it is {meaning}'
        )
