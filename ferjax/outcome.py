"""What a finished training came to, read from its workdir alone."""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import json
import pathlib
from typing import Any, NamedTuple

from ml_collections import config_dict
import numpy as np

from ferjax import durations, logs
from ferjax import workdir as workdir_lib
from ferjax.errors import UserError

SPLITS = ('train', 'validation', 'test')


class Score(NamedTuple):
  """What a run scored on one split.

  Attributes:
    accuracy: in [0, 1].
    interval: its 95% interval; None for a running training accuracy.
    macro_f1: in [0, 1]; None for a running training accuracy.
    num_examples: that it is over; 0 for a running training accuracy.
    content: the hash of these examples, None where it was not recorded.
    step: of the checkpoint.
    images_per_second: of the evaluation, None where it was too short.
  """

  accuracy: float
  interval: tuple[float, float] | None = None
  macro_f1: float | None = None
  num_examples: int = 0
  content: str | None = None
  step: int | None = None
  images_per_second: float | None = None

  @property
  def is_running(self) -> bool:
    """Whether it was counted while the network learned."""
    return self.interval is None


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A finished run.

  Attributes:
    workdir: where it lives.
    config: the whole config.
    dataset: of `Dataset.describe`.
    epochs: how long it trained.
    best_step: of the highest validation accuracy that was recorded.
    scores: by split; `train` and `validation` at least.
    images_per_second: of training, the median of what was recorded.
  """

  workdir: pathlib.Path
  config: config_dict.ConfigDict
  dataset: dict[str, Any]
  epochs: float
  best_step: int
  scores: Mapping[str, Score]
  images_per_second: float

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


def read(workdir: pathlib.Path) -> Outcome:
  """Reads what the run in `workdir` came to; no checkpoint is needed.

  The train score is that of eval/train where it is, otherwise the running
  accuracy of the last epoch.

  Raises:
    UserError: when this is no workdir, or one that is damaged or unfinished.
  """
  config = workdir_lib.read_config(workdir)
  dataset = workdir_lib.read_dataset(workdir)
  records = logs.read_metrics(workdir)
  try:
    num_examples = dataset['splits']['train']['num_examples']
    num_steps = durations.resolve(config, num_examples).num_steps
    step = records[-1]['step'] if records else 0
    scores = {
      split: _read_score(workdir, split, dataset)
      for split in SPLITS
      if (workdir / 'eval' / split / 'metrics.json').exists()
    }
    if step < num_steps or 'validation' not in scores:
      raise UserError(
        f'{workdir} is unfinished: step {step} of {num_steps}'
        + (', not evaluated yet' if step == num_steps else '')
        + '; the command that trained it goes on'
      )
    validations = [r for r in records if 'val/accuracy' in r]
    best = max(validations, key=lambda r: r['val/accuracy'])
    scores.setdefault('train', _running_score(records, num_examples, config))
    speeds = [r['images_per_second'] for r in records if 'train/loss' in r]
  except (KeyError, TypeError, ValueError) as error:
    if isinstance(error, UserError):
      raise
    raise UserError(
      f'{workdir} is damaged: its records lack {error}'
    ) from error
  return Outcome(
    workdir=workdir,
    config=config,
    dataset=dataset,
    epochs=num_steps * config.batch_size / num_examples,
    best_step=best['step'],
    scores={split: scores[split] for split in SPLITS if split in scores},
    # The first was waiting for the compiler.
    images_per_second=float(np.median(speeds[1:] or speeds)),
  )


def read_hits(
  workdir: pathlib.Path, split: str
) -> tuple[list[tuple[str, str]], np.ndarray] | None:
  """Reads which examples a run got right.

  Args:
    workdir: of the run.
    split: one that it was evaluated on.

  Returns:
    (index, label) of each example and whether it is right, bool `[n]`; None
    where there is no predictions.csv.

  Raises:
    UserError: when it cannot be read.
  """
  path = workdir / 'eval' / split / 'predictions.csv'
  if not path.exists():
    return None
  try:
    with path.open(newline='') as file:
      rows = list(csv.DictReader(file))
    examples = [(row['index'], row['label']) for row in rows]
    hits = [row['prediction'] == row['label'] for row in rows]
  except (OSError, KeyError, ValueError) as error:
    raise UserError(
      f'{path} cannot be read ({error}); evaluate this split again'
    ) from error
  return examples, np.array(hits, bool)


def _read_score(
  workdir: pathlib.Path, split: str, dataset: Mapping[str, Any]
) -> Score:
  path = workdir / 'eval' / split / 'metrics.json'
  try:
    figures = json.loads(path.read_text())
    low, high = figures['accuracy_interval']
    known = dataset['splits'].get(split, {}).get('content_hash')
    return Score(
      accuracy=float(figures['accuracy']),
      interval=(float(low), float(high)),
      macro_f1=float(figures['macro_f1']),
      num_examples=int(figures['num_examples']),
      content=figures.get('content_hash', known),
      step=int(figures['step']),
      images_per_second=figures.get('images_per_second'),
    )
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise UserError(
      f'{path} cannot be read ({error}); remove it, or evaluate this split '
      'again'
    ) from error


def _running_score(
  records: Sequence[Mapping[str, float]],
  num_examples: int,
  config: config_dict.ConfigDict,
) -> Score:
  """Returns the training accuracy over the records of the last epoch."""
  logged = [r for r in records if 'train/accuracy' in r]
  first = logged[-1]['step'] - num_examples / config.batch_size
  starts = [0, *(r['step'] for r in logged[:-1])]
  values, weights = [], []
  for start, record in zip(starts, logged, strict=True):
    if record['step'] > first:
      values.append(record['train/accuracy'])
      weights.append(record['step'] - start)
  return Score(float(np.average(values, weights=weights)))
