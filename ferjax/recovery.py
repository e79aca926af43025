"""What a run went through after a loss that was not finite, or leapt.

It goes back to its last good checkpoint, takes a lower learning rate and the
data that comes next. A file in the workdir remembers that, so that a run which
is killed later goes on as it would have done.
"""

import json
from typing import Any, NamedTuple

from ml_collections import config_dict

from ferjax import documents, storage
from ferjax import workdir as workdir_lib
from ferjax.errors import UserError
from ferjax.storage import Path

NAME = 'rollbacks.json'
MODES = ('stop', 'rollback')


class Recovery(NamedTuple):
  """What holds for the steps that come.

  Attributes:
    times: how often the run went back.
    learning_rate_factor: of the rate that the config gives.
    skip: batches of the stream that are left out.
  """

  times: int = 0
  learning_rate_factor: float = 1.0
  skip: int = 0

  def after(self, factor: float, skip: int) -> 'Recovery':
    """Returns what holds after one more: a lower rate, later data."""
    rate = self.learning_rate_factor * factor
    return Recovery(self.times + 1, rate, self.skip + skip)


NONE = Recovery()


def validate(config: config_dict.ConfigDict) -> None:
  """Raises UserError for settings of the outermost section that cannot be."""
  if config.on_nan not in MODES:
    raise UserError(f'config.on_nan is {config.on_nan!r}; have {MODES}')
  if config.on_nan == 'rollback' and config.member_mode == 'vmap':
    raise UserError(
      'config.on_nan=rollback goes with config.member_mode=loop: as one'
      ' program, all members would have to go back'
    )
  if not 0 < config.rollback_factor <= 1:
    raise UserError(
      f'config.rollback_factor is {config.rollback_factor}; it is above 0, at'
      ' most 1'
    )
  if config.max_loss_factor and not config.max_loss_factor > 1:
    raise UserError(
      f'config.max_loss_factor is {config.max_loss_factor}; it is above 1, or 0'
      ' for none'
    )


def read(workdir: Path) -> Recovery:
  """Returns what holds for the run in `workdir`.

  Raises:
    UserError: when the file is damaged.
  """
  path = workdir / NAME
  if not path.exists():
    return NONE
  try:
    records = documents.parse(workdir_lib.read_text(path))
    return _checked(*(records[-1][f] for f in Recovery._fields))
  except (ValueError, LookupError, TypeError):
    raise UserError(
      f'{path} is damaged; what holds for the run is not known: begin in'
      ' another --workdir'
    ) from None


def _checked(times: Any, factor: Any, skip: Any) -> Recovery:
  """Raises ValueError for what no rollback leaves."""
  for count in (times, skip):
    # So that a later step of the stream is a number of 64 bits too.
    if type(count) is not int or not 0 <= count < 1 << 31:
      raise ValueError(count)
  if type(factor) not in (int, float) or not 0 < factor <= 1:
    raise ValueError(factor)
  return Recovery(times, factor, skip)


def write(workdir: Path, recovery: Recovery, step: int, why: str) -> None:
  """Remembers one more rollback.

  Args:
    workdir: of the run.
    recovery: what holds from now on.
    step: to which it went back.
    why: what happened, in a line.
  """
  path = workdir / NAME
  records = (
    documents.parse(workdir_lib.read_text(path)) if path.exists() else []
  )
  records.append({'to_step': step, 'why': why, **recovery._asdict()})
  storage.write_text(path, json.dumps(records, indent=2) + '\n')
