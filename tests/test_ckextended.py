import numpy as np
import pytest
from test_ckplus import FACES, read

from ferjax.data import ckextended
from ferjax.errors import UserError


def write_csv(path, labels, usages):
  rows = [
    f'{label},{" ".join(map(str, face.ravel()))},{usage}'
    for label, face, usage in zip(labels, FACES, usages, strict=False)
  ]
  path.write_text('\n'.join(['emotion,pixels,Usage', *rows, '']))


def test_ckextended_is_a_data_set_of_its_own_without_subjects(tmp_path):
  usages = ['Training'] * 8 + ['PublicTest', 'PrivateTest'] * 4
  write_csv(tmp_path / 'ckextended.csv', [*range(8)] * 2, usages)
  for source in (tmp_path, tmp_path / 'ckextended.csv'):
    result = read(source)
    dataset = result.dataset
    assert dataset.name == 'ckextended'
    assert dataset.class_names[6:] == ('neutral', 'contempt')
    assert result.columns == {}
    assert list(dataset.splits) == ['train', 'validation', 'test']
    train, test = dataset.splits['train'], dataset.splits['test']
    np.testing.assert_array_equal(train.images[..., 0], FACES[:8])
    np.testing.assert_array_equal(train.labels, range(8))
    np.testing.assert_array_equal(test.index, [9, 11, 13, 15])
    assert dataset.notes[0] == ckextended.NOTE
    assert 'names no subjects' in dataset.notes[0]
    assert '16 faces (2/2/2/2/2/2/2/2 by class)' in dataset.notes[1]
  big = read(source, image_size=64).dataset
  assert big.image_shape == (64, 64, 1)
  assert 'images of 48x48 resized to 64x64' in big.notes


def test_the_published_counts_of_ckextended_pass_without_a_remark(tmp_path):
  labels = np.repeat(np.arange(8), ckextended.PUBLISHED)
  assert len(labels) == 920
  black = ' '.join('0' * 2304)
  rows = [f'{label},{black},Training' for label in labels]
  path = tmp_path / 'other_name.csv'
  path.write_text('\n'.join(['emotion,pixels,Usage', *rows]))
  result = read(path)
  assert result.dataset.notes == (ckextended.NOTE,)
  assert sorted(result.missing) == ['test', 'validation']


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      lambda text: text.replace('\n3,', '\n8,', 1),
      r'line 5: .*not one of 0\.\.7',
    ),
    (lambda text: text.replace('Training\n', 'Train\n', 1), "Usage 'Train' is"),
    (lambda text: text.replace(' ', ' 999 ', 1), 'line 2: pixel 2 is'),
    (lambda text: text.replace(',Training\n', '\n', 1), '2 instead of 3 col'),
    (lambda text: text.replace(',Usage', ''), 'no column Usage'),
    (lambda text: '', 'the file is empty'),
    (lambda text: 'emotion,pixels,Usage\n', 'holds no valid example'),
  ],
)
def test_faults_of_ckextended_are_named(tmp_path, change, message):
  path = tmp_path / 'ckextended.csv'
  write_csv(path, range(8), ['Training'] * 8)
  path.write_text(change(path.read_text()))
  with pytest.raises(UserError, match=message):
    read(path)


def test_lines_end_at_their_ends_and_empty_ones_are_no_rows(tmp_path):
  path = tmp_path / 'ckextended.csv'
  write_csv(path, range(8), ['Training'] * 8)
  header, *rows = path.read_text().splitlines()
  rows[2] += '\x0c'  # a form feed is a blank
  path.write_text('\n'.join([header, *rows[:4], '', *rows[4:], '', '']))
  train = read(path).dataset.splits['train']
  np.testing.assert_array_equal(train.index, range(8))
  np.testing.assert_array_equal(train.images[..., 0], FACES[:8])
