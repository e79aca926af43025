"""What every network must do, and a script that asks it of each.

python tests/networks.py [NAME ...] > networks.md

For each network: one training step on one device and on four agree, and it
learns 64 drawn faces by heart. Those with a choice of stems have that of
ImageNet, which two cores can train at 48x48. The table has parameters, FLOPs,
how long the step compiles, and what memory it takes besides its arguments, for
64 images. Each runs in a process of its own.
"""

import json
import os
import re
import subprocess
import sys
import time

import jax
import numpy as np

from ferjax import config as config_lib
from ferjax import models, optim, parallel, preprocess, steps, train_state
from ferjax.data import pipeline, synthetic
from ferjax.data.dataset import Split
from ferjax.models import summary

NUM_CLASSES = 7
BATCH = 64
MOST_STEPS = 80
LEARNT = 63 / 64  # of the images; what counts as by heart

# How far one device and four may lie apart: in the loss and the gradient of the
# first step, and in the next loss.
GAP = 1e-3


class Trial:
  """A network that is about to learn 64 drawn faces, 64 at a time."""

  def __init__(self, name, learning_rate=1e-3, image_size=0, **options):
    config = config_lib.default_config()
    config.model.name = name
    config.image_size = image_size
    config.batch_size = BATCH
    config.sharding = 'shard_map'
    config.augment.flip = False
    config.optimizer.name = 'adamw'
    config.optimizer.learning_rate = learning_rate
    config.optimizer.weight_decay = 0.0
    config.optimizer.clip_norm = 1.0
    labels = np.arange(BATCH, dtype=np.int32) % NUM_CLASSES
    self.split = Split(
      synthetic.draw_faces(labels, seed=0), labels, np.arange(BATCH)
    )
    self.config = config
    self.shape = preprocess.input_shape(config, (48, 48, 1))
    self.model = models.create_model(name, NUM_CLASSES, **options)
    optimizer = optim.make_optimizer(config.optimizer, lambda _: learning_rate)
    variables = models.init(self.model, self.shape, seed=0)
    self.num_params = sum(map(np.size, jax.tree.leaves(variables['params'])))
    self.state = parallel.replicate(
      train_state.create(variables, optimizer, use_ema=False)
    )
    self.step = steps.make_train_step(
      config, self.model, optimizer, np.ones(NUM_CLASSES, np.float32)
    )

  def batches(self, num_steps):
    calls = pipeline.plan_calls(0, num_steps, 1, [])
    return pipeline.prefetch_to_devices(
      pipeline.train_batches(self.split, calls, BATCH, 0, 'host'),
      self.config.sharding,
      1,
    )

  def train(self, num_steps, until=2.0):
    """Yields loss, gradient norm and accuracy before each step."""
    for batch in self.batches(num_steps):
      self.state, sums = self.step(self.state, (), batch)
      sums = parallel.to_host(sums)
      accuracy = float(sums['correct'] / sums['count'])
      yield (
        float(sums['loss'] / sums['count']),
        float(sums['grad_norm']),
        accuracy,
      )
      if accuracy >= until:
        return


def still(name):
  """Returns the options without which no two trials would be alike."""
  drops = dict.fromkeys(('dropout', 'stage_dropout', 'drop_path'), 0.0)
  choices = drops | {'axis_name': parallel.AXIS}
  known = models.known_options(name)
  return {option: choices[option] for option in choices if option in known}


def fast(name):
  """Returns the stem that two cores can train at 48x48."""
  default = getattr(models.create_model(name, NUM_CLASSES), 'stem', None)
  return {'stem': 'imagenet'} if default == 'small' else {}


def main(names):
  unknown = sorted(set(names) - set(models.MODELS))
  if unknown:
    sys.exit(f'unknown {unknown}; have {sorted(models.MODELS)}')
  print(
    '| network | parameters | FLOPs per image | compile, s | working memory,'
    ' MB | 1 and 4 devices differ in loss, gradient, next loss by | 64 images'
    ' by heart after |\n'
    '|---|---|---|---|---|---|---|',
    flush=True,
  )
  failed = []
  for name in names or models.MODELS:
    one, four = child(name, 1), child(name, 4)
    if isinstance(one, str) or isinstance(four, str):
      failed.append(f'{name}: {one if isinstance(one, str) else four}')
      continue
    gaps = np.abs(np.divide(one['first'], four['first']) - 1)
    differ = ', '.join(f'{gap:.0e}' for gap in gaps)
    learnt = one['accuracies'][-1] >= LEARNT
    print(
      f'| `{name}` | {one["parameters"]:,} | {one["flops"] / 1e6:,.1f} M | '
      f'{one["compile_seconds"]:.1f} | {one["memory_bytes"] / 1e6:,.0f} | '
      # Each accuracy is of the weights before its step.
      f'{differ} | {len(one["accuracies"]) - 1} steps'
      + ('' if learnt else f' not: {one["accuracies"][-1]:.0%}')
      + ' |',
      flush=True,
    )
    if not ((gaps <= GAP).all() and learnt):  # NaN fails too
      failed.append(name)
  if failed:
    sys.exit('failed:\n' + '\n'.join(failed))


def child(name, devices):
  """Runs `report` in a process that has this many devices."""
  flags = re.sub(
    r'--xla_force_host_platform_device_count=\d+',
    '',
    os.environ.get('XLA_FLAGS', ''),
  )
  count = f' --xla_force_host_platform_device_count={devices}'
  done = subprocess.run(
    [sys.executable, __file__, '--report', name],
    env=os.environ | {'XLA_FLAGS': flags + count, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
  )
  if done.returncode:
    return (done.stderr.strip().splitlines() or [f'rc {done.returncode}'])[-1]
  return json.loads(done.stdout.splitlines()[-1])


def report(name):
  """Returns what one process has to say of a network."""
  # VGG's wide dense layers want small steps, smaller still without batch norm.
  rate = 1e-4 if re.fullmatch(r'vgg\d+', name) else 1e-3
  rate = 3e-4 if name.endswith('_bn') else rate
  trial = Trial(name, rate, **still(name), **fast(name))
  batch = next(iter(trial.batches(1)))
  began = time.perf_counter()
  compiled = trial.step.lower(trial.state, (), batch).compile()
  seconds = time.perf_counter() - began
  trial.step = compiled
  num_steps = MOST_STEPS if jax.device_count() == 1 else 2
  records = list(trial.train(num_steps, until=LEARNT))
  return {
    'parameters': trial.num_params,
    'flops': summary.count(trial.model, trial.shape).flops,
    'compile_seconds': seconds,
    'memory_bytes': compiled.memory_analysis().temp_size_in_bytes,
    # Two losses: the second tells whether the first update was the same.
    'first': [records[0][0], records[0][1], records[1][0]],
    'accuracies': [accuracy for _, _, accuracy in records],
  }


if __name__ == '__main__':
  if sys.argv[1:2] == ['--report']:
    print(json.dumps(report(sys.argv[2])))
  else:
    main(sys.argv[1:])
