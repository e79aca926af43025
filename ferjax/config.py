"""What is done with a config: parsed, checked, kept as JSON, compared."""

from collections.abc import Mapping
from importlib import metadata
import json
import pathlib
from typing import Any

from ml_collections import config_dict

from ferjax import documents
from ferjax.defaults import default_config
from ferjax.errors import UserError

# What may differ when a run is resumed: none of it changes the result.
FREE_FIELDS = (
  'data.dir',
  'data.placement',
  'data.prefetch',
  'sharding',
  'steps_per_call',
  'log_every_steps',
  'log_every_epochs',
  'log_every_examples',
  'checkpoint_every_steps',
  'checkpoint_every_epochs',
  'checkpoint_every_examples',
  'keep_checkpoints',
  'on_nan',
  'max_rollbacks',
  'rollback_factor',
  'max_loss_factor',
)


def parse_argument(text: str, **defaults: Any) -> config_dict.ConfigDict:
  """Parses what follows the colon in `--config=FILE:depth=169,dataset=ckplus`.

  Args:
    text: `key=value` pairs with commas between them, or nothing.
    **defaults: every key that the config file knows; their types are those
      of the values.

  Returns:
    The defaults with the given values in their places.

  Raises:
    UserError: for an unknown key or a value of another type.
  """
  values = dict(defaults)
  for part in filter(None, text.split(',')):
    key, equals, value = part.partition('=')
    if key not in defaults or not equals:
      raise UserError(
        f'unknown config argument {part!r}; have '
        + ', '.join(f'{key}=' for key in sorted(defaults))
      )
    try:
      values[key] = type(defaults[key])(value)
    except ValueError:
      raise UserError(
        f'config argument {key}={value!r} is not of type '
        f'{type(defaults[key]).__name__}'
      ) from None
  return config_dict.ConfigDict(values)


def validate(config: config_dict.ConfigDict) -> None:
  """Raises UserError for a number of the outermost section out of range."""
  for name, least in (
    ('seed', 0),
    ('batch_size', 1),
    ('eval_batch_size', 1),
    ('num_members', 1),
    ('accumulation_steps', 1),
    ('steps_per_call', 0),
    ('keep_checkpoints', 1),
    ('max_rollbacks', 0),
  ):
    if config[name] < least:
      raise UserError(f'config.{name} is {config[name]}; the least is {least}')


def check_whole(config: Any, file: str) -> None:
  """Raises UserError unless a config file gave a config with every setting."""
  if isinstance(config, config_dict.ConfigDict):
    missing = flatten(default_config()).keys() - flatten(config).keys()
  else:
    missing = [f'field; it is a {type(config).__name__}']
  if missing:
    raise UserError(
      f'--config={file}: what get_config() returns has no {min(missing)}; it is'
      ' to change ferjax.config.default_config() and return that'
    )


def check_field(path: str) -> None:
  """Raises UserError if there is no setting `path`, such as `data.name`."""
  section = default_config()
  prefix = 'config'
  for name in path.split('.'):
    known = section if isinstance(section, config_dict.ConfigDict) else {}
    if name not in known:
      raise UserError(
        f'{prefix} has no field {name!r}; have '
        + (', '.join(sorted(known)) or 'none')
      )
    prefix, section = f'{prefix}.{name}', section[name]


def to_json(config: config_dict.ConfigDict) -> str:
  """Returns the config as indented JSON; tuples become lists."""
  return json.dumps(config.to_dict(), indent=2) + '\n'


def from_json(text: str) -> config_dict.ConfigDict:
  """Returns the config that `to_json` wrote, over today's defaults.

  Raises:
    ValueError, KeyError, AttributeError, TypeError: if it wrote none such.
  """
  config = default_config()
  try:
    _update(config, documents.parse(text))
  except OverflowError as error:  # a whole number too large for a float
    raise ValueError(str(error)) from None
  return config


def _update(section: config_dict.ConfigDict, values: Mapping[str, Any]) -> None:
  for key, value in values.items():
    if isinstance(value, dict):
      if not isinstance(section[key], config_dict.ConfigDict):
        raise TypeError(f'{key!r} is no section')
      _update(section[key], value)
      continue
    if value is None and section[key] is not None:
      raise TypeError(f'{key!r} is null')  # ml_collections would take it
    if isinstance(value, bool) and type(section[key]) is int:
      raise TypeError(f'{key!r} is no number')  # nor this
    if isinstance(value, list):
      if not all(isinstance(part, str | int | float) for part in value):
        raise TypeError(f'{key!r} is a list of more than texts and numbers')
      value = tuple(value)
    section[key] = value


def differences(
  old: config_dict.ConfigDict, new: config_dict.ConfigDict
) -> list[str]:
  """Returns `field: old, now new` for all that changes a run's result."""
  old, new = flatten(old), flatten(new)
  return [
    f'{field}: {old.get(field)!r}, now {new.get(field)!r}'
    for field in sorted(old | new)
    if old.get(field) != new.get(field) and field not in FREE_FIELDS
  ]


def facts(config: config_dict.ConfigDict) -> dict[str, str]:
  """Returns what all processes of a run must have in common, by name."""
  own = ('data.dir', 'data.prefetch')  # a machine may have its own
  values = {f: repr(v) for f, v in flatten(config).items() if f not in own}
  return values | libraries()


def libraries() -> dict[str, str]:
  """Returns the versions of what computes, by name."""
  names = ('ferjax', 'jax', 'jaxlib', 'flax', 'optax')
  return {name: metadata.version(name) for name in names}


def flatten(config: config_dict.ConfigDict, prefix: str = '') -> dict[str, Any]:
  """Returns every setting by its path, such as `data.name`."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, config_dict.ConfigDict):
      flat.update(flatten(value, f'{prefix}{key}.'))
    else:
      flat[prefix + key] = value
  return flat


def name_of(config_file: str) -> str:
  """Returns `resnet-depth=50` for `configs/resnet.py:depth=50`."""
  path, _, argument = config_file.partition(':')
  # The name of a tensorflow-datasets folder may hold a slash.
  argument = argument.replace('/', '-')
  return '-'.join(filter(None, (pathlib.Path(path).stem, argument)))
