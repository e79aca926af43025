"""The examples whose label a network doubts that was not trained on them."""

from collections.abc import Sequence
import csv
import io
from typing import NamedTuple

import numpy as np

from ferjax import data, documents, storage
from ferjax.data import mislabels
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError, printable
from ferjax.storage import Path


class Suspects(NamedTuple):
  """Probably wrong labels, the most probable first.

  Attributes:
    images: uint8 `[m, height, width, channels]`.
    splits: m names, where each image stands.
    index: int64 `[m]`, as in `Split`.
    given: m class names.
    suggested: m class names.
    margin: float64 `[m]`, see `mislabels.LabelErrors`.
    joint: float64 `[classes, classes]`, likewise.
    class_names: of the joint.
    origin: of the predictions, for people.
  """

  images: np.ndarray
  splits: Sequence[str]
  index: np.ndarray
  given: Sequence[str]
  suggested: Sequence[str]
  margin: np.ndarray
  joint: np.ndarray
  class_names: Sequence[str]
  origin: str


def from_workdir(workdir: Path, name: str, data_dir: str) -> Suspects:
  """Asks a trained network about its validation split.

  Args:
    workdir: of the training.
    name: of the data set that it must have been trained on.
    data_dir: where that was prepared.

  Raises:
    UserError: when the workdir cannot be read, or was trained on other data.
  """
  from ferjax import inference  # JAX takes seconds

  predictor = inference.load(workdir)
  settings = predictor.config.data
  if settings.name != name:
    raise UserError(
      f'{workdir} was trained on {settings.name}, not --dataset={name}'
    )
  settings.dir = data_dir
  dataset = data.load_dataset(settings, ('validation',))
  split = dataset.splits['validation']
  known = predictor.dataset['splits'].get('validation', {})
  if known.get('content_hash') != split.content_hash():
    raise UserError(
      f'{workdir} was trained with another validation split than that of {name}'
      f' in {data_dir}'
    )
  probabilities = predictor.probabilities(split.images)
  places = np.array([('validation', row) for row in range(len(split))], object)
  origin = f'validation predictions of {workdir}, step {predictor.step:,}'
  return _rank(dataset, places, probabilities, origin)


def from_files(paths: Sequence[Path], dataset: Dataset) -> Suspects:
  """Takes predictions that `evaluate` or `crossval` wrote.

  Of an example that stands in several files, the mean counts.

  Args:
    paths: predictions.csv files, each with its metrics.json beside it.
    dataset: whose examples they are of.

  Raises:
    UserError: when one cannot be read, is of other data, or of the split
      `train`, whose labels a network has learnt by heart.
  """
  by_place: dict[tuple[str, int], list[np.ndarray]] = {}
  for path in paths:
    for place, values in _read(path, dataset):
      by_place.setdefault(place, []).append(values)
  if not by_place:
    raise UserError(f'no predictions in {", ".join(map(str, paths))}')
  places = np.array(list(by_place), object)
  probabilities = np.array([np.mean(v, axis=0) for v in by_place.values()])
  origin = f'predictions of {", ".join(str(path) for path in paths)}'
  return _rank(dataset, places, probabilities, origin)


def _rank(
  dataset: Dataset, places: np.ndarray, probabilities: np.ndarray, origin: str
) -> Suspects:
  """Ranks examples that stand at `[n, 2]` places: a split and a row in it."""
  labels = np.array([dataset.splits[s].labels[row] for s, row in places])
  found = mislabels.label_errors(labels, probabilities)
  chosen = places[found.rows]
  shape = (0, *dataset.image_shape)
  images = [dataset.splits[s].images[row][None] for s, row in chosen]
  names = dataset.class_names
  return Suspects(
    images=np.concatenate([np.zeros(shape, np.uint8), *images]),
    splits=[s for s, _ in chosen],
    index=np.array(
      [dataset.splits[s].index[row] for s, row in chosen], np.int64
    ),
    given=[names[label] for label in labels[found.rows]],
    suggested=[names[label] for label in found.suggested],
    margin=found.margin,
    joint=found.joint,
    class_names=names,
    origin=origin,
  )


def _read(
  path: Path, dataset: Dataset
) -> list[tuple[tuple[str, int], np.ndarray]]:
  """Returns the place and the probabilities of each example in a file."""
  try:
    figures = documents.parse(storage.read_text(path.parent / 'metrics.json'))
    # A cross-validation has no split: it predicts all examples.
    name, split = figures['dataset'], figures.get('split')
    if not isinstance(split, str | None):
      raise TypeError('a split has a name')
    text = storage.read_text(path)
    lines = list(csv.DictReader(io.StringIO(text, newline='')))
  except OSError as error:
    raise UserError(
      f'cannot read {error.filename}: {error.strerror}'
    ) from error
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(
      f'{path.parent}/metrics.json is damaged; evaluate again'
    ) from error
  except csv.Error as error:
    raise UserError(f'{path} is damaged ({error}); evaluate again') from error
  if split == 'train':
    raise UserError(
      f'{path}: of images that the network was trained on, whose labels it has'
      ' learnt; give predictions of other splits, or of a cross-validation'
    )
  if name != dataset.name:
    shown = printable(str(name), 80)
    raise UserError(f'{path} is of {shown}, not of {dataset.name}')
  rows = _rows(dataset, split)
  try:
    return [_parse(line, rows, dataset) for line in lines]
  except (ValueError, KeyError, TypeError) as error:
    raise UserError(
      f'{path} does not fit {dataset.name}: {printable(str(error), 200)};'
      ' give predictions.csv of a network that was trained on it'
    ) from error


def _rows(dataset: Dataset, split: str | None) -> dict[int, tuple[str, int]]:
  """Returns where an example stands by its index in the source.

  Without a split that the data set has, all are looked through; no index may
  stand in two of them then.
  """
  names = [split] if split in dataset.splits else list(dataset.splits)
  rows: dict[int, tuple[str, int]] = {}
  for name in names:
    for row, index in enumerate(dataset.splits[name].index.tolist()):
      if index in rows:
        shown = printable(split or 'all splits', 80)
        raise UserError(
          f'predictions of {shown} of {dataset.name}: the index {index} stands'
          ' in several of its splits'
        )
      rows[index] = name, row
  return rows


def _parse(
  line: dict[str, str], rows: dict[int, tuple[str, int]], dataset: Dataset
) -> tuple[tuple[str, int], np.ndarray]:
  index = int(line['index'])
  if index not in rows:
    raise ValueError(f'it has no example {index} there')
  split, row = rows[index]
  missing = [name for name in dataset.class_names if name not in line]
  if missing:
    raise ValueError(f'it says nothing of the class {missing[0]}')
  label = dataset.class_names[dataset.splits[split].labels[row]]
  if line['label'] != label:
    raise ValueError(f'example {index} is {label}, not {line["label"]}')
  values = [float(line[name]) for name in dataset.class_names]
  if not all(0 <= value <= 1 for value in values):
    raise ValueError(f'example {index} has what is no probability')
  return (split, row), np.array(values)
