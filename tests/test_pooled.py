"""Results over folds, against numbers worked out by hand."""

import json

import pytest

from ferjax.studies import pooled


def make_test(confusion, loss=0.5, step=10):
  total = sum(map(sum, confusion))
  return {
    'num_examples': total,
    'accuracy': sum(row[i] for i, row in enumerate(confusion)) / total,
    'accuracy_interval': [0.0, 1.0],
    'macro_f1': 0.5,
    'loss': loss,
    'step': step,
    'class_names': ['sad', 'happy'],
    'confusion': confusion,
  }


TESTS = {
  0: make_test([[3, 1], [0, 4]], loss=0.25),  # 7 of 8
  1: make_test([[1, 1], [1, 1]], loss=1.0),  # 2 of 4
  4: make_test([[0, 0], [1, 3]], loss=0.5, step=7),  # 3 of 4, none sad
}


def test_mean_deviation_and_pool():
  results = pooled.summarize(TESTS)
  mean = (0.875 + 0.5 + 0.75) / 3
  assert results['accuracy'] == pytest.approx(mean)
  squares = [(x - mean) ** 2 for x in (0.875, 0.5, 0.75)]
  assert results['accuracy_deviation'] == pytest.approx(
    (sum(squares) / 2) ** 0.5
  )
  together = results['pooled']
  assert together['confusion'] == [[4, 2], [2, 8]]
  assert together['accuracy'] == 12 / 16
  assert together['loss'] == pytest.approx((8 * 0.25 + 4 * 1 + 4 * 0.5) / 16)
  assert together['macro_f1'] == pytest.approx((2 / 3 + 0.8) / 2)
  # Wilson's interval of 12 in 16, from published tables: 0.505 to 0.898.
  assert together['accuracy_interval'] == pytest.approx(
    [0.505, 0.898], abs=1e-3
  )
  assert [each['fold'] for each in results['folds']] == [0, 1, 4]
  assert results['folds'][2]['step'] == 7


def test_a_single_fold_has_no_deviation():
  assert pooled.summarize({3: TESTS[0]})['accuracy_deviation'] is None


@pytest.mark.parametrize('by', ['subject', 'frame'])
def test_results_are_written_and_shown(tmp_path, capsys, by):
  results = pooled.summarize(TESTS) | {'by': by, 'notes': ['mind the gap']}
  pooled.write(results, 'net on faces', tmp_path)
  pooled.show(results, 'net on faces', tmp_path)
  assert json.loads((tmp_path / 'crossval.json').read_text()) == results
  for name in ('counts', 'normalized'):
    assert (tmp_path / f'confusion_{name}.png').stat().st_size > 5_000
  output = capsys.readouterr().out
  assert 'accuracy 70.83% +- 19.09%' in output
  assert 'note: mind the gap' in output
  assert 'macro-F1 0.7333' in output
