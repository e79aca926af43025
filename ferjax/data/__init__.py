"""The door to the data: `load_dataset` by the name in the config."""

from collections.abc import Mapping, Sequence
import os
import typing

from ml_collections import config_dict

from ferjax.data import ckplus, fer2013, holdout, mnist
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError

if typing.TYPE_CHECKING:
  from ferjax.data import reader

# Besides these, every data set that tensorflow-datasets prepared.
DATASETS = ('synthetic', 'fer2013', 'ckplus', 'mnist')

_HOW_TO_GET = {
  'fer2013': fer2013.HOW_TO_GET,
  'ckplus': ckplus.HOW_TO_GET,
  'mnist': mnist.HOW_TO_GET,
}


def validate(config: config_dict.ConfigDict) -> None:
  """Checks the section `config.data` as far as data sets are concerned.

  Raises:
    UserError: naming the field that is wrong.
  """
  if config.name not in DATASETS and '://' not in config.dir:
    folder = os.path.join(os.path.expanduser(config.dir), config.name)
    if not os.path.isdir(folder):
      raise _unknown(config)
  if config.name == 'ckplus' and not 0 <= config.fold < ckplus.NUM_FOLDS:
    raise UserError(
      f'config.data.fold is {config.fold}; the folds are'
      f' 0 to {ckplus.NUM_FOLDS - 1}'
    )
  if config.seed < 0:
    raise UserError(f'config.data.seed is {config.seed}; it must not be < 0')


def load_dataset(
  config: config_dict.ConfigDict, split_names: Sequence[str]
) -> Dataset:
  """Loads splits of the data set `config.name` into memory.

  Args:
    config: the section `config.data`.
    split_names: of 'train', 'validation' and 'test', those wanted.

  Raises:
    UserError: if the data set is unknown, not prepared, damaged or without one
      of these splits. Nothing else is ever taken in its place, but where
      tensorflow-datasets wrote no validation split, a tenth of each class of
      train is, and the notes say so.
  """
  validate(config)
  if config.name == 'synthetic':
    from ferjax.data import synthetic

    _check_splits(config.name, split_names, tuple(synthetic.SPLIT_SIZES), {})
    return synthetic.load(split_names, config.seed)
  if config.name == 'ckplus':
    return _load_fold(config, split_names)
  return _load_prepared(config, split_names)


def _load_prepared(
  config: config_dict.ConfigDict, split_names: Sequence[str]
) -> Dataset:
  prepared = _open(config)
  present, notes = prepared.split_names, prepared.notes
  # Where `prepare` wrote no validation split, it had a reason.
  is_drawn = (
    not prepared.is_own and 'train' in present and 'validation' not in present
  )
  if is_drawn:
    present = (*present, 'validation')
    notes = (*notes, holdout.note(config.name, config.seed))
  _check_splits(
    f'{config.name} as prepared in {config.dir}',
    split_names,
    present,
    prepared.missing,
  )
  parts = {'train', 'validation'} if is_drawn else set()
  splits = {n: prepared.read(n)[0] for n in split_names if n not in parts}
  if parts & set(split_names):
    train, _ = prepared.read('train')
    splits['train'], splits['validation'] = holdout.draw(
      train, config.seed, prepared.source
    )
  return Dataset(
    name=config.name,
    class_names=prepared.class_names,
    splits={name: splits[name] for name in split_names},
    source=prepared.source,
    notes=notes,
  )


def _load_fold(
  config: config_dict.ConfigDict, split_names: Sequence[str]
) -> Dataset:
  prepared = _open(config)
  full, columns = prepared.read(ckplus.SPLIT, ('subject',))
  parts = ckplus.fold_splits(columns['subject'], config.fold)
  _check_splits(config.name, split_names, tuple(parts), {})
  for name in split_names:
    if not parts[name].any():
      raise UserError(
        f'{prepared.source}: too few subjects, config.data.fold={config.fold}'
        f' leaves none for the {name} split'
      )
  validation_fold = (config.fold + 1) % ckplus.NUM_FOLDS
  note = (
    f'ckplus by subjects: test is fold {config.fold} of {ckplus.NUM_FOLDS},'
    f' validation fold {validation_fold}, train the rest'
  )
  return Dataset(
    name=config.name,
    class_names=prepared.class_names,
    splits={name: full.take(parts[name]) for name in split_names},
    source=prepared.source,
    notes=(*prepared.notes, note),
  )


def _open(config: config_dict.ConfigDict) -> 'reader.Prepared':
  from ferjax.data import reader  # tensorflow-datasets only where needed

  try:
    path = reader.find(config.dir, config.name)
  except ImportError as error:  # of what opens a bucket
    raise UserError(
      f'cannot read {config.dir}: {error} (gs: pip install "ferjax[gcs]")'
    ) from None
  except OSError as error:
    reason = error.strerror or error
    raise UserError(f'cannot read {config.dir}: {reason}') from error
  if path is None:
    raise _not_prepared(config)
  return reader.Prepared(path)


def _unknown(config: config_dict.ConfigDict) -> UserError:
  return UserError(
    f'config.data.name is {config.name!r}; the data sets are'
    f' {", ".join(DATASETS)}, and any that tensorflow-datasets prepared in'
    f' {config.dir} (nothing in {config.dir}/{config.name})'
  )


def _not_prepared(config: config_dict.ConfigDict) -> UserError:
  if config.name not in _HOW_TO_GET:
    return _unknown(config)
  return UserError(
    f'{config.name} is not prepared: nothing in {config.dir}/{config.name}\n'
    f'  get it: {_HOW_TO_GET[config.name]}\n'
    f'  prepare it: python -m ferjax.prepare --dataset={config.name}'
    f' --source=PATH --data_dir={config.dir}\n'
    '  or try without it: --config=FILE:dataset=synthetic'
  )


def _check_splits(
  data: str,
  wanted: Sequence[str],
  present: Sequence[str],
  missing: Mapping[str, str],
) -> None:
  for name in wanted:
    if name not in present:
      why = f': {missing[name]}' if name in missing else ''
      raise UserError(
        f'{data} has no {name!r} split (it has {", ".join(present)}){why}'
      )
