"""The speed run's referee counts the last step, and every second."""

import importlib
import json
import pathlib

from absl import flags
from miniature import make_run
import numpy as np
import pytest

from ferjax import workdir as workdir_lib
from ferjax.checkpoint import Checkpoints
from ferjax.errors import UserError
from ferjax.run import build
from ferjax.training import loop
from ferjax.training.member import Member

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'

# In place of a training: a workdir that is ready, accuracy 0.6 + seed / 100,
# after a tenth of a second, and one compiled program, where there is none.
STAND_IN = """
import os, pathlib, shutil, sys, time
ready, seed, workdir = (x.partition('=')[2] for x in sys.argv[1:])
if seed == '3':
  print('error: no such luck', '  then this', sep='\\n', file=sys.stderr)
  sys.exit(2)
shutil.copytree(ready, workdir)
with open(workdir + '/metrics.jsonl', 'a') as file:
  accuracy = 0.6 + int(seed) / 100
  file.write('{"step": 20, "val/accuracy": %f}\\n' % accuracy)
pathlib.Path(os.environ['JAX_COMPILATION_CACHE_DIR'], 'x-cache').touch()
time.sleep(0.1)
"""


@pytest.fixture
def referee(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('time_to_accuracy')


@pytest.fixture
def stand_in(referee, monkeypatch, tmp_path):
  """Runs the script over seeds, with something quicker than trainings."""
  ready = make_run(tmp_path / 'ready')
  command = ('-IS', '-c', STAND_IN, f'--ready={ready}')
  race = referee.race

  def run(*seeds):
    values = flags.FlagValues()
    flags.DEFINE_string('config', 'x.py', '', values)
    flags.DEFINE_list('seeds', list(map(str, seeds)), '', values)
    flags.DEFINE_multi_string('set', ['data.dir=here'], '', values)
    flags.DEFINE_float('aim', 0.61, '', flag_values=values)
    flags.DEFINE_string('output', str(tmp_path / 'out.json'), '', values)
    values.mark_as_parsed()
    monkeypatch.setattr(referee.flags, 'FLAGS', values)
    monkeypatch.setattr(referee.child, 'machine', lambda: 'a machine')
    asked = []

    def race_stand_in(asking, *where):
      asked.append(asking)
      return race(command, *where)

    monkeypatch.setattr(referee, 'race', race_stand_in)
    try:
      referee.main([])
    finally:
      written = json.loads((tmp_path / 'out.json').read_text())
    return written, asked

  return run


def test_seeds_are_raced_one_by_one(stand_in, capsys):
  found, asked = stand_in(0, 2, 4)
  trials = found['trials']
  training = ['-m', 'ferjax.main', '--config=x.py', '--config.data.dir=here']
  assert asked == [training] * 3
  assert [trial['seed'] for trial in trials] == [0, 2, 4]
  assert [trial['cold'] for trial in trials] == [True, False, False]
  assert [trial['compiled'] for trial in trials] == [1, 0, 0]
  accuracies = [0.6, 0.62, 0.64]  # not the best on the way, 0.9
  assert [trial['accuracy'] for trial in trials] == accuracies
  assert found['mean'] == pytest.approx(np.mean(accuracies))
  assert found['deviation'] == pytest.approx(np.std(accuracies, ddof=1))
  assert found['minimum'] == 0.6
  assert found['reached']
  walls = [trial['wall_seconds'] for trial in trials]
  assert min(walls) > 0.1
  assert found['cold_wall_seconds'] == walls[0]
  assert found['warm_wall_seconds'] == pytest.approx(np.mean(walls[1:]))
  # Steps 1-5 at the later ones' median, then 5, 4 and 6, in batches of 16.
  seconds = 16 * (5 / 8 + 5 / 9 + 4 / 8 + 6 / 7)
  assert trials[0]['training_seconds'] == pytest.approx(seconds)
  said = capsys.readouterr().out
  assert '| 4 | warm | 0 |' in said
  assert 'mean 62.00%, standard deviation 2.00%, minimum 60.00%' in said
  assert '61.00% is reached' in said


def test_a_failure_keeps_what_there_is(stand_in, tmp_path):
  with pytest.raises(UserError, match=r'^seed 3 failed: no such luck$'):
    stand_in(0, 3, 4)
  found = json.loads((tmp_path / 'out.json').read_text())
  assert [trial['seed'] for trial in found['trials']] == [0]
  assert found['deviation'] is None
  assert not found['reached']  # 0.6 alone


def test_an_unfinished_training_counts_for_nothing(referee, tmp_path):
  workdir = make_run(tmp_path / 'run', recorded=14)
  with pytest.raises(UserError, match='stopped at step 14 of 20'):
    referee.read(workdir)


@pytest.mark.slow
def test_reads_what_a_training_writes(referee, make_config, tmp_path):
  config = make_config()
  config.update({'num_steps': 12, 'log_every_steps': 4})
  config.model.name = 'logistic'
  run = build(config)
  workdir_lib.create(tmp_path)
  workdir_lib.claim(tmp_path, config, run.dataset.describe())
  with Checkpoints(tmp_path) as checkpoints:
    member = Member(run, tmp_path, checkpoints)
    last = []
    validate = member.validate
    member.validate = lambda *x: last.append(validate(*x)) or last[-1]
    assert loop.train([member])
  seconds, accuracy = referee.read(tmp_path)
  assert accuracy == last[-1]['val/accuracy']
  assert len(last) == 2  # after steps 10 and 12
  assert 0 < seconds < 60
