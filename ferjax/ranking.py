"""Finished runs ranked where their data agree, and what is chance in that."""

import collections
from collections.abc import Iterator, Sequence
import os
import pathlib
from typing import NamedTuple

from ferjax import models, outcome, preprocess, statistics
from ferjax.errors import UserError
from ferjax.models import summary
from ferjax.outcome import Outcome, Score

SIGNIFICANCE = 0.05  # shared by all tests of a comparison


class Row(NamedTuple):
  """A run and all that is said of it.

  Attributes:
    name: the part of its workdir that tells it from the others.
    outcome: read from its workdir.
    counts: of its network.
    training: images/s.
    inference: images/s, None where it was never timed.
  """

  name: str
  outcome: Outcome
  counts: summary.Counts
  training: float
  inference: float | None

  @property
  def network(self) -> str:
    """The name of its network."""
    return self.outcome.config.model.name

  @property
  def validation(self) -> Score:
    """What it is ranked by."""
    return self.outcome.scores['validation']

  @property
  def gap(self) -> float:
    """How much better it is on what it learned from, in [-1, 1]."""
    return self.outcome.scores['train'].accuracy - self.validation.accuracy

  @property
  def data(self) -> tuple[str, str | None]:
    """What makes runs comparable: the content of train and validation."""
    train = self.outcome.dataset['splits']['train']
    return train['content_hash'], self.validation.content


Groups = list[list[Row]]


def rank(
  outcomes: Sequence[Outcome],
  speeds: Sequence[tuple[float, float]] | None = None,
) -> Groups:
  """Returns runs in groups of equal data, best validation accuracy first.

  Args:
    outcomes: one at least.
    speeds: images/s of training and inference that replace the recorded ones.

  Returns:
    The groups, the largest first.
  """
  names = _names([run.workdir for run in outcomes])
  if speeds is None:
    speeds = [
      (run.images_per_second, run.inference_images_per_second)
      for run in outcomes
    ]
  groups = collections.defaultdict(list)
  for name, run, speed in zip(names, outcomes, speeds, strict=True):
    row = Row(name, run, _count(run), *speed)
    groups[row.data].append(row)
  for rows in groups.values():
    rows.sort(key=lambda row: -row.validation.accuracy)
  return sorted(groups.values(), key=lambda rows: -len(rows))


def warnings(groups: Groups) -> list[str]:
  """Returns what makes runs less comparable than they look, a line each."""
  lines = []
  if len(groups) > 1:
    lines.append(
      f'the data of these runs differ in {len(groups)} ways: ranks hold within '
      'each table only'
    )
  for rows in groups:
    tests = [row.outcome.scores.get('test') for row in rows]
    if len({score.content for score in tests if score}) > 1:
      lines.append(
        'the test splits of '
        + ', '.join(row.name for row in rows if 'test' in row.outcome.scores)
        + ' differ: do not compare their accuracies on it'
      )
    for row in rows:
      for split, score in row.outcome.scores.items():
        if score.step not in (None, row.outcome.best_step):
          lines.append(
            f'{row.outcome.workdir}: its {split} accuracy is that of step '
            f'{score.step}, its best step is {row.outcome.best_step}; evaluate '
            'it again'
          )
  return lines


def differences(groups: Groups) -> list[str]:
  """Says of each run whether it differs from the best by more than chance.

  By McNemar's test, on each split where both were evaluated on the same
  content. Each is judged at `SIGNIFICANCE` over the number of tests
  (Bonferroni).

  Returns:
    A line a test, and one on how they are judged.
  """
  rows = [row for group in groups for row in group]
  tests, lines = [], []
  for split, best, other in _pairs(rows):
    try:
      ours, theirs = (
        outcome.read_hits(row.outcome.workdir, split) for row in (best, other)
      )
    except UserError as error:
      lines.append(f'{split}: not tested, {error}')
      continue
    if ours and theirs and ours[0] == theirs[0]:
      result = statistics.mcnemar(ours[1], theirs[1])
      tests.append((split, best, other, len(ours[0]), result))
  level = SIGNIFICANCE / max(len(tests), 1)
  is_network_enough = len({row.network for row in rows}) == len(rows)
  for split, best, other, count, result in tests:
    a, b = (r.network if is_network_enough else r.name for r in (best, other))
    p = f'{result.p_value:.2g}' if result.p_value >= 1e-99 else 'below 1e-99'
    lines.append(
      f'{split}, {count:,} images: {result.only_first:,} right by {a} alone, '
      f'{result.only_second:,} by {b} alone; McNemar p = {p}: '
      + _verdict(a, b, result, level)
    )
  if len(tests) > 1:
    lines.append(
      f'Each is judged at {SIGNIFICANCE:g} / {len(tests)} = {level:.2g}, as '
      'there are so many; that the best was picked on validation flatters it.'
    )
  return lines


def _pairs(rows: Sequence[Row]) -> Iterator[tuple[str, Row, Row]]:
  """Yields a split, the best run on it, and another run on the same content."""
  for split in ('validation', 'test'):
    peers = collections.defaultdict(list)
    for row in rows:
      score = row.outcome.scores.get(split)
      if score and score.content:
        peers[score.content].append(row)
    for alike in peers.values():
      # By validation, whatever the split: test is not there to choose by.
      best, *others = sorted(alike, key=lambda row: -row.validation.accuracy)
      for other in others:
        yield split, best, other


def _verdict(a: str, b: str, result: statistics.McNemar, level: float) -> str:
  if result.p_value >= level:
    return 'chance alone may do that'
  return f'{a if result.only_first > result.only_second else b} is better'


def _count(run: Outcome) -> summary.Counts:
  dataset = run.dataset
  model = models.from_config(run.config.model, len(dataset['class_names']))
  shape = preprocess.input_shape(run.config, tuple(dataset['image_shape']))
  return summary.count(model, shape)


def _names(workdirs: Sequence[pathlib.Path]) -> list[str]:
  """Returns the workdirs without the folders that they have in common."""
  paths = [path.absolute() for path in workdirs]
  common = os.path.commonpath([path.parent for path in paths])
  return [str(path.relative_to(common)) for path in paths]
