"""What people get to see of a run: its header, its figures and its plots."""

from collections.abc import Mapping, Sequence
import csv
import json
import pathlib
from typing import Any

import jax
from ml_collections import config_dict
import numpy as np

from ferjax import logs, parallel, statistics
from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError
from ferjax.inference import Evaluation, Predictor


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


def summarize(
  evaluation: Evaluation, class_names: Sequence[str]
) -> dict[str, Any]:
  """Returns the figures of an evaluation, ready for JSON.

  The interval is Wilson's, at 95% confidence. Precision, recall and F1 are 0
  where they are not defined.

  Args:
    evaluation: of some examples.
    class_names: in the order of the labels.
  """
  confusion = np.rint(evaluation.sums['confusion']).astype(np.int64)
  correct, total = int(np.trace(confusion)), int(confusion.sum())
  scores = statistics.class_scores(confusion)
  return {
    'num_examples': total,
    'accuracy': correct / total,
    'accuracy_interval': list(statistics.wilson_interval(correct, total)),
    'macro_f1': float(statistics.macro_f1(confusion)),
    'loss': float(evaluation.sums['loss']) / total,
    'images_per_second': evaluation.images_per_second,
    'classes': {
      name: {
        'precision': float(scores.precision[i]),
        'recall': float(scores.recall[i]),
        'f1': float(scores.f1[i]),
        'num_examples': int(confusion[i].sum()),
      }
      for i, name in enumerate(class_names)
    },
    'class_names': list(class_names),
    'confusion': confusion.tolist(),
  }


def match_classes(
  dataset: Dataset, split: str, class_names: Sequence[str]
) -> tuple[Split, dict[str, int]]:
  """Renumbers the labels of another data set for a network's classes.

  Args:
    dataset: with any classes.
    split: the name of one of its splits.
    class_names: of the network.

  Returns:
    The examples whose class the network knows, and how many of each other
    class were left out.

  Raises:
    UserError: when no class is common.
  """
  examples = dataset.splits[split]
  places = np.array(
    [
      class_names.index(name) if name in class_names else -1
      for name in dataset.class_names
    ]
  )
  labels = places[examples.labels]
  known = labels >= 0
  counts = examples.counts(dataset.num_classes)
  left_out = {
    name: int(count)
    for name, count, place in zip(
      dataset.class_names, counts, places, strict=True
    )
    if place < 0 and count
  }
  if not known.any():
    raise UserError(
      f'{dataset.name} has no class that the network knows: '
      f'{", ".join(dataset.class_names)} against {", ".join(class_names)}'
    )
  kept = Split(
    examples.images[known],
    labels[known].astype(np.int32),
    examples.index[known],
  )
  return kept, left_out


def evaluate(
  predictor: Predictor,
  dataset: Dataset,
  split: str,
  folder: pathlib.Path,
) -> dict[str, Any]:
  """Evaluates a network on one split; writes and prints all about it.

  Args:
    predictor: the network.
    dataset: holds the split.
    split: its name.
    folder: for metrics.json, predictions.csv and the confusion matrices; made
      where it is missing, earlier files there are replaced.

  Returns:
    What stands in metrics.json.

  Raises:
    UserError: when images or classes do not fit, or nothing can be written.
  """
  from ferjax import plots  # matplotlib takes a second to import

  names = predictor.class_names
  examples, left_out = match_classes(dataset, split, names)
  evaluation = predictor.evaluate(examples)
  figures = {
    'dataset': dataset.name,
    'split': split,
    'content_hash': examples.content_hash(),
    'step': predictor.step,
    'notes': list(dataset.notes),
    'left_out': left_out,
    **summarize(evaluation, names),
  }
  if not parallel.is_main_process():
    return figures
  confusion = np.array(figures['confusion'])
  title = f'{predictor.config.model.name} on {dataset.name} {split}'
  try:
    folder.mkdir(parents=True, exist_ok=True)
    _write_predictions(
      folder / 'predictions.csv', evaluation.probabilities, examples, names
    )
    for name, normalized in (('counts', False), ('normalized', True)):
      path = folder / f'confusion_{name}.png'
      plots.plot_confusion(confusion, names, path, title, normalized)
    partial = folder / 'metrics.json.partial'
    partial.write_text(json.dumps(figures, indent=2) + '\n')
    partial.replace(folder / 'metrics.json')
  except OSError as error:
    raise UserError(f'cannot write to {folder} ({error.strerror})') from error
  _print(figures, title, folder)
  return figures


def draw_training(workdir: pathlib.Path, dataset: Dataset) -> None:
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


def _print(
  figures: Mapping[str, Any], title: str, folder: pathlib.Path
) -> None:
  low, high = figures['accuracy_interval']
  confusion = np.array(figures['confusion'])
  print(f'\n{title}')
  logs.print_confusion(
    confusion,
    figures['class_names'],
    statistics.class_scores(confusion)._asdict(),
    logs.make_console(),
  )
  print(
    f'accuracy {figures["accuracy"]:.2%} (95% interval {low:.2%} to '
    f'{high:.2%}), macro-F1 {figures["macro_f1"]:.4f}, loss '
    f'{figures["loss"]:.4f}\n{figures["num_examples"]:,} examples of '
    f'{figures["dataset"]} {figures["split"]}, checkpoint of step '
    f'{figures["step"]:,}'
  )
  for note in figures['notes']:
    print(f'note: {note}')
  for name, count in figures['left_out'].items():
    print(f'left out: {count} of {name}, which the network does not know')
  print(f'written to {folder}')


def _write_predictions(
  path: pathlib.Path,
  probabilities: np.ndarray,
  split: Split,
  class_names: Sequence[str],
) -> None:
  partial = path.with_name(f'{path.name}.partial')
  with partial.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow(['index', 'label', 'prediction', *class_names])
    for row, label, values in zip(
      split.index, split.labels, probabilities, strict=True
    ):
      names = class_names[label], class_names[values.argmax()]
      writer.writerow([row, *names, *(f'{value:.6f}' for value in values)])
  partial.replace(path)
