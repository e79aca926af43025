"""A classifier's answers to the examples of one split, and their figures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError
from ferjax.evaluation import figures
from ferjax.inference import Classifier, Evaluation


class Result(NamedTuple):
  """What an evaluation found.

  Attributes:
    title: who answered what.
    figures: what stands in metrics.json.
    examples: those that were scored, with the classifier's labels.
    evaluation: the answers to them.
  """

  title: str
  figures: dict[str, Any]
  examples: Split
  evaluation: Evaluation


def assess(
  classifier: Classifier,
  dataset: Dataset,
  split: str,
  evaluation: Evaluation | None = None,
) -> Result:
  """Asks a classifier about every example of a split whose class it knows.

  Args:
    classifier: the network, or several.
    dataset: holds the split, and `train`, where its copies are to be told.
    split: its name.
    evaluation: of the split, where the classifier was asked already.

  Raises:
    UserError: when images or classes do not fit.
  """
  examples, left_out = match_classes(dataset, split, classifier.class_names)
  evaluation = evaluation or classifier.evaluate(examples)
  train = dataset.splits.get('train') if split != 'train' else None
  found = {
    'dataset': dataset.name,
    'split': split,
    'content_hash': examples.content_hash(),
    'step': classifier.step,
    'notes': list(dataset.notes),
    'left_out': left_out,
    **figures.collect(classifier, evaluation, examples, train),
  }
  title = f'{classifier.title} on {dataset.name} {split}'
  return Result(title, found, examples, evaluation)


def match_classes(
  dataset: Dataset, split: str, class_names: Sequence[str]
) -> tuple[Split, dict[str, int]]:
  """Renumbers the labels of another data set for a network's classes.

  Args:
    dataset: with any classes.
    split: the name of one of its splits.
    class_names: of the network.

  Returns:
    The examples whose class the network knows, and how many of each other
    class were left out.

  Raises:
    UserError: when no class is common.
  """
  examples = dataset.splits[split]
  places = np.array(
    [
      class_names.index(name) if name in class_names else -1
      for name in dataset.class_names
    ]
  )
  labels = places[examples.labels]
  known = labels >= 0
  counts = examples.counts(dataset.num_classes)
  left_out = {
    name: int(count)
    for name, count, place in zip(
      dataset.class_names, counts, places, strict=True
    )
    if place < 0 and count
  }
  if not known.any():
    raise UserError(
      f'{dataset.name} has no class that the network knows: '
      f'{", ".join(dataset.class_names)} against {", ".join(class_names)}'
    )
  kept = Split(
    examples.images[known],
    labels[known].astype(np.int32),
    examples.index[known],
  )
  return kept, left_out
