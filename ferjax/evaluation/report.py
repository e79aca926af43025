"""What people get to see of a run: its header, its figures and its plots."""

from collections.abc import Mapping
import csv
import io
import json
from typing import Any

import jax
from ml_collections import config_dict
import numpy as np

from ferjax import logs, parallel, statistics, storage
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError
from ferjax.evaluation import assessment
from ferjax.evaluation.assessment import Result
from ferjax.inference import Classifier, Evaluation
from ferjax.storage import Path


def header(
  config: config_dict.ConfigDict, dataset: Dataset, params: Any
) -> dict[str, str]:
  """Returns what stands above a training, by name.

  Args:
    config: the whole config.
    dataset: its splits are counted.
    params: of the network; they are counted.
  """
  counts = ', '.join(
    f'{len(split):,} {name}' for name, split in dataset.splits.items()
  )
  num_params = sum(x.size for x in jax.tree.leaves(params))
  device = jax.local_devices()[0]
  processes = jax.process_count()
  length = next(
    f'{config[f"num_{unit}"]:g} {unit}'
    for unit in ('steps', 'epochs', 'examples')
    if config[f'num_{unit}']
  )
  optimizer = config.optimizer
  return {
    'network': f'{config.model.name}, {num_params:,} parameters, '
    f'{config.model.dtype}',
    'data': f'{dataset.name}: {counts}',
    **({'note': '; '.join(dataset.notes)} if dataset.notes else {}),
    'training': f'{length}, batch {config.batch_size}, {optimizer.name} '
    f'at {optimizer.learning_rate:g} ({config.schedule.name}), '
    f'seed {config.seed}',
    'devices': f'{jax.device_count()} x {device.device_kind}'
    + (f' in {processes} processes' if processes > 1 else ''),
  }


def evaluate(
  classifier: Classifier,
  dataset: Dataset,
  split: str,
  folder: Path,
  evaluation: Evaluation | None = None,
) -> dict[str, Any]:
  """Evaluates a network on one split; writes and prints all about it.

  Args:
    classifier: the network, or several.
    dataset: holds the split, and `train`, where its copies are to be told.
    split: its name.
    folder: see `write`.
    evaluation: of the split, where the network was asked already.

  Returns:
    What stands in metrics.json.

  Raises:
    UserError: when images or classes do not fit, or nothing can be written.
  """
  result = assessment.assess(classifier, dataset, split, evaluation)
  if parallel.is_main_process():
    write(result, folder)
  return result.figures


def write(result: Result, folder: Path) -> None:
  """Writes and prints what an evaluation found.

  Args:
    result: all of it.
    folder: for metrics.json, predictions.csv and the confusion matrices; made
      where it is missing, earlier files there are replaced.

  Raises:
    UserError: when it cannot be written.
  """
  from ferjax import plots  # matplotlib takes a second to import

  found, names = result.figures, result.figures['class_names']
  confusion = np.array(found['confusion'])
  try:
    storage.make_folder(folder)
    _write_predictions(folder / 'predictions.csv', result)
    for name, normalized in (('counts', False), ('normalized', True)):
      path = folder / f'confusion_{name}.png'
      plots.plot_confusion(confusion, names, path, result.title, normalized)
    text = json.dumps(found, indent=2) + '\n'
    storage.write_text(folder / 'metrics.json', text)
  except OSError as error:
    raise UserError(f'cannot write to {folder} ({error.strerror})') from error
  _print(found, result.title)
  print(f'written to {folder}')


def draw_training(workdir: Path, dataset: Dataset) -> None:
  """Draws the curves of a run and some of the faces that it was trained on.

  Args:
    workdir: of the run; gets curves.png and samples.png.
    dataset: with the split `train`.
  """
  from ferjax import plots  # matplotlib takes a second to import

  split = dataset.splits['train']
  plots.plot_curves(logs.read_metrics(workdir), workdir / 'curves.png')
  plots.plot_samples(
    split.images, split.labels, dataset.class_names, workdir / 'samples.png'
  )


def _print(found: Mapping[str, Any], title: str) -> None:
  confusion = np.array(found['confusion'])
  print(f'\n{title}')
  logs.print_confusion(
    confusion,
    found['class_names'],
    statistics.class_scores(confusion)._asdict(),
    logs.make_console(),
  )
  print(
    f'{_accuracy(found)}, macro-F1 {found["macro_f1"]:.4f}, loss '
    f'{found["loss"]:.4f}\n{found["num_examples"]:,} examples of '
    f'{found["dataset"]} {found["split"]}, '
    + ('checkpoints up to' if found['members'] else 'checkpoint of')
    + f' step {found["step"]:,}'
  )
  for line in remarks(found):
    print(line)


def remarks(found: Mapping[str, Any]) -> list[str]:
  """Returns what has to be said beside the figures of metrics.json."""
  lines = []
  alone = found['without_copies']
  copied = found['num_examples'] - alone['num_examples'] if alone else 0
  if copied and alone['num_examples']:
    lines.append(
      f'without the {copied:,} images that also stand in train: '
      f'{_accuracy(alone)}'
    )
  elif copied:
    lines.append('all of these images also stand in train')
  for name, each in (found['members'] or {}).items():
    lines.append(f'{name} alone: {_accuracy(each)}')
  if found['calibrated']:
    ece, calibrated = found['ece'], found['calibrated']
    lines.append(
      f'calibration error {ece:.4f}; {calibrated["ece"]:.4f} with the '
      f'temperature {calibrated["temperature"]:.3f}'
    )
  lines += [f'note: {note}' for note in found['notes']]
  lines += [
    f'left out: {count} of {name}, which the network does not know'
    for name, count in found['left_out'].items()
  ]
  return lines


def _accuracy(found: Mapping[str, Any]) -> str:
  low, high = found['accuracy_interval']
  return (
    f'accuracy {found["accuracy"]:.2%} (95% interval {low:.2%} to {high:.2%})'
  )


def _write_predictions(path: Path, result: Result) -> None:
  class_names = result.figures['class_names']
  split = result.examples
  # Nine digits give every float32 back: rounded, small ones would be equal.
  text = io.StringIO(newline='')
  writer = csv.writer(text)
  writer.writerow(['index', 'label', 'prediction', *class_names])
  for row, label, values in zip(
    split.index, split.labels, result.evaluation.probabilities, strict=True
  ):
    names = class_names[label], class_names[values.argmax()]
    writer.writerow([row, *names, *(f'{value:.9g}' for value in values)])
  storage.write_text(path, text.getvalue())
