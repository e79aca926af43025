"""The interval that chance leaves to a score, by drawing the examples anew."""

from collections.abc import Callable

import numpy as np

NUM_RESAMPLES, SEED = 2000, 0


def interval(
  confusion: np.ndarray,
  score: Callable[[np.ndarray], np.ndarray],
  num_resamples: int = NUM_RESAMPLES,
  seed: int = SEED,
  confidence: float = 0.95,
) -> tuple[float, float]:
  """Returns the percentile bootstrap interval of a score (Efron 1979).

  Examples drawn with replacement fall into the cells of the confusion matrix
  as one multinomial draw, so that is drawn: the same law, at a cost that does
  not depend on the number of examples. They are taken as independent; frames
  of one film are not, and their true interval is wider.

  Args:
    confusion: int `[k, k]`, counts.
    score: of matrices `[n, k, k]`, gives `[n]`; `statistics.macro_f1`.
    num_resamples: how often to draw.
    seed: of the draws.
    confidence: of the two-sided interval, in (0, 1).

  Returns:
    The lower and the upper bound; both NaN without examples.
  """
  cells = np.asarray(confusion).ravel()
  total = int(cells.sum())
  if not total:
    return float('nan'), float('nan')
  # The last cell of a draw takes what rounding leaves: it must not be empty.
  filled = np.flatnonzero(cells)
  draws = np.zeros((num_resamples, cells.size), np.int64)
  draws[:, filled] = np.random.default_rng(seed).multinomial(
    total, cells[filled] / total, num_resamples
  )
  scores = score(draws.reshape(num_resamples, *np.shape(confusion)))
  tail = (1 - confidence) / 2
  low, high = np.quantile(scores, [tail, 1 - tail])
  return float(low), float(high)
