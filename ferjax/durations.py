"""How long, how often, how soon: every duration of a config in steps."""

from typing import NamedTuple

from ml_collections import config_dict

from ferjax.errors import UserError

UNITS = ('steps', 'epochs', 'examples')


def validate(config: config_dict.ConfigDict) -> None:
  """Checks every duration of `config` that can be checked without the data.

  Raises:
    UserError: when two units are given at once, a number is negative, or the
      training has no length.
  """
  for section, name in (
    (config, 'num'),
    (config.schedule, 'warmup'),
    (config, 'log_every'),
    (config, 'eval_every'),
    (config, 'checkpoint_every'),
  ):
    given = _given(section, name)
    if len(given) > 1:
      raise UserError(
        ' and '.join(f'{name}_{unit}={given[unit]}' for unit in given)
        + ' give the same duration twice; set all but one of them to 0'
      )
    for unit, value in given.items():
      if value < 0:
        raise UserError(
          f'config.{name}_{unit} is {value}; it cannot be negative'
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
  """All durations of a run, in steps; 0 is never."""

  num_steps: int
  warmup_steps: int
  log_every: int
  eval_every: int
  checkpoint_every: int

  @property
  def intervals(self) -> dict[str, int]:
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
      for name, every in self.intervals.items()
      if is_last or (every and step % every == 0)
    }


def resolve(config: config_dict.ConfigDict, num_examples: int) -> Durations:
  """Returns every duration of a valid `config` in steps, at least 1 if given.

  Args:
    config: the whole config.
    num_examples: in the training split.
  """
  examples_per_unit = {
    'steps': config.batch_size,
    'epochs': num_examples,
    'examples': 1,
  }

  def steps(section: config_dict.ConfigDict, name: str) -> int:
    for unit, value in _given(section, name).items():
      examples = value * examples_per_unit[unit]
      return max(1, round(examples / config.batch_size))
    return 0

  return Durations(
    num_steps=steps(config, 'num'),
    warmup_steps=steps(config.schedule, 'warmup'),
    log_every=steps(config, 'log_every'),
    eval_every=steps(config, 'eval_every'),
    checkpoint_every=steps(config, 'checkpoint_every'),
  )
