"""What a classifier is scored on, and what it has seen before."""

from collections.abc import Iterator
import dataclasses
from typing import TypeVar

from ml_collections import config_dict
import numpy as np

from ferjax import config as config_lib
from ferjax import data
from ferjax.data import copies, training
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError
from ferjax.inference import Classifier
from ferjax.statistics import calibration

C = TypeVar('C', bound=Classifier)


def load_data(
  classifier: Classifier,
  split: str,
  name: str | None = None,
  data_dir: str | None = None,
) -> Dataset:
  """Loads what is to be scored.

  Args:
    classifier: of one run or several; the first says which data, which fold
      and which classes.
    split: to score.
    name: of another prepared data set; None is the training's own.
    data_dir: where that was prepared; None is where the training's is.

  Returns:
    The split and, of the training's own data, also `train`, where there is
    one. The notes tell how many of the images some run was trained on that
    had other training images than these.

  Raises:
    UserError: when the data cannot be loaded or has no such split.
  """
  settings = _own(classifier.config, name, data_dir)
  is_foreign = name not in (None, settings.name)
  if is_foreign:
    settings.name, settings.dir = name, data_dir or settings.dir
  names = [split]
  if not is_foreign and split != 'train':
    names += {'train'}.intersection(data.split_names(settings))
  dataset = data.load_dataset(settings, names, is_foreign)
  covered = None if is_foreign else settings
  notes = list(
    _seen(classifier, dataset.splits[split].images, covered, name, data_dir)
  )
  return dataclasses.replace(dataset, notes=(*dataset.notes, *notes))


def calibrate(
  classifier: C,
  dataset: Dataset,
  split: str,
  name: str | None = None,
  data_dir: str | None = None,
) -> tuple[C, Dataset]:
  """Fits the temperature on the validation split of the training's own data.

  Args:
    classifier: that lacks a temperature.
    dataset: with what is to be scored.
    split: its name.
    name: as of `load_data`.
    data_dir: as of `load_data`.

  Returns:
    The classifier with its temperature, and the data set with a note of where
    that is from. Where the validation split itself is scored there is no
    temperature, and the note says why.

  Raises:
    UserError: when there is no such split, or when it is not the same for all
      members of an ensemble: one may have been trained on another's.
  """
  validation = None
  for settings in _distinct(classifier, name, data_dir):
    loaded = data.load_dataset(settings, ('validation',))
    examples = loaded.splits['validation']
    if validation is None:
      validation, own = examples, loaded
    elif validation.content_hash() != examples.content_hash():
      raise UserError(
        'no temperature for an ensemble of different validation splits: what '
        'one member never saw may have trained another'
      )
  if set(own.class_names) != set(classifier.class_names):
    raise UserError(
      f'{own.name} now has the classes {", ".join(own.class_names)}; the '
      f'network was trained with {", ".join(classifier.class_names)}'
    )
  if validation.content_hash() == dataset.splits[split].content_hash():
    note = 'no temperature: it would be fitted to the very images it is scored'
    note += ' on; give another --split'
    return classifier, _add_note(dataset, note)
  places = [classifier.class_names.index(n) for n in own.class_names]
  labels = np.array(places, np.int32)[validation.labels]
  evaluation = classifier.evaluate(
    dataclasses.replace(validation, labels=labels, targets=None)
  )
  temperature = calibration.fit_temperature(evaluation.probabilities, labels)
  note = (
    f'temperature {temperature:.3f}, fitted on the {len(labels):,} validation '
    f'images of {own.name}'
  )
  return (
    dataclasses.replace(classifier, temperature=temperature),
    _add_note(dataset, note),
  )


def _own(
  config: config_dict.ConfigDict, name: str | None, data_dir: str | None
) -> config_dict.ConfigDict:
  """Returns a run's data settings, where they lie today."""
  settings = config.data.copy_and_resolve_references()
  if data_dir and name in (None, settings.name):
    settings.dir = data_dir
  return settings


def _distinct(
  classifier: Classifier, name: str | None, data_dir: str | None
) -> list[config_dict.ConfigDict]:
  """Returns the data settings of all runs, equal ones once."""
  by_content = {}
  for config in classifier.configs:
    settings = _own(config, name, data_dir)
    by_content.setdefault(_content(settings), settings)
  return list(by_content.values())


def _content(settings: config_dict.ConfigDict) -> str:
  """Returns all that decides which images these are; where, does not."""
  return repr(
    [
      item
      for item in sorted(settings.to_dict().items())
      if f'data.{item[0]}' not in config_lib.FREE_FIELDS
    ]
  )


def _seen(
  classifier: Classifier,
  images: np.ndarray,
  covered: config_dict.ConfigDict | None,
  name: str | None,
  data_dir: str | None,
) -> Iterator[str]:
  """Yields how many images each other training set holds.

  Args:
    classifier: of one run or several.
    images: to be scored.
    covered: the settings whose training images come with the data set.
    name: as of `load_data`.
    data_dir: as of `load_data`.
  """
  for settings in _distinct(classifier, name, data_dir):
    if covered is not None and _content(settings) == _content(covered):
      continue
    what = settings.name
    if len(classifier.configs) > 1:
      what += ' of a member'
    try:
      train = training.load(settings).splits['train']
    except UserError:
      yield (
        f'the training images, {what}, are not there any more: nobody looked '
        'for copies among them'
      )
      continue
    count = int(copies.occurs_in(images, train.images).sum())
    if count:
      yield (
        f'{count:,} of the {len(images):,} images also stand in the training '
        f'images, {what}: this is no test of what was learnt there'
      )


def _add_note(dataset: Dataset, note: str) -> Dataset:
  return dataclasses.replace(dataset, notes=(*dataset.notes, note))
