"""Votes joined to images: rows that belong together, and no others."""

import os
import pathlib

import numpy as np
import pytest

from ferjax.config import default_config
from ferjax.data import ferplus, raw, reader, records, voting
from ferjax.data.dataset import CLASS_NAMES
from ferjax.errors import UserError

REAL_VOTES = (
  pathlib.Path(__file__).parents[2] / 'shared/data/fer2013/fer2013new.csv'
)

HEADER = ','.join(['Usage', 'Image name', *voting.COLUMNS])
USAGES = np.repeat(['Training', 'PublicTest', 'PrivateTest'], [150, 20, 30])
LABELS = np.arange(200) * 3 % 7
LEVELS = np.random.default_rng(2).integers(0, 256, 200)  # of grey
# A column of the votes for each of FER2013's labels.
PLACES = [
  voting.COLUMNS.index(name)
  for name in (
    *(
      'anger',
      'disgust',
      'fear',
      'happiness',
      'sadness',
      'surprise',
      'neutral',
    ),
  )
]


def image_lines(header='emotion,pixels,Usage'):
  lines = [
    f'{LABELS[i]},{" ".join([str(LEVELS[i])] * 2304)},{USAGES[i]}'
    for i in range(200)
  ]
  return [header, *lines]


def vote_lines():
  """Seven votes for FER2013's label, two for another; row 5 is no face."""
  votes = np.zeros((200, 10), int)
  votes[np.arange(200), np.array(PLACES)[LABELS]] = 7
  votes[np.arange(200), np.array(PLACES)[LABELS - 1]] += 3
  votes[5] = [0] * 9 + [10]
  names = [f'fer{i + i // 7:07}.png' for i in range(200)]
  names[5] = ''
  lines = [
    f'{usage},{name},{",".join(map(str, row))}'
    for usage, name, row in zip(USAGES, names, votes, strict=True)
  ]
  return [HEADER, *lines]


def read(folder, images=None, votes=None, skip=False):
  source, table = folder / 'fer2013.csv', folder / 'fer2013new.csv'
  source.write_text('\n'.join(images or image_lines()))
  table.write_text('\n'.join(votes or vote_lines()) + '\n')
  return ferplus.read(source, table, raw.BadRows(skip), lambda part: None)


def test_every_row_is_joined(tmp_path):
  result = read(tmp_path)
  assert result.dataset.name == 'ferplus'
  assert result.dataset.class_names == CLASS_NAMES
  for usage, name in (
    ('Training', 'train'),
    ('PublicTest', 'validation'),
    ('PrivateTest', 'test'),
  ):
    split, columns = result.dataset.splits[name], result.columns[name]
    rows = np.flatnonzero(usage == USAGES)
    np.testing.assert_array_equal(split.index, rows)
    np.testing.assert_array_equal(split.labels, LABELS[rows])
    np.testing.assert_array_equal(split.images[:, 0, 0, 0], LEVELS[rows])
    assert columns['votes'].shape == (len(rows), 10)
    assert columns['votes'].dtype == columns['nameless'].dtype == np.int64
    np.testing.assert_array_equal(columns['nameless'], rows == 5)
    faces = rows[rows != 5]
    np.testing.assert_array_equal(
      columns['votes'].argmax(1)[rows != 5], np.array(PLACES)[LABELS[faces]]
    )
  assert result.published['train'] == (
    *(3995, 436, 4097, 7215, 4830),
    3171,
    4965,
    0,
  )
  assert 'majority 149 train, 20 validation, 30 test' in ferplus.kept_line(
    result
  )


def test_windows_line_ends_and_a_folder_with_the_csv(tmp_path):
  expected = read(tmp_path)
  path = tmp_path / 'fer2013new.csv'
  path.write_bytes(path.read_bytes().replace(b'\n', b'\r\n'))
  result = ferplus.read(tmp_path, path, raw.BadRows(), lambda part: None)
  for name, columns in expected.columns.items():
    np.testing.assert_array_equal(
      result.columns[name]['votes'], columns['votes']
    )


def test_images_without_private_test_go_with_all_votes(tmp_path):
  result = read(tmp_path, images=image_lines()[:171])
  assert list(result.dataset.splits) == ['train', 'validation']
  assert len(result.columns['validation']['votes']) == 20
  assert 'PrivateTest' in result.missing['test']
  votes = vote_lines()[:171]
  assert list(read(tmp_path, image_lines()[:171], votes).columns) == [
    'train',
    'validation',
  ]


def test_a_bad_image_takes_its_own_votes_along(tmp_path):
  images = image_lines()
  images[4] = images[4].replace(f'{LABELS[3]},', '9,', 1)
  result = read(tmp_path, images, skip=True)
  expected = read(tmp_path)
  rows = np.arange(150) != 3
  np.testing.assert_array_equal(
    result.columns['train']['votes'], expected.columns['train']['votes'][rows]
  )
  np.testing.assert_array_equal(
    result.dataset.splits['train'].index, np.flatnonzero(rows)
  )


def shift_votes(images, votes):
  del votes[3]
  votes.append(votes[-1])


def swap_splits(images, votes):
  votes[1:] = votes[51:] + votes[1:51]


