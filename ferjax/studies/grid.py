"""A grid of configs: every combination of the values that fields are given."""

from collections.abc import Iterator, Sequence
import copy
import itertools
from typing import NamedTuple
import urllib.parse

from absl import flags
from ml_collections import config_dict, config_flags

from ferjax import config as config_lib
from ferjax import run
from ferjax.errors import UserError

_LONGEST_NAME = 255  # bytes, of a folder


class Cell(NamedTuple):
  """One training of the grid.

  Attributes:
    name: its values; also that of its workdir.
    settings: the same, as flags of `python -m ferjax.main`.
    config: what they make.
  """

  name: str
  settings: list[str]
  config: config_dict.ConfigDict


def make_cells(
  base: config_dict.ConfigDict, grid: Sequence[str]
) -> Iterator[Cell]:
  """Yields every combination of a grid, the last field changing fastest.

  Args:
    base: the config that all cells share.
    grid: `FIELD=VALUE,VALUE,...`, one of each field.

  Raises:
    UserError: for a field that there is not, a value that it cannot have, or
      two cells that are one.
  """
  fields, choices = [], []
  for given in grid:
    field, _, text = given.partition('=')
    config_lib.check_field(field)
    if field in fields:
      raise UserError(f'--grid={given}: {field} is in the grid already')
    fields.append(field)
    choices.append(_split(given, text))
  names = {}
  for values in itertools.product(*choices):
    pairs = [f'{f}={v}' for f, v in zip(fields, values, strict=True)]
    settings = [f'--config.{pair}' for pair in pairs]
    # A value may hold a slash, and no two cells may share a folder.
    name = '-'.join(urllib.parse.quote(pair, safe='=') for pair in pairs)
    if len(name) > _LONGEST_NAME:
      raise UserError(
        f'cell {" ".join(pairs)}: no folder can have so long a name; give '
        'what all cells share by --config.FIELD=VALUE, or shorter values'
      )
    try:
      config = _parse(base, settings)
    except (flags.Error, ValueError, TypeError) as error:
      line = str(error).strip().splitlines()[-1]
      raise UserError(f'cell {" ".join(pairs)}: {line}') from error
    if config.num_members > 1:
      raise UserError(
        f'cell {" ".join(pairs)}: config.num_members={config.num_members}; a '
        'sweep trains single networks, give --grid=seed=0,1,2'
      )
    twin = names.setdefault(config_lib.to_json(config), name)
    if twin != name:
      raise UserError(f'the cells {twin} and {name} are the same training')
    yield Cell(name, settings, config)


def _split(given: str, text: str) -> list[str]:
  """Splits values at the commas that are in no brackets and no quotes.

  Args:
    given: the whole of the flag, for people.
    text: what follows the name of the field.
  """
  values, depth, quote = [''], 0, ''
  for char in text:
    if char == ',' and not depth and not quote:
      values.append('')
      continue
    if quote:
      quote = '' if char == quote else quote
    elif char in '"\'' and not values[-1]:
      quote = char
    else:
      depth += (char in '([{') - (char in ')]}')
    values[-1] += char
  if not all(values) or depth or quote:
    raise UserError(
      f'--grid={given}: give FIELD=VALUE,VALUE,..., brackets and quotes closed'
    )
  if len(values) > 1 and any('=' in v and v[0] not in '"\'' for v in values):
    raise UserError(
      f'--grid={given}: does a comma end a value, or belong to it? quote each '
      'value that holds an equals sign, as "angry=2,fear=1.5",none'
    )
  return list(dict.fromkeys(v[1:-1] if v[0] in '"\'' else v for v in values))


def _parse(
  base: config_dict.ConfigDict, settings: Sequence[str]
) -> config_dict.ConfigDict:
  """Returns the config as `main` would read it, checked as far as it can be."""
  values, argv = flags.FlagValues(), ['sweep', *settings]
  config_flags.DEFINE_config_dict(
    'config', copy.deepcopy(base), flag_values=values, sys_argv=argv
  )
  values(argv)
  run.validate(values.config)
  return values.config
