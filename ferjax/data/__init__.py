"""The door to the data: `load_dataset` by the name in the config."""

from collections.abc import Sequence
import os

from ml_collections import config_dict

from ferjax import storage
from ferjax.data import (
  balance,
  ckplus,
  fer2013,
  ferplus,
  folders,
  folds,
  mnist,
  selection,
  source,
)
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError, printable

# Besides these, every data set that was prepared, by whatever name.
DATASETS = ('synthetic', 'fer2013', 'ferplus', 'ckplus', 'mnist', 'folders')

_HOW_TO_GET = {
  'fer2013': fer2013.HOW_TO_GET,
  'ferplus': ferplus.HOW_TO_GET,
  'ckplus': ckplus.HOW_TO_GET,
  'mnist': mnist.HOW_TO_GET,
  'folders': folders.HOW_TO_GET,
}


def validate(config: config_dict.ConfigDict) -> None:
  """Checks the section `config.data` as far as data sets are concerned.

  Raises:
    UserError: naming the field that is wrong.
  """
  if config.name not in DATASETS and not storage.is_remote(config.dir):
    folder = os.path.join(os.path.expanduser(config.dir), config.name)
    if not os.path.isdir(folder):
      raise _unknown(config)
  if config.seed < 0:
    raise UserError(f'config.data.seed is {config.seed}; it must not be < 0')
  for part in (folds, ferplus, selection, balance):
    part.validate(config)


def load_dataset(
  config: config_dict.ConfigDict,
  split_names: Sequence[str],
  foreign: bool = False,
) -> Dataset:
  """Loads splits of the data set `config.name`; large ones stay on disk.

  Args:
    config: the section `config.data`.
    split_names: of 'train', 'validation' and 'test', those wanted.
    foreign: whether the settings for classes were made for another data set;
      see `selection.select`.

  Raises:
    UserError: if the data set is unknown, not prepared, damaged or without one
      of these splits. Nothing else is ever taken in its place, but where
      tensorflow-datasets wrote no validation split, a tenth of each class of
      train is, and the notes say so.
  """
  validate(config)
  dataset = _open(config, foreign).load(split_names)
  return selection.select(config, dataset, foreign)


def split_names(config: config_dict.ConfigDict) -> tuple[str, ...]:
  """Returns the splits that `load_dataset` can give of `config.name`.

  Raises:
    UserError: if the data set is unknown, not prepared or damaged.
  """
  validate(config)
  return _open(config).split_names


def num_folds(config: config_dict.ConfigDict) -> int:
  """Returns how many folds the data set `config.name` comes in.

  Raises:
    UserError: if it comes in none, or cannot be loaded.
  """
  validate(config)
  return _open(config).num_folds()


def _open(
  config: config_dict.ConfigDict, foreign: bool = False
) -> source.Source:
  if config.name == 'synthetic':
    return source.of_synthetic(config, foreign)
  from ferjax.data import reader  # tensorflow-datasets only where needed

  try:
    path = reader.find(config.dir, config.name)
  except OSError as error:
    reason = error.strerror or error
    raise UserError(f'cannot read {config.dir}: {reason}') from error
  if path is None:
    raise _not_prepared(config)
  return source.of_prepared(config, reader.Prepared(path), foreign)


def _unknown(config: config_dict.ConfigDict) -> UserError:
  return UserError(
    f'config.data.name is {config.name!r}; the data sets are'
    f' {", ".join(DATASETS)}, and any that was prepared in'
    f' {printable(config.dir)}'
    f' (nothing in {printable(f"{config.dir}/{config.name}")})'
  )


def _not_prepared(config: config_dict.ConfigDict) -> UserError:
  if config.name not in _HOW_TO_GET:
    return _unknown(config)
  votes = ' --votes=FILE' if config.name == 'ferplus' else ''
  return UserError(
    f'{config.name} is not prepared: nothing in {config.dir}/{config.name}\n'
    f'  get it: {_HOW_TO_GET[config.name]}\n'
    f'  prepare it: python -m ferjax.prepare --dataset={config.name}'
    f' --source=PATH{votes} --data_dir={config.dir}\n'
    '  or try without it: --config=FILE:dataset=synthetic'
  )
