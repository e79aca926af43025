"""Finished runs ranked where their data agree, and what is chance in that."""

import collections
from collections.abc import Iterator, Sequence
import operator
from typing import NamedTuple

from ml_collections import config_dict

from ferjax import config as config_lib
from ferjax import models, preprocess, statistics
from ferjax.errors import UserError
from ferjax.models import summary
from ferjax.studies import naming, outcome
from ferjax.studies.outcome import Outcome, Score

SIGNIFICANCE = 0.05  # shared by all tests of a comparison


class Row(NamedTuple):
  """A run and all that is said of it.

  Attributes:
    name: the part of its workdir that tells it from the others.
    label: what of the name the network does not say already, often ''.
    title: the network, and the label where others have this network too.
    outcome: read from its workdir.
    counts: of its network.
    training: images/s.
    inference: images/s, None where it was never timed.
    is_timed: whether these speeds were measured for this comparison.
  """

  name: str
  label: str
  title: str
  outcome: Outcome
  counts: summary.Counts
  training: float
  inference: float | None
  is_timed: bool

  @property
  def network(self) -> str:
    """The name of its network."""
    return self.outcome.config.model.name

  @property
  def validation(self) -> Score:
    """What it is ranked by."""
    return self.outcome.scores['validation']

  @property
  def gap(self) -> float | None:
    """How much better it is on what it learned from, in [-1, 1]."""
    train = self.outcome.scores.get('train')
    return train and train.accuracy - self.validation.accuracy

  @property
  def data(self) -> tuple[str | None, str | None]:
    """What makes runs comparable: the content of train and validation."""
    train = self.outcome.dataset['splits']['train']
    return train.get('content_hash'), self.validation.content


Groups = list[list[Row]]


def count(run: Outcome) -> summary.Counts:
  """Returns the size of a run's network.

  Raises:
    UserError: when there is no such network (any more).
  """
  dataset = run.dataset
  try:
    preprocess.validate(run.config)
    model = models.from_config(run.config.model, len(dataset['class_names']))
    shape = preprocess.input_shape(run.config, tuple(dataset['image_shape']))
    return summary.count(model, shape)
  except UserError as error:
    raise UserError(f'{run.workdir}: {error}') from error


def rank(
  outcomes: Sequence[Outcome],
  counts: Sequence[summary.Counts],
  speeds: Sequence[tuple[float, float]] | None = None,
) -> Groups:
  """Returns runs in groups of equal data, best validation accuracy first.

  A run whose data are not known is a group of its own.

  Args:
    outcomes: one at least.
    counts: of each, `count`.
    speeds: images/s of training and inference that replace the recorded ones.

  Returns:
    The groups, the largest first.
  """
  networks = [run.config.model.name for run in outcomes]
  is_timed = speeds is not None
  if speeds is None:
    speeds = [
      (run.images_per_second, run.inference_images_per_second)
      for run in outcomes
    ]
  groups = collections.defaultdict(list)
  for (name, label), network, run, size, speed in zip(
    naming.names(outcomes), networks, outcomes, counts, speeds, strict=True
  ):
    is_told = label and networks.count(network) > 1
    title = f'{network} {label}' if is_told else network
    row = Row(name, label, title, run, size, *speed, is_timed)
    groups[(*row.data, name if None in row.data else '')].append(row)
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
      if None in row.data:
        lines.append(
          f'{row.outcome.workdir}: the content of its data was not recorded; '
          'it is compared with no other'
        )
      lines += row.outcome.warnings
  return lines


def settings(groups: Groups) -> list[str]:
  """Names the settings, besides the network and the seed, that differ.

  Returns:
    A line a group where some do.
  """
  lines = []
  for number, rows in enumerate(groups, start=1):
    configs = [row.outcome.config for row in rows]
    fields = {
      difference.partition(':')[0]
      for config in configs[1:]
      for difference in config_lib.differences(configs[0], config)
    }
    told = [
      f'{field} ({_values(field, configs)})'
      for field in sorted(fields)
      if field != 'seed' and not field.startswith('model.')
    ]
    if told:
      where = f' of table {number}' if len(groups) > 1 else ''
      lines.append(
        f'The runs{where} differ in more than network and seed: '
        + ', '.join(told)
      )
  return lines


def differences(groups: Groups) -> list[str]:
  """Says of each run whether it differs from the best by more than chance.

  By McNemar's test, on each split where both were evaluated on the same
  content. Each is judged at `SIGNIFICANCE` over the number of tests
  (Bonferroni).

  Returns:
    A line a pair, and one on how they are judged.
  """
  tests, untested = [], []
  for split, best, other in _pairs([row for rows in groups for row in rows]):
    try:
      ours, theirs = (
        outcome.read_hits(row.outcome.workdir, split) for row in (best, other)
      )
      if ours[0] != theirs[0]:
        raise UserError('their predictions.csv are of other examples')
      result = statistics.mcnemar(ours[1], theirs[1])
      tests.append((split, best.title, other.title, result))
    except UserError as error:
      untested.append(
        f'{split}: {best.title} against {other.title}: not tested: {error}'
      )
  level = SIGNIFICANCE / max(len(tests), 1)
  lines = [_verdict(*test, level) for test in tests] + untested
  if tests:
    judged = (
      f', each judged at {SIGNIFICANCE:g} / {len(tests)} = {level:.2g} '
      '(Bonferroni)'
      if len(tests) > 1
      else f', judged at {SIGNIFICANCE:g}'
    )
    lines.append(
      "By McNemar's test of the images that one of the two alone gets right"
      f'{judged}. That the best was picked on validation flatters it.'
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


def _verdict(
  split: str, best: str, other: str, result: statistics.McNemar, level: float
) -> str:
  p = 'p < 0.001' if result.p_value < 0.001 else f'p = {result.p_value:.2g}'
  pairs = [(result.only_first, best), (result.only_second, other)]
  (more, better), (less, worse) = sorted(pairs, key=lambda pair: -pair[0])
  verdict = 'better' if result.p_value < level else 'not clearly better'
  return (
    f'{split}: {better} is {verdict} than {worse} '
    f'({more:,} : {less:,} right alone, {p})'
  )


def _values(field: str, configs: Sequence[config_dict.ConfigDict]) -> str:
  """Returns the values of a setting, as `3.0, 4.0`."""
  values = map(operator.attrgetter(field), configs)
  return ', '.join(dict.fromkeys(str(value) or "''" for value in values))
