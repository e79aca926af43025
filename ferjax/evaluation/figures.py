"""The figures of an evaluation, ready for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ferjax import statistics
from ferjax.data import copies
from ferjax.data.dataset import Split
from ferjax.evaluation import scores
from ferjax.inference import Classifier, Evaluation
from ferjax.statistics import calibration


def summarize(
  evaluation: Evaluation, class_names: Sequence[str]
) -> dict[str, Any]:
  """Returns what the sums of an evaluation say.

  The interval is Wilson's, at 95% confidence. Precision, recall and F1 are 0
  where they are not defined.

  Args:
    evaluation: of some examples.
    class_names: in the order of the labels.
  """
  confusion = np.rint(evaluation.sums['confusion']).astype(np.int64)
  correct, total = int(np.trace(confusion)), int(confusion.sum())
  by_class = statistics.class_scores(confusion)
  return {
    'num_examples': total,
    'accuracy': correct / total,
    'accuracy_interval': list(statistics.wilson_interval(correct, total)),
    'macro_f1': float(statistics.macro_f1(confusion)),
    'loss': float(evaluation.sums['loss']) / total,
    'images_per_second': evaluation.images_per_second,
    'classes': {
      name: {
        'precision': float(by_class.precision[i]),
        'recall': float(by_class.recall[i]),
        'f1': float(by_class.f1[i]),
        'num_examples': int(confusion[i].sum()),
      }
      for i, name in enumerate(class_names)
    },
    'class_names': list(class_names),
    'confusion': confusion.tolist(),
  }


def collect(
  classifier: Classifier,
  evaluation: Evaluation,
  examples: Split,
  train: Split | None,
) -> dict[str, Any]:
  """Returns all that an evaluation says of a classifier.

  Args:
    classifier: who answered.
    evaluation: the answers.
    examples: of which; the labels are the classifier's.
    train: what it was trained on, where that is at hand and not scored itself.

  Returns:
    Besides what `summarize` and `scores.from_probabilities` give: `tta`;
    `without_copies`, the accuracy over the images that do not also stand in
    `train`; `calibrated`, what a fitted temperature makes of loss and ece; and
    `members` of an ensemble, each alone. What there is not is None.
  """
  names = classifier.class_names
  figures = summarize(evaluation, names)
  figures |= scores.from_probabilities(
    evaluation.probabilities, examples.labels, names
  )
  figures['tta'] = classifier.tta
  figures['without_copies'] = None
  if train is not None:
    copied = copies.occurs_in(examples.images, train.images)
    figures['without_copies'] = _accuracy(evaluation, examples, ~copied)
  figures['calibrated'] = None
  if classifier.temperature is not None:
    figures['calibrated'] = _calibrated(
      evaluation, examples, classifier.temperature
    )
  kept = 'accuracy', 'accuracy_interval', 'macro_f1', 'loss'
  figures['members'] = None
  if evaluation.members:
    alone = {n: summarize(each, names) for n, each in evaluation.members}
    figures['members'] = {
      name: {key: each[key] for key in kept} for name, each in alone.items()
    }
  return figures


def _accuracy(
  evaluation: Evaluation, examples: Split, rows: np.ndarray
) -> dict[str, Any]:
  hits = evaluation.probabilities[rows].argmax(1) == examples.labels[rows]
  correct, total = int(hits.sum()), len(hits)
  return {
    'num_examples': total,
    'accuracy': correct / total if total else None,
    'accuracy_interval': list(statistics.wilson_interval(correct, total)),
  }


def _calibrated(
  evaluation: Evaluation, examples: Split, temperature: float
) -> dict[str, float]:
  scaled = calibration.apply_temperature(evaluation.probabilities, temperature)
  labels = examples.labels
  own = scaled[np.arange(len(labels)), labels]
  return {
    'temperature': temperature,
    'loss': float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean()),
    'ece': float(calibration.expected_calibration_error(scaled, labels)),
  }
