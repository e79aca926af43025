"""The bootstrap interval: its law, its coverage and its ends."""

import math

import numpy as np
import pytest
import sklearn.metrics

from ferjax import statistics
from ferjax.statistics import bootstrap

# The share of each cell, classes of 60, 30 and 10%.
CHANCES = np.array([[50, 7, 3], [6, 22, 2], [3, 2, 5]]) / 100


def test_cells_are_drawn_as_examples_are():
  rng = np.random.default_rng(0)
  confusion = rng.multinomial(300, CHANCES.ravel()).reshape(3, 3)
  labels, guesses = np.repeat(
    np.indices((3, 3)).reshape(2, 9), confusion.ravel(), axis=1
  )
  scores = []
  for _ in range(400):
    rows = rng.integers(300, size=300)
    matrix = sklearn.metrics.confusion_matrix(
      labels[rows], guesses[rows], labels=range(3)
    )
    scores.append(float(statistics.macro_f1(matrix)))
  low, high = bootstrap.interval(confusion, statistics.macro_f1)
  expected = np.quantile(scores, [0.025, 0.975])
  # 400 draws know a quantile of the tail to about a tenth of the width.
  width = expected[1] - expected[0]
  assert [low, high] == pytest.approx(expected, abs=0.15 * width)


def test_the_interval_covers_what_it_should():
  rng = np.random.default_rng(1)
  truth = float(statistics.macro_f1(CHANCES))
  trials = 400
  covered = 0
  for seed in range(trials):
    confusion = rng.multinomial(400, CHANCES.ravel()).reshape(3, 3)
    low, high = bootstrap.interval(
      confusion, statistics.macro_f1, num_resamples=300, seed=seed
    )
    covered += low <= truth <= high
  # At 95%, 400 trials leave a standard error of 1.1 points.
  assert 0.91 <= covered / trials <= 0.985


def test_equal_seeds_give_equal_intervals():
  confusion = np.rint(CHANCES * 100)
  first = bootstrap.interval(confusion, statistics.macro_f1)
  assert first == bootstrap.interval(confusion, statistics.macro_f1, seed=0)
  assert first != bootstrap.interval(confusion, statistics.macro_f1, seed=1)
  low, high = bootstrap.interval(confusion, statistics.macro_f1, confidence=0.5)
  assert first[0] < low < high < first[1]


def test_classes_may_be_missing():
  # Of class 1 there is one example, of 2 none: many draws hold neither.
  confusion = np.array([[9, 0, 0], [1, 0, 0], [0, 0, 0]])
  low, high = bootstrap.interval(confusion, statistics.macro_f1)
  assert 0 < low < high == 1
  perfect = bootstrap.interval(np.diag([5, 5, 0]), statistics.macro_f1)
  assert perfect == (1, 1)
  nothing = bootstrap.interval(np.zeros((3, 3), int), statistics.macro_f1)
  assert all(map(math.isnan, nothing))
