"""What the folds of a cross-validation come to: each, their mean, and pooled.

Pooled are the predictions of all test folds, in which every example stands
once: a fold may lack a class, all of them together do not.
"""

from collections.abc import Mapping, Sequence
import json
import statistics as spread
from typing import Any

import numpy as np

from ferjax import logs, statistics, storage, tables
from ferjax.errors import UserError
from ferjax.evaluation import figures
from ferjax.inference import Evaluation

INDEPENDENT = (
  'the interval takes all images as independent; frames of one subject are '
  'not, so it is too narrow where there are several'
)


def summarize(tests: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
  """Returns the results of a cross-validation, ready for JSON.

  Args:
    tests: the figures of each fold's test, by fold; at least one.

  Returns:
    `accuracy`, the mean over folds, and `accuracy_deviation`, that of the
    sample (n - 1), None for a single fold; `pooled`, the figures of all tests
    together, see `figures.summarize`; `folds`, the main figures of each.
  """
  class_names = next(iter(tests.values()))['class_names']
  accuracies = [each['accuracy'] for each in tests.values()]
  everything = Evaluation(
    sums={
      'confusion': sum(np.array(each['confusion']) for each in tests.values()),
      'loss': sum(e['loss'] * e['num_examples'] for e in tests.values()),
    },
    probabilities=np.zeros((0, len(class_names)), np.float32),
  )
  pooled = figures.summarize(everything, class_names)
  del pooled['images_per_second']
  kept = 'num_examples', 'accuracy', 'accuracy_interval', 'macro_f1', 'step'
  return {
    'num_folds': len(tests),
    'accuracy': spread.fmean(accuracies),
    'accuracy_deviation': (
      spread.stdev(accuracies) if len(accuracies) > 1 else None
    ),
    'pooled': pooled,
    'folds': [
      {'fold': fold, **{name: each[name] for name in kept}}
      for fold, each in tests.items()
    ],
  }


def write(results: Mapping[str, Any], title: str, folder: storage.Path) -> None:
  """Writes crossval.json and the pooled confusion matrices.

  Args:
    results: of `summarize`, with `notes` and `by`.
    title: of the figures.
    folder: an existing one.

  Raises:
    UserError: when nothing can be written.
  """
  from ferjax import plots  # matplotlib takes a second to import

  pooled = results['pooled']
  if results['by'] == 'frame':
    title = f'{title} (WARNING: by frame)'
  try:
    for name, normalized in (('counts', False), ('normalized', True)):
      plots.plot_confusion(
        np.array(pooled['confusion']),
        pooled['class_names'],
        folder / f'confusion_{name}.png',
        title,
        normalized,
      )
    text = json.dumps(results, indent=2) + '\n'
    storage.write_text(folder / 'crossval.json', text)
  except OSError as error:
    raise UserError(f'cannot write to {folder} ({error.strerror})') from error


def show(results: Mapping[str, Any], title: str, folder: storage.Path) -> None:
  """Prints the results; the arguments are those of `write`."""
  console = logs.make_console()
  pooled = results['pooled']
  print(f'\n{title}')
  tables.print_table(_columns(results['folds']), console)
  confusion = np.array(pooled['confusion'])
  print('\nall folds pooled')
  logs.print_confusion(
    confusion,
    pooled['class_names'],
    statistics.class_scores(confusion)._asdict(),
    console,
  )
  low, high = pooled['accuracy_interval']
  deviation = results['accuracy_deviation']
  print(
    f'accuracy {results["accuracy"]:.2%}'
    + (f' +- {deviation:.2%}' if deviation is not None else '')
    + f' (mean and deviation over {results["num_folds"]} folds)\n'
    f'pooled: accuracy {pooled["accuracy"]:.2%} (95% interval {low:.2%} to '
    f'{high:.2%}), macro-F1 {pooled["macro_f1"]:.4f}, '
    f'{pooled["num_examples"]:,} examples'
  )
  for note in results['notes']:
    print(f'note: {note}')
  print(f'written to {folder}')


def _columns(folds: Sequence[Mapping[str, Any]]) -> list[tables.Column]:
  def column(title: str, texts: Sequence[str]) -> tables.Column:
    return tables.Column(title, [tables.Cell(text) for text in texts])

  return [
    column('fold', [str(each['fold']) for each in folds]),
    column('examples', [f'{each["num_examples"]:,}' for each in folds]),
    column('step', [f'{each["step"]:,}' for each in folds]),
    column('accuracy', [f'{100 * each["accuracy"]:.2f}' for each in folds]),
    column('macro-F1', [f'{each["macro_f1"]:.3f}' for each in folds]),
  ]
