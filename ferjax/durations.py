"""How long, how often, how soon: every duration of a config in steps."""

import math
from typing import NamedTuple

from ml_collections import config_dict

from ferjax.errors import UserError

UNITS = ('steps', 'epochs', 'examples')
_SLACK = 1e-6  # steps; ten tenths of an epoch may be a bit more than one


def validate(config: config_dict.ConfigDict) -> None:
  """Checks every duration of `config` that can be checked without the data.

  Raises:
    UserError: when two units are given at once, a number is negative or not
      finite, or the training has no length.
  """
  for path in (
    'num',
    'schedule.warmup',
    'backbone.thaw',
    'log_every',
    'eval_every',
    'checkpoint_every',
  ):
    prefix, _, name = path.rpartition('.')
    given = _given(config[prefix] if prefix else config, name)
    if len(given) > 1:
      raise UserError(
        ' and '.join(f'config.{path}_{unit}={given[unit]}' for unit in given)
        + ' give the same duration twice; set all but one of them to 0'
      )
    for unit, value in given.items():
      if not 0 <= value < math.inf:
        raise UserError(
          f'config.{path}_{unit} is {value}; it must be finite and not negative'
        )
  if not _given(config, 'num'):
    raise UserError(
      'the training has no length; give config.num_epochs, num_steps or '
      'num_examples'
    )


def _given(section: config_dict.ConfigDict, name: str) -> dict[str, float]:
  values = {unit: section[f'{name}_{unit}'] for unit in UNITS}
  return {unit: value for unit, value in values.items() if value}


class Durations(NamedTuple):
  """All durations of a run, in steps.

  What is done again and again is done at the first step past each multiple of
  its interval, which need not be whole: an epoch seldom is. 0 is never.
  """

  num_steps: int
  warmup_steps: int
  thaw_step: int
  log_every: float
  eval_every: float
  checkpoint_every: float

  @property
  def intervals(self) -> dict[str, float]:
    """What is done again and again, and how often."""
    return {
      'log': self.log_every,
      'eval': self.eval_every,
      'checkpoint': self.checkpoint_every,
    }

  def due(self, step: int) -> set[str]:
    """Returns what is to be done after `step` steps; at the end, all."""
    is_last = step == self.num_steps
    return {
      name
      for name, interval in self.intervals.items()
      if is_last or (interval and next_event(step - 1, interval) == step)
    }


def next_event(step: int, interval: float) -> int:
  """Returns the first step after `step` at which `interval` is full."""
  count = math.floor((step + _SLACK) / interval) + 1
  return math.ceil(count * interval - _SLACK)


def resolve(config: config_dict.ConfigDict, num_examples: int) -> Durations:
  """Returns every duration of a valid `config` in steps, at least 1 if given.

  Args:
    config: the whole config.
    num_examples: in the training split.

  Raises:
    UserError: where the training ends before the backbone thaws.
  """
  steps_per_unit = {
    'steps': 1.0,
    'epochs': num_examples / config.batch_size,
    'examples': 1 / config.batch_size,
  }

  def steps(section: config_dict.ConfigDict, name: str) -> float:
    for unit, value in _given(section, name).items():
      return max(1.0, value * steps_per_unit[unit])
    return 0.0

  num_steps = math.ceil(steps(config, 'num') - _SLACK)
  thaw_step = round(steps(config.backbone, 'thaw'))
  if thaw_step and thaw_step >= num_steps:
    ((unit, value),) = _given(config.backbone, 'thaw').items()
    raise UserError(
      f'config.backbone.thaw_{unit}={value} never comes: it is {thaw_step} '
      f'steps; the whole training has {num_steps}, and it must be fewer'
    )
  return Durations(
    num_steps=num_steps,
    warmup_steps=round(steps(config.schedule, 'warmup')),
    thaw_step=thaw_step,
    log_every=steps(config, 'log_every'),
    eval_every=steps(config, 'eval_every'),
    checkpoint_every=steps(config, 'checkpoint_every'),
  )
