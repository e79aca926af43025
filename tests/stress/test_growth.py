"""A long training: memory, files and compiled programs stay as many."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NUM_STEPS = 10_000 if os.environ.get('FERJAX_STRESS') == '1' else 3_000

pytestmark = [pytest.mark.stress, pytest.mark.slow]

# Trains in this process, and looks at itself after each validation.
CHILD = """
import gc, json, os, pathlib, sys
import jax
from absl import flags
flags.FLAGS.mark_as_parsed()
from ferjax import config as config_lib, heap, parallel, train
from ferjax.training import member

heap.keep_freed_memory()
compiled = []
jax.monitoring.register_event_duration_secs_listener(
  lambda name, *_, **__: compiled.append(name)
  if name.endswith('backend_compile_duration') else None
)
data_dir, workdir, num_steps = sys.argv[1:]
config = config_lib.default_config()
config.update({
  'batch_size': 16, 'num_steps': int(num_steps), 'log_every_steps': 50,
  'eval_every_epochs': 0.0, 'eval_every_steps': 250,
  'checkpoint_every_epochs': 0.0, 'checkpoint_every_steps': 250,
})
config.data.dir = data_dir
config.model.name = 'logistic'
config.optimizer.learning_rate = 0.001
seen = []
record = member.Member.record

def watch(self, read, step, due, *rest):
  result = record(self, read, step, due, *rest)
  if 'eval' in due:
    self.checkpoints.wait()  # what is being saved has files open
    gc.collect()
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
    seen.append({
      'step': step,
      'megabytes': pages * os.sysconf('SC_PAGE_SIZE') / 2**20,
      'files': len(os.listdir('/proc/self/fd')),
      'threads': len(os.listdir('/proc/self/task')),
      'compiled': len(compiled),
      'arrays': len(jax.live_arrays()),
    })
  return result

member.Member.record = watch
train.train_and_evaluate(config, pathlib.Path(workdir))
print(json.dumps(seen))
"""


@pytest.mark.skipif(not pathlib.Path('/proc/self').exists(), reason='no /proc')
def test_nothing_grows(data_dir, tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', CHILD, data_dir, tmp_path, str(NUM_STEPS)],
    cwd=ROOT,
    env=dict(os.environ, XLA_FLAGS=''),
    capture_output=True,
    text=True,
    check=False,
    timeout=900,
  )
  assert done.returncode == 0, done.stderr
  seen = json.loads(done.stdout.splitlines()[-1])
  # The first thousand steps are more than a hundred epochs of these data.
  first = next(each for each in seen if each['step'] >= 1000)
  last = seen[-2]  # at the end, more is done
  print(first, last, sep='\n')
  assert last['step'] >= NUM_STEPS - 250
  assert last['compiled'] == first['compiled'] > 0
  assert last['arrays'] <= first['arrays']
  assert last['files'] <= first['files']
  assert last['threads'] <= first['threads'] + 2
  # Freed memory stays with the process, so that it settles slowly.
  grown = last['megabytes'] - first['megabytes']
  assert grown < 8 + 0.001 * (last['step'] - first['step']), grown
