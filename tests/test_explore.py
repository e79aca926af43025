"""An exploration counts, draws and lists; its page shows the same numbers."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ferjax.data import audit as audit_lib
from ferjax.data import synthetic
from ferjax.data.dataset import Dataset, Split
from ferjax.exploration import contents as exploration
from ferjax.exploration import page as exploration_page
from ferjax.exploration import suspects

NAMES = ('angry', 'disgust', 'fear', 'happy')


@pytest.fixture(scope='module')
def dataset():
  """Faces of four classes; the test split shows three train images again."""
  labels = (np.arange(24) % 4).astype(np.int32)
  faces = synthetic.draw_faces(labels, seed=0)
  again = labels[:3].copy()
  again[0] = 2
  splits = {
    'train': Split(faces, labels, np.arange(24)),
    'test': Split(faces[:3], again, np.arange(3) + 24),
  }
  return Dataset('faces', NAMES, splits, 'a <source>', ('a note',))


@pytest.fixture(scope='module')
def doubts(dataset):
  train = dataset.splits['train']
  return suspects.Suspects(
    images=train.images[:2],
    splits=['train', 'train'],
    index=train.index[:2],
    given=['angry', 'disgust'],
    suggested=['fear', 'happy'],
    margin=np.array([-0.9, -0.5]),
    joint=np.array([[4.0, 0, 2, 0], [0, 5, 0, 1], [0, 0, 6, 0], [0, 0, 0, 6]]),
    class_names=NAMES,
    origin='a network',
  )


def rows(columns):
  cells = [[cell.value for cell in column.cells] for column in columns]
  return {row[0]: row[1:] for row in map(list, zip(*cells, strict=True))}


def test_tables_count(dataset, doubts):
  counts = rows(exploration.count_table(dataset))
  assert counts['angry'] == ['6', '0', '6']
  assert counts['all'] == ['24', '3', '27']
  audit = rows(exploration.audit_table(audit_lib.inspect(dataset.splits)))
  assert audit['all black'] == ['0', '0', '0']
  assert audit['with an exact copy'] == ['3', '3', '6']
  assert audit['with a copy of another class'] == ['1', '1', '2']
  assert audit['with an exact copy in train'] == ['-', '3', '3']
  assert audit['with an exact copy in test'] == ['3', '-', '3']
  joint = rows(exploration.joint_table(doubts))
  assert joint == {'angry': ['fear', '2'], 'disgust': ['happy', '1']}


def test_faces_are_means_and_deviations(dataset):
  split = dataset.splits['train']
  means, deviations = exploration.class_faces(split, 5)
  for label in range(4):
    images = split.images[split.labels == label].astype(float)
    np.testing.assert_allclose(means[label], images.mean(axis=0))
    np.testing.assert_allclose(deviations[label], images.std(axis=0))
  assert (means[4] == 0).all()
  assert (deviations[4] == 0).all()


def test_samples_are_spread_over_each_class():
  labels = np.array([0] * 11 + [2] * 2)
  chosen = exploration.spread(labels, 3, 3)
  assert chosen.tolist() == [0, 5, 10, 11, 12]


def test_findings_are_written_twice_alike(tmp_path, dataset, doubts):
  audit = audit_lib.inspect(dataset.splits)
  faults = list(exploration.findings(audit, NAMES, doubts))
  exploration.write_findings(faults, tmp_path)
  with (tmp_path / 'audit.csv').open(newline='') as file:
    lines = list(csv.DictReader(file))
  listed = json.loads((tmp_path / 'audit.json').read_text())['findings']
  assert listed == faults
  assert [{k: v for k, v in line.items() if v} for line in lines] == [
    {name: str(value) for name, value in fault.items()} for fault in faults
  ]
  assert faults[-1] == {
    'fault': 'label',
    'split': 'train',
    'index': 1,
    'label': 'disgust',
    'other_label': 'happy',
    'score': -0.5,
  }
  assert {p.name for p in tmp_path.iterdir()} == {'audit.csv', 'audit.json'}


def test_the_page_holds_it_all(tmp_path, dataset, doubts):
  audit = audit_lib.inspect(dataset.splits)
  exploration_page.write(dataset, audit, doubts, tmp_path)
  page = (tmp_path / 'explore.html').read_text()
  assert 'a &lt;source&gt;' in page
  assert 'a note' in page
  assert 'The test split is read here for this audit' in page
  for name in ('Copies with conflicting labels', 'Labels in doubt'):
    assert f'>{name}' in page
  drawn = {path.stem for path in tmp_path.glob('*.png')}
  everything = {'counts', 'samples', 'means', 'brightness', 'conflicts'}
  assert drawn == everything | {'labels'}
  assert page.count('<img') == len(drawn)


@pytest.mark.slow
def test_the_binary_explores_a_prepared_data_set(tmp_path, data_dir):
  command = [sys.executable, '-m', 'ferjax.explore', '--dataset=fer2013']
  done = subprocess.run(
    [*command, f'--data_dir={data_dir}', f'--output={tmp_path}'],
    capture_output=True,
    text=True,
    env=os.environ,
    check=True,
  )
  assert '140 of 140 images are unique' in done.stdout
  assert 'near copy in train' in done.stdout
  assert (tmp_path / 'explore.html').exists()
