"""Workdirs with broken files: what they came to, or one line."""

import json
import math

import guard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from miniature import NAMES, add_evaluation, make_run
from mutations import Content, broken_json, broken_rows
import numpy as np
import pytest

from ferjax import compare, logs, recovery, tables, workdir
from ferjax import config as config_lib
from ferjax.data.dataset import Dataset, Split
from ferjax.errors import UserError
from ferjax.exploration import suspects
from ferjax.studies import comparison, pooled, ranking, rounds

pytestmark = pytest.mark.stress

FILES = (
  'config.json',
  'dataset.json',
  'metrics.jsonl',
  'rollbacks.json',
  'eval/validation/metrics.json',
  'eval/train/metrics.json',
  'eval/validation/predictions.csv',
)


JOURNAL = [
  {
    'to_step': 5 * i,
    'why': 'train/loss is nan',
    'times': i,
    'learning_rate_factor': 0.5**i,
    'skip': 5 * i,
  }
  for i in (1, 2)
]


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


@pytest.fixture(scope='module')
def runs(home):
  """Two runs that can be compared, and the files of the first one."""
  for name, hits in (('broken', 40), ('whole', 45)):
    run = make_run(home / name, hits=hits, model='logistic')
    add_evaluation(run, 'train', 150, 'b2' * 16, total=160)
    (run / 'rollbacks.json').write_text(json.dumps(JOURNAL))
  return {name: (home / 'broken' / name).read_bytes() for name in FILES}


def broken_file(draw, name, content):
  if name.endswith('.json'):
    return draw(broken_json(json.loads(content)))
  if name.endswith('.csv'):
    table = [line.split(',') for line in content.decode().splitlines()]
    text = '\n'.join(map(','.join, draw(broken_rows(table))))
    return Content(text.encode('utf-8', 'surrogatepass'))
  lines = content.splitlines(keepends=True)
  place = draw(st.integers(0, len(lines) - 1))
  record = draw(broken_json(json.loads(lines[place])))
  end = draw(st.sampled_from((b'\n', b'\n', b'', b'\r\n', b'\x0c', b'\x1c\n')))
  lines[place : place + 1] = [record + end]
  return Content(b''.join(lines))


def compared(workdirs):
  """Does what `compare` does, but for its picture."""
  outcomes, counts = compare._read(workdirs)
  groups = ranking.rank(outcomes, counts)
  remarks = [
    *ranking.warnings(groups),
    *ranking.differences(groups),
    *ranking.settings(groups),
    *comparison.notes(groups, ''),
  ]
  comparison.to_csv(groups)
  comparison.bars(groups)
  comparison.to_markdown(groups, remarks)
  console = logs.make_console(enabled=False)
  for heading, rows in zip(comparison.titles(groups), groups, strict=True):
    assert heading
    tables.print_table(comparison.columns(rows), console)
  return groups


