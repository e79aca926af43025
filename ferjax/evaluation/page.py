"""The page of an evaluation, and the figures on it."""

from collections.abc import Sequence

import numpy as np

from ferjax import config as config_lib
from ferjax import plots
from ferjax.errors import UserError
from ferjax.evaluation import ensemble, explanation, mistakes, report
from ferjax.evaluation.assessment import Result
from ferjax.inference import Classifier, Predictor
from ferjax.pages import Page
from ferjax.statistics import calibration, rates
from ferjax.storage import Path

MISTAKES = 32  # images of the gallery
NAME = 'report.html'


def write(
  classifier: Classifier,
  result: Result,
  workdirs: Sequence[Path],
  folder: Path,
  chosen: Sequence[int] = (),
) -> Path:
  """Draws what `report.write` does not, and writes all on one page.

  Args:
    classifier: who answered.
    result: what it answered.
    workdirs: as of `ensemble.load`; the curves of their runs are shown.
    folder: where `report.write` wrote; gets the figures and `report.html`.
    chosen: the `index` of images to be explained; of none, each class's surest
      hit and surest mistake are.

  Returns:
    The page.

  Raises:
    UserError: if an image that was chosen is not there, or nothing can be
      written.
  """
  explained = explanation.choose(result, chosen)
  found = result.figures
  page = Page(result.title)
  page.facts(_facts(result))
  for line in report.remarks(found):
    page.text(line)
  try:
    _add_members(page, result)
    _add_classes(page, result, folder)
    _add_confidence(page, classifier, result, folder)
    _add_mistakes(page, result, folder)
    if isinstance(classifier, Predictor):
      _add_insight(page, classifier, result, explained, folder)
    _add_training(page, classifier, workdirs)
    page.write(folder / NAME)
  except OSError as error:
    raise UserError(f'cannot write to {folder} ({error.strerror})') from error
  return folder / NAME


def _facts(result: Result) -> dict[str, str]:
  found = result.figures
  low, high = found['accuracy_interval']
  facts = {
    f'accuracy (95% interval {low:.2%} to {high:.2%})': (
      f'{found["accuracy"]:.2%}'
    ),
    'macro-F1': f'{found["macro_f1"]:.4f}',
    'calibration error': f'{found["ece"]:.4f}',
    'images': f'{found["num_examples"]:,}',
  }
  if len(found['class_names']) > 2:
    facts['label among the first two'] = f'{found["top2_accuracy"]:.2%}'
  return facts


def _add_members(page: Page, result: Result) -> None:
  members = result.figures['members']
  if not members:
    return
  page.section('Members')
  everyone = {'together': result.figures, **members}
  page.table(
    ['member', 'accuracy', 'macro-F1', 'loss'],
    [
      (
        name,
        f'{each["accuracy"]:.2%}',
        f'{each["macro_f1"]:.4f}',
        f'{each["loss"]:.4f}',
      )
      for name, each in everyone.items()
    ],
  )


def _add_classes(page: Page, result: Result, folder: Path) -> None:
  found = result.figures
  page.section('Classes')
  areas, precisions = found['roc_auc'], found['average_precision']
  rows = [
    (
      name,
      each['num_examples'],
      *(f'{each[key]:.3f}' for key in ('precision', 'recall', 'f1')),
      _three(areas['classes'][name]),
      _three(precisions['classes'][name]),
    )
    for name, each in found['classes'].items()
  ]
  low, high = (_three(bound) for bound in found['macro_f1_interval'])
  page.table(
    ['class', 'images', 'precision', 'recall', 'F1', 'ROC AUC', 'AP'],
    rows,
    f'Macro-F1 {found["macro_f1"]:.3f} (95% interval by bootstrap {low} to '
    f'{high}), balanced accuracy {_three(found["balanced_accuracy"])}, mean '
    f'AUC {_three(areas["macro"])}, mean AP {_three(precisions["macro"])}.',
  )
  for name, kind in (('counts', 'in images'), ('normalized', 'by true class')):
    path = folder / f'confusion_{name}.png'
    _add_figure(page, path, f'Confusion matrix, {kind}')
  curves = rates.one_against_rest(
    result.evaluation.probabilities, result.examples.labels
  )
  path = folder / 'rates.png'
  plots.plot_rates(
    curves, found['class_names'], path, 'Each class against the rest'
  )
  _add_figure(page, path, 'ROC and precision-recall curves of each class')


def _add_confidence(
  page: Page, classifier: Classifier, result: Result, folder: Path
) -> None:
  page.section('Confidence')
  probabilities, labels = (
    result.evaluation.probabilities,
    result.examples.labels,
  )
  tables = {'as trained': calibration.reliability(probabilities, labels)}
  if classifier.temperature is not None:
    scaled = calibration.apply_temperature(
      probabilities, classifier.temperature
    )
    name = f'temperature {classifier.temperature:.2f}'
    tables[name] = calibration.reliability(scaled, labels)
  path = folder / 'reliability.png'
  plots.plot_reliability(tables, path, 'How often right, when how sure')
  _add_figure(page, path, 'Accuracy against confidence')


def _add_mistakes(page: Page, result: Result, folder: Path) -> None:
  page.section('Surest mistakes')
  examples, names = result.examples, result.figures['class_names']
  probabilities = result.evaluation.probabilities
  rows = mistakes.most_confident(probabilities, examples.labels, MISTAKES)
  if not len(rows):
    page.text('There are none.')
    return
  path = folder / 'mistakes.png'
  captions = [
    caption.replace(', ', '\n')
    for caption in mistakes.captions(
      probabilities, examples.labels, names, rows
    )
  ]
  plots.plot_gallery(examples.images[rows], captions, path)
  _add_figure(page, path, 'Images that the network was surest and wrong of')


def _add_insight(
  page: Page,
  predictor: Predictor,
  result: Result,
  rows: np.ndarray,
  folder: Path,
) -> None:
  page.section('Where it looked')
  try:
    path = explanation.draw_heat(predictor, result, rows, folder)
    caption = 'Grad-CAM (arXiv 1610.02391) of the class that was guessed.'
    _add_figure(page, path, 'Images and their heat maps', caption)
  except UserError as error:  # some networks have no map
    page.text(str(error))
  page.section('Features')
  path = explanation.draw_features(predictor, result, folder)
  caption = 'What the last layer is given, coloured by label.'
  _add_figure(page, path, 'Scatter plot of the features', caption)


def _add_training(
  page: Page, classifier: Classifier, workdirs: Sequence[Path]
) -> None:
  page.section('Training')
  runs = [
    run
    for workdir in workdirs
    for run in ensemble.member_workdirs(workdir) or [workdir]
  ]
  for run in runs:
    if (run / 'curves.png').is_file():
      alt = f'Curves of the training of {run.name}'
      _add_figure(page, run / 'curves.png', alt, run.name)
  usual = config_lib.flatten(config_lib.default_config())
  for run, config in zip(runs, classifier.configs, strict=True):
    settings = sorted(config_lib.flatten(config).items())
    changed = [item for item in settings if item[1] != usual.get(item[0])]
    page.table(
      ['setting', 'value', 'default'],
      [(field, value, usual.get(field, '')) for field, value in changed],
      f'{run.name}: what is not at its default',
    )
    rest = [item for item in settings if item not in changed]
    page.table(['setting', 'value'], rest, f'{run.name}: all other settings')


def _add_figure(page: Page, path: Path, alt: str, caption: str = '') -> None:
  page.image(path.read_bytes(), alt, caption)


def _three(value: float | None) -> str:
  return '-' if value is None else f'{value:.3f}'
