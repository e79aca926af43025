"""A comparison is told in every form, and no figure is in another's place."""

import csv

from miniature import add_evaluation, make_run
import pytest
from test_ranking import rank

from ferjax import statistics
from ferjax.studies import comparison


def test_columns_hold_their_figures(tmp_path):
  low = make_run(tmp_path / 'low', hits=20, model='simple_cnn', seed=3)
  high = make_run(tmp_path / 'high', hits=50, model='densenet_small')
  add_evaluation(high, 'train', 150, 'b2' * 16, total=160)
  (rows,) = groups = rank(low, high)
  by_title = {
    (c.title, c.detail_title): [tuple(cell) for cell in c.cells]
    for c in comparison.columns(rows)
  }
  assert by_title == {
    ('', ''): [('1', ''), ('2', '')],
    ('network', 'run'): [('densenet_small', 'high'), ('simple_cnn', 'low')],
    ('params', 'FLOPs'): [('451 k', '58.2 M'), ('1.27 M', '46.2 M')],
    ('train/s', 'infer/s'): [('8', '260'), ('8', '160')],
    ('epochs', 'seed'): [('2', '0'), ('2', '3')],
    ('train', ''): [('93.75', '88.9-96.6'), ('-', '')],
    ('validation', ''): [('83.33', '72.0-90.7'), ('33.33', '22.7-45.9')],
    ('macro-F1', 'gap'): [('0.750', '+10.42'), ('0.300', '-')],
  }
  notes = comparison.notes(groups, 'speed')
  assert comparison.TRAIN_NOTE in notes
  assert any('so its accuracy is a little high' in note for note in notes)
  assert notes[-1] == 'drawn by hand'
  assert comparison.TRAIN_NOTE not in comparison.notes(rank(high), 'speed')


def test_what_is_said_already_is_not_said_again(tmp_path):
  runs = [
    make_run(tmp_path / f'model.name={name}', model=name)
    for name in ('mlp', 'simple_cnn')
  ]
  add_evaluation(runs[0], 'test', 30, 'e5' * 16)
  (rows,) = rank(*runs)
  titles = [(c.title, c.detail_title) for c in comparison.columns(rows)]
  assert titles[1] == ('network', '')
  assert titles[4] == ('epochs', '')
  assert [title for title, _ in titles[5:8]] == ['train', 'validation', 'test']


def test_titles_tell_groups_apart(tmp_path):
  here = make_run(tmp_path / 'a')
  other = make_run(tmp_path / 'c', content='c3' * 16)
  assert comparison.titles(rank(here)) == ['drawn: 160 train, 60 validation']
  assert comparison.titles(rank(here, other)) == [
    'drawn: 160 train, 60 validation (content b2b2b2b2, a1a1a1a1)',
    'drawn: 160 train, 60 validation (content b2b2b2b2, c3c3c3c3)',
  ]


def test_csv_holds_every_figure_in_its_column(tmp_path):
  run = make_run(tmp_path / 'a', hits=40, model='mlp', seed=5)
  add_evaluation(run, 'test', 30, 'e5' * 16, total=70)
  other = make_run(tmp_path / 'b', content='c3' * 16)
  text = comparison.to_csv(rank(run, other))
  first, second = csv.DictReader(text.splitlines())
  low, high = statistics.wilson_interval(40, 60)
  test_low, test_high = statistics.wilson_interval(30, 70)
  parameters = int(first.pop('parameters'))
  assert parameters > 1e6
  assert int(first.pop('flops')) == pytest.approx(2 * parameters, rel=1e-2)
  assert first == {
    'data_group': '1',
    'rank': '1',
    'run': 'a',
    'workdir': str(run),
    'network': 'mlp',
    'dataset': 'drawn',
    'train_content': 'b2' * 16,
    'validation_content': 'a1' * 16,
    'seed': '5',
    'training_images_per_second': '8.0',
    'inference_images_per_second': '170.0',
    'images_per_second_are': 'recorded',
    'epochs': '2.0',
    **dict.fromkeys(
      ('train_examples', 'train_accuracy', 'train_low', 'train_high'), ''
    ),
    'validation_examples': '60',
    'validation_accuracy': str(40 / 60),
    'validation_low': str(low),
    'validation_high': str(high),
    'test_examples': '70',
    'test_accuracy': str(30 / 70),
    'test_low': str(test_low),
    'test_high': str(test_high),
    'macro_f1': str(0.9 * 40 / 60),
    'gap': '',
  }
  assert (second['data_group'], second['rank']) == ('2', '1')
  add_evaluation(run, 'train', 150, 'b2' * 16, total=160)
  text = comparison.to_csv(rank(run, speeds=[(3, 4)]))
  (row,) = csv.DictReader(text.splitlines())
  assert row['train_accuracy'] == str(150 / 160)
  assert row['gap'] == str(150 / 160 - 40 / 60)
  assert row['training_images_per_second'] == '3'
  assert row['inference_images_per_second'] == '4'
  assert row['images_per_second_are'] == 'timed'


def test_bars_are_those_of_the_rows(tmp_path):
  runs = [
    make_run(tmp_path / 'a', hits=50, model='mlp'),
    make_run(tmp_path / 'b', hits=40, model='simple_cnn'),
    make_run(tmp_path / 'c', hits=30, model='simple_cnn'),
  ]
  ((title, bars),) = comparison.bars(rank(*runs))
  assert title.endswith(', ranked by validation')
  assert [bar.label for bar in bars] == ['mlp', 'simple_cnn', 'simple_cnn']
  assert bars[0].detail == '1.31 M parameters, 2.62 M FLOPs'
  assert [bar.detail for bar in bars[1:]] == ['b', 'c']
  assert bars[1].accuracies == {
    'validation': (40 / 60, statistics.wilson_interval(40, 60))
  }


def test_markdown_holds_every_column(tmp_path):
  run = make_run(tmp_path / 'a|b')
  text = comparison.to_markdown(rank(run), ['one', 'two'])
  heading, rule, row = [x for x in text.splitlines() if x.startswith('|')]
  count = heading.count('|')
  assert rule.count('|') == count
  assert row.replace('\\|', '').count('|') == count
  assert '66.67 (54.1-77.3)' in row
  assert text.endswith('\n- one\n- two\n')
