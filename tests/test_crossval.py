"""A cross-validation trains every fold, tests each once, and pools them."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as reference

from ferjax.data import records, synthetic
from ferjax.data.dataset import CLASS_NAMES, Dataset, Split
from ferjax.data.raw import Raw

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
  """Prepared in folds: `faces`, `partial`, and `crowd` of unknown subjects."""
  folder = tmp_path_factory.mktemp('faces')
  labels = (np.arange(72) % 4).astype(np.int32)
  split = Split(synthetic.draw_faces(labels, seed=0), labels, np.arange(72))
  subjects = np.array([f'S{i // 8}' for i in range(72)])
  # Of `partial`, S3 and S7, a fold of four, show the last class alone.
  last = np.where(np.arange(72) // 8 % 4 == 3, 3, labels).astype(np.int32)
  for name, columns, own in (
    ('faces', {'subject': subjects}, labels),
    ('partial', {'subject': subjects}, last),
    ('crowd', {}, labels),
  ):
    full = dataclasses.replace(split, labels=own)
    dataset = Dataset(name, CLASS_NAMES[:4], {'full': full}, 'drawn', ())
    raw = Raw(dataset, {}, {}, (), {'full': columns})
    records.write(raw, str(folder), False, lambda part: None)
  return folder


def start(faces, workdir, *flags, name='faces', devices=1):
  settings = {
    'data.dir': faces,
    'data.name': name,
    'num_epochs': 0,
    'num_steps': 12,
    'batch_size': 8,
    'model.name': 'logistic',
    'model.dropout': 0.0,
    'schedule.warmup_epochs': 0,
    'eval_every_epochs': 0,
    'eval_every_steps': 4,
    'checkpoint_every_epochs': 0,
    'checkpoint_every_steps': 4,
    'log_every_steps': 4,
  }
  return subprocess.Popen(
    [
      *(sys.executable, '-m', 'ferjax.crossval'),
      '--config=configs/simple_cnn.py',
      *(f'--config.{key}={value}' for key, value in settings.items()),
      *(f'--workdir={workdir}', *flags),
    ],
    cwd=ROOT,
    env=dict(
      os.environ, XLA_FLAGS=f'--xla_force_host_platform_device_count={devices}'
    ),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def call(*arguments, **options):
  process = start(*arguments, **options)
  output, errors = process.communicate(timeout=300)
  return process.returncode, output, errors


def read(folder, name='crossval.json'):
  return json.loads((folder / name).read_text())


def check(folder, num_folds, checkpoint='best', name='test'):
  """Holds crossval.json against the predictions, by scikit-learn."""
  results = read(folder)
  true, guessed, accuracies, seen = [], [], [], []
  for fold in range(num_folds):
    lines = (
      (folder / f'fold_{fold}' / 'eval' / name / 'predictions.csv')
      .read_text()
      .splitlines()[1:]
    )
    rows = [line.split(',')[:3] for line in lines]
    seen += [int(row[0]) for row in rows]
    true += [row[1] for row in rows]
    guessed += [row[2] for row in rows]
    accuracies.append(np.mean([row[1] == row[2] for row in rows]))
  assert sorted(seen) == list(range(72))  # each example is tested once
  classes = list(CLASS_NAMES[:4])
  pooled = results['pooled']
  assert pooled['confusion'] == (
    reference.confusion_matrix(true, guessed, labels=classes).tolist()
  )
  assert pooled['macro_f1'] == pytest.approx(
    reference.f1_score(true, guessed, labels=classes, average='macro')
  )
  assert pooled['accuracy'] == pytest.approx(np.mean(np.equal(true, guessed)))
  low, high = pooled['accuracy_interval']
  assert low < pooled['accuracy'] < high
  assert results['accuracy'] == pytest.approx(np.mean(accuracies))
  assert results['accuracy_deviation'] == pytest.approx(
    np.std(accuracies, ddof=1)
  )
  assert [each['accuracy'] for each in results['folds']] == accuracies
  assert results['checkpoint'] == checkpoint
  return results


def losses(folder):
  return [
    [json.loads(line)['train/loss'] for line in path.read_text().splitlines()]
    for path in sorted(folder.glob('fold_*/metrics.jsonl'))
  ]


@pytest.mark.slow
def test_both_modes_train_and_test_every_fold(faces, tmp_path):
  flags = ('--folds=3', '--by=subject')
  for mode in ('loop', 'vmap'):
    status, output, errors = call(
      faces, tmp_path / mode, *flags, f'--config.member_mode={mode}'
    )
    assert status == 0, errors
    assert 'mean and deviation over 3 folds' in output
    results = check(tmp_path / mode, 3)
    assert results['member_mode'] == mode
    assert not any('WARNING' in note for note in results['notes'])
    for name in ('confusion_counts.png', 'confusion_normalized.png'):
      assert (tmp_path / mode / name).stat().st_size > 10_000
    for fold in range(3):
      workdir = tmp_path / mode / f'fold_{fold}'
      assert read(workdir, 'config.json')['data']['fold'] == fold
      assert (workdir / 'eval' / 'validation' / 'metrics.json').exists()
  loop, vmap = losses(tmp_path / 'loop'), losses(tmp_path / 'vmap')
  np.testing.assert_allclose(loop, vmap, rtol=1e-4)
  assert len({tuple(fold) for fold in loop}) == 3

  # Again: nothing is trained, and the last checkpoints can be tested too.
  before = (tmp_path / 'vmap' / 'fold_1' / 'metrics.jsonl').stat().st_mtime_ns
  status, output, errors = call(
    faces, tmp_path / 'vmap', *flags, '--choose=last'
  )
  assert status == 0, errors
  after = (tmp_path / 'vmap' / 'fold_1' / 'metrics.jsonl').stat().st_mtime_ns
  assert before == after
  results = check(tmp_path / 'vmap', 3, 'latest', 'test-latest')
  assert {fold['step'] for fold in results['folds']} == {12}


@pytest.mark.slow
def test_who_is_unknown_is_refused_or_warned_of(faces, tmp_path):
  status, _, errors = call(faces, tmp_path / 'a', '--folds=3', name='crowd')
  assert status == 2
  assert 'crowd does not tell whom its images show' in errors
  assert '\n' not in errors.strip()
  assert not (tmp_path / 'a').exists()

  status, output, errors = call(
    faces, tmp_path / 'b', '--folds=3', '--by=frame', name='crowd'
  )
  assert status == 0, errors
  assert 'note: WARNING: the folds are drawn by frames' in output
  results = check(tmp_path / 'b', 3)
  assert any('drawn by frames' in note for note in results['notes'])
  for fold in range(3):
    for split in ('validation', 'test'):
      figures = read(
        tmp_path / 'b' / f'fold_{fold}' / 'eval' / split, 'metrics.json'
      )
      assert any('drawn by frames' in note for note in figures['notes'])


@pytest.mark.slow
def test_one_fold_for_each_subject(faces, tmp_path):
  status, output, errors = call(
    faces,
    tmp_path,
    '--folds=subjects',
    '--config.member_mode=vmap',
    '--config.num_steps=4',
  )
  assert status == 0, errors
  assert 'mean and deviation over 9 folds' in output
  assert {each['num_examples'] for each in check(tmp_path, 9)['folds']} == {8}


@pytest.mark.slow
def test_a_fold_that_cannot_be_tested_does_not_lose_the_others(faces, tmp_path):
  flags = (
    '--folds=4',
    '--config.data.drop_classes=happy',
    '--config.data.fold=7',  # of no matter
    '--config.num_steps=4',
  )
  for _ in range(2):  # again: two are finished
    status, output, errors = call(faces, tmp_path, *flags, name='partial')
    assert status == 1, errors
    assert errors.splitlines() == [
      f'failed: {tmp_path}/fold_2: config.data.drop_classes leaves no example'
      ' of the validation split',
      f'failed: {tmp_path}/fold_3: config.data.drop_classes leaves no example'
      ' of the test split',
    ]
    assert 'note: WARNING: fold 3 failed' in output
  results = read(tmp_path)
  assert [fold['fold'] for fold in results['folds']] == [0, 1]
  warnings = [note for note in results['notes'] if 'WARNING' in note]
  assert [note[:22] for note in warnings] == [
    f'WARNING: fold {fold} failed' for fold in (2, 3)
  ]


@pytest.mark.slow
def test_a_training_that_diverges_is_no_mistake_of_the_user(faces, tmp_path):
  status, _, errors = call(
    faces,
    tmp_path,
    '--folds=3',
    '--config.optimizer.name=sgd',
    '--config.optimizer.learning_rate=1e30',
    '--config.member_mode=vmap',
  )
  assert status == 3
  assert 'error: every fold failed, the first since train/loss is' in errors


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    (['--folds=two'], '--folds=two: give a number, or subjects'),
    (['--folds=2'], 'config.data.num_folds is 2; it is 3 or more'),
    (['--config.num_members=2'], 'one network for each fold'),
  ],
)
def test_wrong_flags_are_one_line(faces, tmp_path, flags, words):
  status, _, errors = call(faces, tmp_path / 'x', *flags)
  assert status == 2
  assert words in errors
  assert '\n' not in errors.strip()
