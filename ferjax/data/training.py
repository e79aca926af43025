"""What a training is given: train without copies and balanced, validation."""

from collections.abc import Mapping
import dataclasses

from ml_collections import config_dict

from ferjax import data
from ferjax.data import balance, copies
from ferjax.data.dataset import Dataset, Split


def load(config: config_dict.ConfigDict) -> Dataset:
  """Loads `train` and `validation` as `config.data` wants them trained on.

  Of the test split, where there is one, no more than the images is looked at,
  and only to leave out their copies.

  Args:
    config: the section `config.data`.

  Raises:
    UserError: see `data.load_dataset`.
  """
  names = ('train', 'validation')
  if config.exclude_duplicates and 'test' in data.split_names(config):
    names = (*names, 'test')
  loaded = data.load_dataset(config, names)
  train, notes = loaded.splits['train'], list(loaded.notes)
  if config.exclude_duplicates:
    train, note = _without_copies(train, loaded.splits)
    notes.append(note)
  balanced = balance.balance(
    train, loaded.num_classes, config.balance, config.seed
  )
  if balanced is not train:
    names = loaded.class_names
    notes.append(balance.note(config.balance, train, balanced, names))
  validation = loaded.splits['validation']
  return dataclasses.replace(
    loaded,
    splits={'train': balanced, 'validation': validation},
    notes=tuple(notes),
  )


def _without_copies(
  train: Split, splits: Mapping[str, Split]
) -> tuple[Split, str]:
  """Returns what is left of train, and what is said of it."""
  held_out = {name: s for name, s in splits.items() if name != 'train'}
  images = [split.images for split in held_out.values()]
  train, left_out = copies.exclude(train, images)
  return train, copies.note(left_out, list(held_out))