@given(st.data())
@settings(max_examples=settings().max_examples // 4)  # each traces two networks
def test_runs_are_compared(home, runs, data):
  broken = data.draw(st.lists(st.sampled_from(FILES), max_size=2, unique=True))
  for name, content in runs.items():
    path = home / 'broken' / name
    if name in broken:
      content = broken_file(data.draw, name, content)
    path.write_bytes(content)
  groups = guard.outcome(
    lambda: compared([home / 'broken', home / 'whole']), home
  )
  names = [row.name for rows in groups for row in rows]
  assert 'whole' in names
  if not broken:
    assert names == ['whole', 'broken']
  for rows in groups:
    for row in rows:
      assert 0 <= row.validation.accuracy <= 1


@given(st.data())
@example(None)
def test_a_run_goes_on_where_it_stopped(home, runs, data):
  """Nothing is forgotten but what comes after the checkpoint."""
  folder = home / 'resumed'
  folder.mkdir(exist_ok=True)
  content = runs['metrics.jsonl']
  if data:
    content = broken_file(data.draw, 'metrics.jsonl', content)
  (folder / 'metrics.jsonl').write_bytes(content)

  def reopen():
    with logs.MetricLogger(folder, start_step=14, tensorboard=False):
      pass
    return logs.read_metrics(folder)

  found = guard.outcome(reopen, home)
  if isinstance(found, UserError):
    assert (folder / 'metrics.jsonl').read_bytes() == content
    return
  *lines, _ = content.decode('utf-8', 'replace').split('\n')
  records = [json.loads(line) for line in lines]
  kept = [record for record in records if record['step'] <= 14]
  assert repr(found) == repr(
    [{k: math.nan if v is None else v for k, v in r.items()} for r in kept]
  )


@given(broken_json(JOURNAL))
@example(json.dumps(JOURNAL).encode())
def test_how_often_it_went_back(home, content):
  folder = home / 'astray'
  folder.mkdir(exist_ok=True)
  (folder / recovery.NAME).write_bytes(content)
  found = guard.outcome(lambda: recovery.read(folder), home)
  if isinstance(found, UserError):
    assert content != json.dumps(JOURNAL).encode()
    return
  assert found.times >= 0
  assert found.skip >= 0
  assert 0 < found.learning_rate_factor <= 1


CONFIG = config_lib.default_config()
KNOWN = {
  'name': 'drawn',
  'class_names': NAMES,
  'image_shape': [48, 48, 1],
  'splits': {'train': {'num_examples': 160, 'content_hash': 'b2' * 16}},
}


@given(broken_json(KNOWN))
def test_who_may_go_on(home, content):
  folder = home / 'claimed'
  folder.mkdir(exist_ok=True)
  (folder / 'config.json').write_text(config_lib.to_json(CONFIG))
  (folder / 'dataset.json').write_bytes(content)
  found = guard.outcome(lambda: workdir.check(folder, CONFIG, KNOWN), home)
  if found is None:
    same = json.loads(content)
    assert all(same[key] == KNOWN[key] for key in ('name', 'class_names'))


FIGURES = {
  'accuracy': 0.5,
  'accuracy_interval': [0.4, 0.6],
  'macro_f1': 0.4,
  'loss': 1.5,
  'num_examples': 4,
  'step': 10,
  'class_names': ['angry', 'happy'],
  'confusion': [[1, 1], [1, 1]],
  'content_hash': 'a1',
}


@given(broken_json(FIGURES))
@example(json.dumps(FIGURES).encode())
def test_the_figures_of_a_fold(home, content):
  folder = home / 'fold'
  folder.mkdir(exist_ok=True)
  (folder / 'metrics.json').write_bytes(content)
  found = guard.outcome(
    lambda: rounds.read_figures(folder, 10, 'a1', ['angry', 'happy']), home
  )
  if found is not None:
    results = pooled.summarize({0: found, 1: FIGURES})
    json.dumps(results)
    assert 0 <= results['accuracy'] <= 1
  else:
    assert content != json.dumps(FIGURES).encode()


def faces(start):
  images = np.zeros((8, 4, 4, 1), np.uint8)
  return Split(images, np.arange(8, dtype=np.int32) % 2, np.arange(8) + start)


FACES = Dataset(
  'faces',
  ('angry', 'happy'),
  {'train': faces(0), 'validation': faces(100)},
  'nowhere',
)
PREDICTIONS = [
  ['index', 'label', 'prediction', 'happy', 'angry'],
  *(
    [str(100 + i), ('angry', 'happy')[i % 2], '-', str(i / 8), str(1 - i / 8)]
    for i in range(8)
  ),
]
WHOLE = json.dumps({'dataset': 'faces', 'split': 'validation'}).encode()


@given(
  broken_rows(PREDICTIONS),
  st.one_of(st.just(WHOLE), broken_json(json.loads(WHOLE))),
  st.sampled_from(('', 'nul', 'long', 'quote')),
)
@example(PREDICTIONS, WHOLE, '')
def test_predictions(home, table, figures, more):
  path = home / 'eval' / 'predictions.csv'
  path.parent.mkdir(exist_ok=True)
  (path.parent / 'metrics.json').write_bytes(figures)
  text = '\n'.join(map(','.join, table)) + '\n'
  text += {'': '', 'nul': '\0', 'long': 'x' * 200_000, 'quote': '"a'}[more]
  path.write_bytes(text.encode('utf-8', 'surrogatepass'))
  found = guard.outcome(lambda: suspects.from_files([path], FACES), home)
  if isinstance(found, UserError):
    assert (table, figures, more) != (PREDICTIONS, WHOLE, '')
    return
  assert np.isfinite(found.margin).all()
