"""Confident learning against its definition, and on planted errors."""

import numpy as np

from ferjax.data import mislabels


def slow(labels, probabilities):
  """Follows the paper's definitions, example by example."""
  n, k = probabilities.shape
  thresholds = {}
  for j in range(k):
    own = [probabilities[i, j] for i in range(n) if labels[i] == j]
    if own:
      thresholds[j] = sum(own) / len(own)
  joint = [[0] * k for _ in range(k)]
  found = []
  for i in range(n):
    sure = [j for j, t in thresholds.items() if probabilities[i, j] >= t]
    if not sure:
      continue
    best = max(sure, key=lambda j: probabilities[i, j])
    joint[labels[i]][best] += 1
    if best != labels[i]:
      rest = max(p for j, p in enumerate(probabilities[i]) if j != labels[i])
      found.append((probabilities[i, labels[i]] - rest, i, best))
  return sorted(found), np.array(joint, float)


def test_ranking_is_that_of_the_definition():
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 5, 400)
  labels[labels == 3] = 2  # nobody has this label
  logits = rng.normal(size=(400, 5)) + 1.5 * np.eye(5)[labels]
  probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  found = mislabels.label_errors(labels, probabilities)
  expected, joint = slow(labels, probabilities)
  margins, rows, suggested = zip(*expected, strict=True)
  assert found.rows.tolist() == list(rows)
  assert found.suggested.tolist() == list(suggested)
  np.testing.assert_allclose(found.margin, margins)
  counts = np.bincount(labels, minlength=5)
  shares = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1)
  np.testing.assert_allclose(found.joint, shares * counts[:, None])
  np.testing.assert_allclose(found.joint.sum(axis=1), counts)


def test_planted_errors_come_first():
  rng = np.random.default_rng(1)
  true = rng.integers(0, 4, 1000)
  logits = rng.normal(size=(1000, 4)) + 4 * np.eye(4)[true]
  probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  given = true.copy()
  planted = rng.choice(1000, 80, replace=False)
  given[planted] = (given[planted] + 1) % 4
  found = mislabels.label_errors(given, probabilities)
  hits = np.isin(found.rows, planted)
  assert hits[:40].all()
  assert hits.mean() > 0.85
  assert hits.sum() > 65
  right = found.suggested[hits] == true[found.rows[hits]]
  assert right.mean() > 0.95
  assert abs(found.joint.sum() - np.trace(found.joint) - 80) < 20


def test_a_sure_network_doubts_nothing():
  labels = np.array([0, 1, 1])
  found = mislabels.label_errors(labels, np.eye(2)[labels])
  assert len(found.rows) == len(found.suggested) == len(found.margin) == 0
  np.testing.assert_array_equal(found.joint, [[1, 0], [0, 2]])
