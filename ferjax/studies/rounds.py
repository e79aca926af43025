"""The rounds of a cross-validation: each fold is trained for, then tested."""

from collections.abc import Sequence
import math
from typing import Any, NamedTuple

from ml_collections import config_dict
import numpy as np

from ferjax import data, documents, durations, inference
from ferjax import run as run_lib
from ferjax import workdir as workdir_lib
from ferjax.data import training
from ferjax.errors import UserError
from ferjax.evaluation import report
from ferjax.storage import Path
from ferjax.studies import outcome

CHECKPOINTS = {'validation': 'best', 'last': 'latest'}  # by what chooses


class Round(NamedTuple):
  """One fold: the config of its training, and the workdir."""

  fold: int
  config: config_dict.ConfigDict
  workdir: Path


def plan(config: config_dict.ConfigDict, folder: Path) -> list[Round]:
  """Returns all rounds of a cross-validation.

  All make the same number of steps: what is given in epochs or examples means
  those of fold 0.

  Args:
    config: the whole config; `data.fold` is of no matter.
    folder: gets a workdir for each, `fold_0` and so on.

  Raises:
    UserError: if the data set does not come in folds, or a setting is wrong.
  """
  first = config.copy_and_resolve_references()
  first.data.fold = 0
  run_lib.validate(first)
  if config.num_members > 1:
    raise UserError(
      f'config.num_members is {config.num_members}; a cross-validation trains'
      ' one network for each fold'
    )
  num_folds = data.num_folds(first.data)
  first.member_mode = 'auto'  # alone, a fold has none
  dataset = training.load(first.data)
  _resolve(first, len(dataset.splits['train']))
  rounds = []
  for fold in range(num_folds):
    own = first.copy_and_resolve_references()
    own.data.fold = fold
    rounds.append(Round(fold, own, folder / f'fold_{fold}'))
  return rounds


def test(round_: Round, choose: str) -> dict[str, Any]:
  """Returns the figures of a round's test fold; see `report.evaluate`.

  It is evaluated once: figures that are there already, of this checkpoint and
  these examples, are taken.

  Args:
    round_: whose training is finished.
    choose: 'validation' for the checkpoint that was best there, or 'last'.

  Raises:
    UserError: if it cannot be evaluated.
  """
  workdir, checkpoint = round_.workdir, CHECKPOINTS[choose]
  name = 'test' if checkpoint == 'best' else f'test-{checkpoint}'
  folder = workdir / 'eval' / name
  run = outcome.read(workdir)
  step = run.best_step if checkpoint == 'best' else round_.config.num_steps
  dataset = data.load_dataset(round_.config.data, ('test', 'train'))
  content = dataset.splits['test'].content_hash()
  figures = read_figures(folder, step, content, dataset.class_names)
  if figures is not None:
    return figures
  predictor = inference.load(workdir, checkpoint)
  return report.evaluate(predictor, dataset, 'test', folder)


def read_figures(
  folder: Path, step: int, content: str, class_names: Sequence[str]
) -> dict[str, Any] | None:
  """Returns the figures of an earlier evaluation, None where there are none.

  None, too, where they are of something else, or not whole.

  Args:
    folder: where `report.evaluate` wrote.
    step: of the checkpoint that it must be of.
    content: the hash of the examples.
    class_names: in the order of the labels.
  """
  try:
    text = (folder / 'metrics.json').read_text(encoding='utf-8')
    figures = documents.parse(text)
    same = figures['step'], figures['content_hash'], figures['class_names']
    if same == (step, content, list(class_names)) and _is_whole(figures):
      return figures
  except (OSError, ArithmeticError, LookupError, TypeError, ValueError):
    pass
  return None


def _is_whole(figures: dict[str, Any]) -> bool:
  """Whether the figures that `pooled` takes agree with each other."""
  confusion = np.array(figures['confusion'])
  low, high = figures['accuracy_interval']
  total = figures['num_examples']
  names = 'accuracy', 'macro_f1', 'loss', 'num_examples'
  return (
    all(documents.is_number(figures[name]) for name in names)
    and confusion.shape == (len(figures['class_names']),) * 2
    and confusion.dtype.kind == 'i'
    and confusion.min() >= 0
    and confusion.sum() == total
    and abs(np.trace(confusion) / total - figures['accuracy']) < 1e-6
    and 0 <= low <= figures['accuracy'] <= high <= 1
    and 0 <= figures['macro_f1'] <= 1
    and 0 <= figures['loss'] < math.inf
  )


def notes(rounds: Sequence[Round]) -> list[str]:
  """Returns what the data of all rounds has to say, each line once."""
  lines = {}
  for round_ in rounds:
    for note in workdir_lib.read_dataset(round_.workdir).get('notes', ()):
      lines[note] = lines.get(note, 0) + 1
  # What only some say is of the fold itself.
  return [line for line, count in lines.items() if count == len(rounds)]


def _resolve(config: config_dict.ConfigDict, num_examples: int) -> None:
  """Writes all durations of a config in steps."""
  resolved = durations.resolve(config, num_examples)
  for section, name, steps in (
    (config, 'num', resolved.num_steps),
    (config.schedule, 'warmup', resolved.warmup_steps),
    (config.backbone, 'thaw', resolved.thaw_step),
    (config, 'log_every', resolved.log_every),
    (config, 'eval_every', resolved.eval_every),
    (config, 'checkpoint_every', resolved.checkpoint_every),
  ):
    section[f'{name}_epochs'], section[f'{name}_examples'] = 0.0, 0
    section[f'{name}_steps'] = max(1, round(steps)) if steps else 0
