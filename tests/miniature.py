"""Workdirs of finished runs, written by hand in a millisecond."""

import json

from ferjax import config as config_lib
from ferjax import statistics

NAMES = ['angry', 'happy', 'sad']


def make_run(
  workdir,
  hits=40,
  model='simple_cnn',
  content='a1' * 16,
  train_content='b2' * 16,
  seed=0,
  steps=20,
  recorded=20,
  **settings,
):
  """Writes what a run of 2 epochs of 160 images in batches of 16 leaves.

  It is right on the first `hits` of 60 validation images. `settings` are of the
  config's outermost section.
  """
  config = config_lib.default_config()
  config.update({'seed': seed, 'batch_size': 16, 'num_steps': steps})
  config.model.name = model
  config.update(settings)
  workdir.mkdir(parents=True)
  (workdir / 'config.json').write_text(config_lib.to_json(config))
  split = {'num_examples': 160, 'content_hash': train_content}
  dataset = {
    'name': 'drawn',
    'class_names': NAMES,
    'image_shape': [48, 48, 1],
    'splits': {'train': split, 'validation': {'content_hash': content}},
    'notes': ['drawn by hand'],
  }
  (workdir / 'dataset.json').write_text(json.dumps(dataset))
  records = [
    {'step': 5, 'train/loss': 2, 'train/accuracy': 0.1, 'images_per_second': 1},
    {
      'step': 10,
      'train/loss': 2,
      'train/accuracy': 0.2,
      'images_per_second': 9,
    },
    {'step': 10, 'val/accuracy': 0.9},
    {
      'step': 14,
      'train/loss': 1,
      'train/accuracy': 0.4,
      'images_per_second': 8,
    },
    {
      'step': 20,
      'train/loss': 1,
      'train/accuracy': 0.9,
      'images_per_second': 7,
    },
    {'step': 20, 'val/accuracy': 0.9},
  ]
  lines = [json.dumps(r) + '\n' for r in records if r['step'] <= recorded]
  (workdir / 'metrics.jsonl').write_text(''.join(lines))
  add_evaluation(workdir, 'validation', hits, content)
  return workdir


def add_evaluation(workdir, split, hits, content, step=10, total=60):
  """Writes what an evaluation leaves; all its figures differ."""
  folder = workdir / 'eval' / split
  folder.mkdir(parents=True)
  figures = {
    'accuracy': hits / total,
    'accuracy_interval': statistics.wilson_interval(hits, total),
    'macro_f1': 0.9 * hits / total,
    'num_examples': total,
    'step': step,
    'content_hash': content,
    'images_per_second': 100.0 + total,
  }
  (folder / 'metrics.json').write_text(json.dumps(figures))
  labels = [NAMES[i % 3] for i in range(total)]
  wrong = [NAMES[(i + 1) % 3] for i in range(total)]
  guesses = labels[:hits] + wrong[hits:]
  rows = [
    f'{i + 7},{label},{guess}\n'
    for i, (label, guess) in enumerate(zip(labels, guesses, strict=True))
  ]
  (folder / 'predictions.csv').write_text(
    'index,label,prediction\n' + ''.join(rows)
  )