def shuffle_images(images, votes):
  images[1:151] = [
    images[i + 1] for i in np.random.default_rng(0).permutation(150)
  ]


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (
      shift_votes,
      'row 150 of the votes is of PublicTest, that of the images of Training',
    ),
    (swap_splits, 'row 101 of the votes is of PublicTest'),
    (shuffle_images, 'of the labels agree; about 68% do'),
    (
      lambda images, votes: votes.pop(),
      '199 rows of votes on Training, PublicTest, PrivateTest, but 200 images',
    ),
    (
      lambda images, votes: images.pop(160),
      'but 199 images; row k of one must be row k of the other',
    ),
  ],
  ids=['shifted', 'turned', 'shuffled', 'fewer votes', 'fewer images'],
)
def test_rows_that_do_not_belong_together_are_refused(tmp_path, change, words):
  images, votes = image_lines(), vote_lines()
  change(images, votes)
  with pytest.raises(UserError, match=words) as error:
    read(tmp_path, images, votes)
  assert 'fer2013new.csv and ' in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('line', 'text'),
  [
    (0, 'Usage,name,neutral'),
    (3, 'Training,fer1.png,1,2,3'),
    (3, 'Training,fer1.png,10,0,0,0,0,0,0,0,0,-1'),
    (3, 'Training,fer1.png,5.0,5,0,0,0,0,0,0,0,0'),
    (3, 'Training,fer1.png,5, ,5,0,0,0,0,0,0,0'),
    (3, 'Training,fer1.png,10,0,0,0,0,0,0,0,0,0,0'),
    (3, 'training,fer1.png,10,0,0,0,0,0,0,0,0,0'),
    (3, 'Training'),
  ],
)
def test_a_line_that_is_no_votes_is_named(tmp_path, line, text):
  votes = vote_lines()
  votes[line] = text
  with pytest.raises(UserError, match=rf'new.csv, line {line + 1}: expected'):
    read(tmp_path, votes=votes)


def test_sources_without_the_order_are_refused(tmp_path):
  read(tmp_path)
  votes = tmp_path / 'fer2013new.csv'
  (tmp_path / 'images' / 'train' / 'happy').mkdir(parents=True)
  with pytest.raises(UserError, match='folders of images have lost; give fer'):
    ferplus.read(tmp_path / 'images', votes, raw.BadRows(), print)
  (tmp_path / 'train.csv').write_text('emotion,pixels\n0,1 2\n')
  with pytest.raises(UserError, match='no column Usage'):
    ferplus.read(tmp_path / 'train.csv', votes, raw.BadRows(), print)
  with pytest.raises(UserError, match='no such file'):
    ferplus.read(tmp_path / 'no.csv', votes, raw.BadRows(), print)


@pytest.mark.parametrize('mode', ['majority', 'cross_entropy'])
def test_votes_are_stored_whole_and_settled_at_loading(tmp_path, mode):
  faces = read(tmp_path)
  records.write(faces, str(tmp_path), False, lambda part: None)
  prepared = reader.Prepared(reader.find(str(tmp_path), 'ferplus'))
  assert ferplus.has_votes(prepared)
  assert len(prepared.read('train')[0]) == 150
  config = default_config().data
  config.label_mode = mode
  splits = ferplus.load(prepared, ('train', 'test'), config)
  assert list(splits) == ['train', 'test']
  assert mode in ferplus.note(config)
  train = splits['train']
  np.testing.assert_array_equal(train.index, np.delete(np.arange(150), 5))
  np.testing.assert_array_equal(train.labels, np.delete(LABELS[:150], 5))
  assert splits['test'].targets is None
  if mode == 'majority':
    assert train.targets is None
  else:
    assert train.targets.dtype == np.float32
    np.testing.assert_allclose(train.targets[0, LABELS[0]], 0.7)


def test_modes_are_checked():
  config = default_config().data
  for config.label_mode in voting.MODES:
    ferplus.validate(config)
  with pytest.raises(UserError, match='multi_target needs votes, and fer2013'):
    ferplus.validate(config, has_votes=False)
  config.label_mode = 'majority'
  ferplus.validate(config, has_votes=False)
  config.label_mode = 'soft'
  with pytest.raises(UserError, match="'soft'; have majority, probability, "):
    ferplus.validate(config)


@pytest.mark.real_data
def test_the_real_votes_give_the_published_counts():
  table = ferplus._read_votes(REAL_VOTES)
  usages, totals = np.unique(table.usages, return_counts=True)
  totals = dict(zip(usages.tolist(), totals.tolist(), strict=True))
  assert totals.items() >= {'Training': 28709, 'PublicTest': 3589}.items()
  # 15 more lie in PrivateTest, which need not be there.
  assert table.nameless[:32298].sum() == 158
  expected = {
    'majority': (25060, 3199, 3153),
    'probability': (27956, 3505, 3505),
    'cross_entropy': (27956, 3505, 3505),
    'multi_target': (27671, 3472, None),
  }
  for mode, counts in expected.items():
    kept, _ = voting.resolve(table.counts, mode)
    assert not kept[table.nameless == 1].any()
    for usage, count in zip(
      ('Training', 'PublicTest', 'PrivateTest'), counts, strict=True
    ):
      if usage in totals and count:
        assert kept[table.usages == usage].sum() == count


def test_votes_are_a_file(tmp_path):
  source = tmp_path / 'fer2013.csv'
  source.write_text('\n'.join(image_lines()))
  os.mkfifo(tmp_path / 'votes.csv')  # to read it would take for ever
  with pytest.raises(UserError, match=r'votes\.csv: not a file'):
    ferplus.read(
      source, tmp_path / 'votes.csv', raw.BadRows(), lambda part: None
    )
