"""What a finished training came to, read from its workdir alone."""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import io
from statistics import median
from typing import Any, NamedTuple

from ml_collections import config_dict
import numpy as np

from ferjax import config as config_lib
from ferjax import documents, durations, logs, storage
from ferjax import workdir as workdir_lib
from ferjax.errors import UserError, printable
from ferjax.storage import Path

SPLITS = ('train', 'validation', 'test')

# What records raise that are not as they were written.
_DAMAGE = (ArithmeticError, LookupError, TypeError, ValueError)


class Score(NamedTuple):
  """What a run scored on one split.

  Attributes:
    accuracy: in [0, 1].
    interval: its 95% interval.
    macro_f1: in [0, 1].
    num_examples: that it is over.
    content: the hash of these examples, None where it was not recorded.
    step: of the checkpoint.
    images_per_second: of the evaluation, None where it was too short.
  """

  accuracy: float
  interval: tuple[float, float]
  macro_f1: float
  num_examples: int
  content: str | None
  step: int
  images_per_second: float | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A finished run.

  Attributes:
    workdir: where it lives.
    config: the whole config.
    dataset: of `Dataset.describe`.
    epochs: how long it trained.
    best_step: of the highest validation accuracy that was recorded.
    scores: by split, in the order of `SPLITS`; `validation` at least. That of
      `train` is over the examples it was trained on, at `best_step`.
    images_per_second: of training, the median of what was recorded.
    warnings: what was left out, or is not as it should be, a line each.
  """

  workdir: Path
  config: config_dict.ConfigDict
  dataset: dict[str, Any]
  epochs: float
  best_step: int
  scores: Mapping[str, Score]
  images_per_second: float
  warnings: Sequence[str] = ()

  @property
  def inference_images_per_second(self) -> float | None:
    """That of the largest evaluation that was timed."""
    timed = [s for s in self.scores.values() if s.images_per_second]
    largest = max(timed, key=lambda s: s.num_examples, default=None)
    return largest and largest.images_per_second

  @property
  def is_final(self) -> bool:
    """Whether the best checkpoint is the one that validation is of.

    It is not where the training was evaluated by hand before its end, and
    then stopped just before it evaluates itself.
    """
    return self.scores['validation'].step == self.best_step


def read(workdir: Path) -> Outcome:
  """Reads what the run in `workdir` came to; no checkpoint is needed.

  Raises:
    UserError: when this is no workdir, or one that is damaged or unfinished.
  """
  config = workdir_lib.read_config(workdir)
  dataset = workdir_lib.read_dataset(workdir)
  records = logs.read_metrics(workdir)
  try:
    train = dataset['splits']['train']
    num_examples = train['num_examples']
    if type(num_examples) is not int:
      raise TypeError(f'num_examples is a {type(num_examples).__name__}')
    num_steps = durations.resolve(config, num_examples).num_steps
    step = records[-1]['step'] if records else 0
    scores, warnings = _read_scores(workdir, dataset)
    if step < num_steps or 'validation' not in scores:
      raise UserError(
        f'{workdir} is unfinished: step {step} of {num_steps}'
        + (', not evaluated yet' if step == num_steps else '')
        + '; the command that trained it goes on'
      )
    validations = [r for r in records if 'val/accuracy' in r]
    best_step = max(validations, key=lambda r: r['val/accuracy'])['step']
    speeds = [r['images_per_second'] for r in records if 'train/loss' in r]
    speed = float(median(speeds[1:] or speeds))  # the first compiled
    epochs = num_steps * config.batch_size / num_examples
  except _DAMAGE as error:
    if isinstance(error, UserError):
      raise
    raise UserError(
      f'{workdir} is damaged: its records are not whole ({_told(error)})'
    ) from error
  for split, score in list(scores.items()):
    content = score.content
    if split == 'train' and not _is_changed(config.data):
      content = train.get('content_hash')
    problem = _problem(score, best_step, content)
    if problem and split == 'train':  # a gap of two networks would mislead
      del scores[split]
      problem += ', so it is left out'
    if problem:
      warnings.append(
        f'{workdir}: its {split} accuracy {problem}; evaluate it again'
      )
  return Outcome(
    workdir, config, dataset, epochs, best_step, scores, speed, tuple(warnings)
  )


def is_finished(workdir: Path, config: config_dict.ConfigDict) -> bool:
  """Whether the training of `config` in `workdir` needs nothing more.

  That is: its last step is recorded, and `validation` was evaluated at the
  best of all steps that are.
  """
  try:
    run = read(workdir)
  except UserError:
    return False
  return run.is_final and not config_lib.differences(run.config, config)


def read_hits(
  workdir: Path, split: str
) -> tuple[list[tuple[str, str]], np.ndarray]:
  """Reads which examples a run got right.

  Args:
    workdir: of the run.
    split: one that it was evaluated on.

  Returns:
    (index, label) of each example and whether it is right, bool `[n]`.

  Raises:
    UserError: when it cannot be read.
  """
  path = workdir / 'eval' / split / 'predictions.csv'
  try:
    text = storage.read_text(path)
    rows = list(csv.DictReader(io.StringIO(text, newline='')))
    examples = [(row['index'], row['label']) for row in rows]
    hits = [row['prediction'] == row['label'] for row in rows]
  except (OSError, KeyError, ValueError, csv.Error) as error:
    raise UserError(
      f'{path} cannot be read ({_told(error)}); evaluate this split again'
    ) from error
  return examples, np.array(hits, bool)


def _is_changed(config: config_dict.ConfigDict) -> bool:
  """Whether a training has other examples than the evaluation of train."""
  return config.balance != 'none' or config.exclude_duplicates


def _problem(score: Score, best_step: int, content: str | None) -> str:
  """Returns why a score is not that of a run, or ''."""
  if score.step != best_step:
    return f'is that of step {score.step}, its best step is {best_step}'
  if score.content != content:
    return 'is over other examples than those it was trained on'
  return ''


def _told(error: Exception) -> str:
  return printable(f'{type(error).__name__}: {error}', 200)


def _read_scores(
  workdir: Path, dataset: Mapping[str, Any]
) -> tuple[dict[str, Score], list[str]]:
  """Reads all evaluations; a damaged one may be missing but `validation`."""
  scores, warnings = {}, []
  for split in SPLITS:
    path = workdir / 'eval' / split / 'metrics.json'
    if not path.exists():
      continue
    known = dataset['splits'].get(split, {}).get('content_hash')
    try:
      scores[split] = _read_score(path, known)
    except (OSError, *_DAMAGE) as error:
      line = (
        f'{path} cannot be read ({_told(error)}); evaluate this split again'
      )
      if split == 'validation':
        raise UserError(line) from error
      warnings.append(line)
  return scores, warnings


def _read_score(path: Path, known: str | None) -> Score:
  figures = documents.parse(storage.read_text(path))
  accuracy = float(figures['accuracy'])
  low, high = map(float, figures['accuracy_interval'])
  if not 0 <= low <= accuracy <= high <= 1:
    raise ValueError(f'an accuracy of {accuracy} in {low} to {high}')
  speed = figures.get('images_per_second')
  content = figures.get('content_hash', known)
  numbers = [figures[name] for name in ('macro_f1', 'num_examples', 'step')]
  if not all(map(documents.is_number, [*numbers, speed or 0])):
    raise TypeError('a figure that is no number')
  if not isinstance(content, str | None):
    raise TypeError(f'content_hash is a {type(content).__name__}')
  return Score(
    accuracy=accuracy,
    interval=(low, high),
    macro_f1=float(figures['macro_f1']),
    num_examples=int(figures['num_examples']),
    content=content,
    step=int(figures['step']),
    images_per_second=None if speed is None else float(speed),
  )
