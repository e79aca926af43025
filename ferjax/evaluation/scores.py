"""All that probabilities and labels say of a network, ready for JSON.

Besides what the sums of metrics.py give: see report.py.
"""

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from ferjax import statistics
from ferjax.statistics import bootstrap, calibration, rates


def from_probabilities(
  probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
  """Returns the figures that take more than a confusion matrix of sums.

  What is not defined is None: the area of a class that has no examples, or
  all of them.

  Args:
    probabilities: float32 `[n, classes]`.
    labels: int `[n]`.
    class_names: of the columns.

  Returns:
    `top2_accuracy`, `balanced_accuracy`, `ece` (of the guessed class, 15 bins),
    `macro_f1_interval` (95%, with what was drawn for it in
    `macro_f1_bootstrap`), and `roc_auc` and `average_precision`, each with
    `macro` and `classes`.
  """
  probabilities = np.asarray(probabilities, np.float64)
  confusion = statistics.confusion_matrix(
    labels, probabilities.argmax(axis=1), len(class_names)
  )
  interval = bootstrap.interval(confusion, statistics.macro_f1)
  curves = rates.one_against_rest(probabilities, labels)
  areas = [rates.roc_auc(curve) for curve in curves]
  precisions = [rates.average_precision(curve) for curve in curves]
  error = calibration.expected_calibration_error(probabilities, labels)
  return {
    'top2_accuracy': _known(statistics.top_k(probabilities, labels, 2)),
    'balanced_accuracy': _known(statistics.balanced_accuracy(confusion)),
    'ece': _known(error),
    'macro_f1_interval': [_known(bound) for bound in interval],
    'macro_f1_bootstrap': {
      'num_resamples': bootstrap.NUM_RESAMPLES,
      'seed': bootstrap.SEED,
    },
    'roc_auc': _by_class(areas, class_names),
    'average_precision': _by_class(precisions, class_names),
  }


def _by_class(
  values: Sequence[float], class_names: Sequence[str]
) -> dict[str, Any]:
  return {
    'macro': _known(rates.macro(values)),
    'classes': {
      name: _known(value)
      for name, value in zip(class_names, values, strict=True)
    },
  }


def _known(value: float) -> float | None:
  """Returns a plain float, None for NaN, which JSON lacks."""
  return None if math.isnan(value) else float(value)
