"""How long, how often, how soon: every duration of a config in steps."""

from typing import NamedTuple

from ml_collections import config_dict

from ferjax.errors import UserError

UNITS = ('steps', 'epochs', 'examples')


def in_steps(
  section: config_dict.ConfigDict,
  name: str,
  num_examples: int,
  batch_size: int,
) -> int:
  """Returns the duration `name` in steps, 0 if it is not given.

  Args:
    section: holds `NAME_steps`, `NAME_epochs` and `NAME_examples`.
    name: for example `'num'` or `'eval_every'`.
    num_examples: in the training split.
    batch_size: of a step, over all devices and processes.

  Raises:
    UserError: when two units are given at once, or a negative number.
  """
  fields = {unit: f'{name}_{unit}' for unit in UNITS}
  given = {unit: field for unit, field in fields.items() if section[field]}
  if not given:
    return 0
  if len(given) > 1:
    raise UserError(
      ' and '.join(f'{field}={section[field]}' for field in given.values())
      + ' give the same duration twice; set all but one of them to 0'
    )
  ((unit, field),) = given.items()
  value = section[field]
  if value < 0:
    raise UserError(f'config.{field} is {value}; it cannot be negative')
  examples_per = {
    'steps': batch_size,
    'epochs': num_examples,
    'examples': 1,
  }
  return max(1, round(value * examples_per[unit] / batch_size))


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
  """Resolves every duration of `config`.

  Args:
    config: the whole config.
    num_examples: in the training split.

  Raises:
    UserError: when the training has no length, or a warm-up longer than that.
  """

  def steps(section: config_dict.ConfigDict, name: str) -> int:
    return in_steps(section, name, num_examples, config.batch_size)

  result = Durations(
    num_steps=steps(config, 'num'),
    warmup_steps=steps(config.schedule, 'warmup'),
    log_every=steps(config, 'log_every'),
    eval_every=steps(config, 'eval_every'),
    checkpoint_every=steps(config, 'checkpoint_every'),
  )
  if not result.num_steps:
    raise UserError(
      'the training has no length; give config.num_epochs, num_steps or '
      'num_examples'
    )
  if result.warmup_steps > result.num_steps:
    raise UserError(
      f'the warm-up of {result.warmup_steps} steps is longer than the '
      f'training of {result.num_steps}; lower config.schedule.warmup_*'
    )
  return result
