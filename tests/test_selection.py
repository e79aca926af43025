import numpy as np
import pytest

from ferjax.data import selection
from ferjax.data.dataset import CLASS_NAMES, Dataset, Split
from ferjax.defaults import default_config
from ferjax.errors import UserError

SETTINGS = {
  'merge': 'merge_classes',
  'drop': 'drop_classes',
  'order': 'class_order',
}


def make_config(**settings):
  config = default_config().data
  for key, value in settings.items():
    config[SETTINGS[key]] = value
  return config


def make_split(names, n, soft, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.permutation(np.arange(n) % len(names)).astype(np.int32)
  targets = rng.dirichlet([0.3] * len(names), n).astype(np.float32)
  if soft:
    labels = targets.argmax(1).astype(np.int32)
  images = rng.integers(0, 256, (n, 2, 2, 1), np.uint8)
  return Split(images, labels, 7 + 3 * np.arange(n), targets if soft else None)


def make_dataset(names=CLASS_NAMES, soft=False, sizes=(60, 30)):
  splits = {
    name: make_split(names, size, soft, seed)
    for seed, (name, size) in enumerate(
      zip(('train', 'validation'), sizes, strict=True)
    )
  }
  return Dataset('letters', tuple(names), splits, 'here', ('a note',))


def by_name(split, names):
  """Returns for each example its name and, by name, its target."""
  targets = [None] * len(split)
  if split.targets is not None:
    targets = [
      dict(zip(names, row.tolist(), strict=True)) for row in split.targets
    ]
  return {
    number: (names[label], image.tobytes(), target)
    for number, label, image, target in zip(
      split.index.tolist(), split.labels, split.images, targets, strict=True
    )
  }


def expected_by_name(examples, merged_into, dropped):
  """The rule, one example at a time."""
  result = {}
  for number, (name, image, target) in examples.items():
    name, sums = merged_into.get(name, name), {}
    if target is not None:
      for old, value in target.items():
        new = merged_into.get(old, old)
        sums[new] = sums.get(new, 0) + value
      name = max(sums, key=sums.get)
    if name in dropped:
      continue
    if target is not None:
      sums = {new: sums[new] for new in sums if new not in dropped}
      total = sum(sums.values())
      if total == 0:
        continue
      target = {new: value / total for new, value in sums.items()}
    result[number] = (name, image, target)
  return result


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('seed', range(8))
def test_select_follows_the_rule_in_random_cases(seed, soft):
  rng = np.random.default_rng(seed)
  names = [str(name) for name in rng.permutation(CLASS_NAMES)]
  dataset = make_dataset(names, soft)
  merges = {'ab': names[1:3], names[5]: [names[5], names[3]]}
  merged_into = {old: new for new, olds in merges.items() for old in olds}
  after_merge = list(dict.fromkeys(merged_into.get(n, n) for n in names))
  drawn = [str(name) for name in rng.permutation(after_merge)]
  dropped, order = drawn[:2], drawn[2:]
  result = selection.select(
    make_config(
      merge=tuple(f'{new}={"+".join(olds)}' for new, olds in merges.items()),
      drop=tuple(dropped),
      order=tuple(order),
    ),
    dataset,
  )
  assert result.class_names == tuple(order)
  for name, split in result.splits.items():
    examples = by_name(dataset.splits[name], names)
    expected = expected_by_name(examples, merged_into, dropped)
    found = by_name(split, order)
    assert list(found) == list(expected)  # the order of the rows stays
    assert split.labels.dtype == np.int32
    for number, (label, image, target) in expected.items():
      assert found[number][:2] == (label, image)
      if soft:
        assert found[number][2] == pytest.approx(target, abs=1e-6)
    if soft:
      assert split.targets.dtype == np.float32
      np.testing.assert_allclose(split.targets.sum(1), 1, atol=1e-6)
    else:
      assert split.targets is None


def test_dropping_says_what_is_left_out():
  result = selection.select(
    make_config(drop=('disgust', 'fear')), make_dataset()
  )
  assert result.class_names == (
    'angry', 'happy', 'sad', 'surprise', 'neutral', 'contempt'
  )  # fmt: skip
  left_out = [60 - len(result.splits['train'])]
  left_out.append(30 - len(result.splits['validation']))
  assert left_out == [16, 8]
  assert result.notes == (
    'a note',
    'classes dropped: disgust, fear (16 of 60 train, 8 of 30 validation'
    ' examples)',
  )
  described = result.describe()
  assert described['class_names'] == list(result.class_names)
  assert described['splits']['train']['counts'] == [8, 8, 7, 7, 7, 7]
  assert described['notes'] == list(result.notes)


def test_a_merged_class_stands_where_its_first_part_stood():
  dataset = make_dataset()
  result = selection.select(
    make_config(merge=('negative=sad+fear', 'up=surprise+happy')), dataset
  )
  assert result.class_names == (
    'angry', 'disgust', 'negative', 'up', 'neutral', 'contempt'
  )  # fmt: skip
  assert result.notes[1:] == (
    'classes merged into negative: sad, fear',
    'classes merged into up: surprise, happy',
  )
  before = dataset.splits['train']
  after = result.splits['train']
  assert after.images is before.images
  assert after.index is before.index
  assert after.counts(6)[2] == np.isin(before.labels, [2, 4]).sum()


def test_ordering_moves_targets_without_a_rounding():
  dataset = make_dataset('cab', soft=True)
  result = selection.select(make_config(order=('a', 'b', 'c')), dataset)
  assert result.class_names == ('a', 'b', 'c')
  assert result.notes == dataset.notes
  for name, split in dataset.splits.items():
    np.testing.assert_array_equal(
      result.splits[name].targets, split.targets[:, [1, 2, 0]]
    )
    np.testing.assert_array_equal(
      np.array(list('abc'))[result.splits[name].labels],
      np.array(list('cab'))[split.labels],
    )


def test_a_target_with_nothing_left_goes():
  targets = np.array([[0, 0, 1], [0.5, 0.25, 0.25], [0, 1, 0]], np.float32)
  labels = np.array([0, 0, 1], np.int32)
  images = np.zeros((3, 1, 1, 1), np.uint8)
  split = Split(images, labels, np.arange(3), targets)
  dataset = Dataset('letters', tuple('abc'), {'train': split}, 'here')
  result = selection.select(make_config(drop=('c',)), dataset)
  assert result.splits['train'].index.tolist() == [1, 2]
  np.testing.assert_allclose(
    result.splits['train'].targets, [[2 / 3, 1 / 3], [0, 1]], rtol=1e-6
  )
  assert result.notes == ('classes dropped: c (1 of 3 train examples)',)


def test_a_label_goes_where_most_of_a_merged_target_is():
  targets = np.array(
    [[0.4, 0.3, 0.3], [0.5, 0.3, 0.2], [0.6, 0.2, 0.2]], np.float32
  )
  split = Split(
    np.zeros((3, 1, 1, 1), np.uint8),
    np.zeros(3, np.int32),
    np.arange(3),
    targets,
  )
  dataset = Dataset('letters', tuple('abc'), {'train': split}, 'here')
  for order in (('a', 'x'), ('x', 'a')):  # of equals, the one that led
    result = selection.select(
      make_config(merge=('x=b+c',), order=order), dataset
    )
    labels = result.splits['train'].labels
    assert [order[label] for label in labels] == ['x', 'a', 'a']
    assert labels.dtype == np.int32


def test_merges_follow_one_another():
  result = selection.select(
    make_config(merge=('x=a+b', 'y=x+d'), drop=('c',)), make_dataset('abcde')
  )
  assert result.class_names == ('y', 'e')


@pytest.mark.parametrize(
  'settings',
  [{}, {'order': CLASS_NAMES}, {'merge': ('happy=happy',)}],
)
def test_no_change_returns_the_data_set_itself(settings):
  dataset = make_dataset()
  assert selection.select(make_config(**settings), dataset) is dataset


def test_names_may_be_numbers_or_joined_as_on_a_command_line():
  dataset = make_dataset('0123456')
  result = selection.select(make_config(drop=(3, '4,5')), dataset)
  assert result.class_names == ('0', '1', '2', '6')
  config = make_config(merge=('a=0+1,b= 2 + 3',))
  assert selection.select(config, dataset).class_names == tuple('ab456')


@pytest.mark.parametrize(
  ('settings', 'reason'),
  [
    (
      {'drop': ('joy',)},
      'drop_classes has the unknown joy; the classes are a,',
    ),
    (
      {'merge': ('x=a+joy',)},
      'merge_classes has the unknown joy; .*a, b, c, d',
    ),
    ({'merge': ('x=a+b',), 'drop': ('a',)}, 'unknown a; the classes are x, c'),
    ({'order': ('a', 'b', 'c', 'joy')}, 'class_order has the unknown joy'),
    ({'order': ('a', 'b', 'd')}, 'class_order lacks c; it names all'),
    ({'drop': ('a',), 'order': tuple('abcd')}, 'class_order has the unknown a'),
    ({'merge': ('c=a+b',)}, "makes 'c', which is a class already"),
    ({'drop': ('a', 'b', 'c')}, 'leave d of a, b, c, d; two classes are the'),
    ({'drop': ('a', 'b', 'c', 'd')}, 'leave nothing of a, b'),
    ({'merge': ('x=a+b+c+d',)}, 'leave x of a, b'),
  ],
)
def test_what_the_data_does_not_allow_is_refused(settings, reason):
  config = make_config(**settings)
  selection.validate(config)
  with pytest.raises(UserError, match=reason) as error:
    selection.select(config, make_dataset('abcd'))
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('settings', 'reason'),
  [
    ({'drop': ('a', 'b', 'a')}, 'drop_classes has a more than once'),
    ({'order': ('a', 'a,b')}, 'class_order has a more than once'),
    ({'drop': ('',)}, 'drop_classes holds an empty name'),
    ({'merge': ('a+b',)}, r"merge_classes has 'a\+b'; it is NEW=OLD\+OLD"),
    ({'merge': ('=a+b',)}, 'it is NEW=OLD'),
    ({'merge': ('x=a+',)}, 'it is NEW=OLD'),
    ({'merge': ('x=',)}, 'it is NEW=OLD'),
    ({'merge': ('x=a+a',)}, 'it is NEW=OLD'),
    ({'merge': ('x=a+b', 'x=c+d')}, "merge_classes makes 'x' twice"),
  ],
)
def test_settings_of_no_sense_are_refused_without_data(settings, reason):
  with pytest.raises(UserError, match=reason):
    selection.validate(make_config(**settings))


def test_an_empty_split_is_refused():
  dataset = make_dataset('abc')
  only_a = dataset.splits['train'].take(dataset.splits['train'].labels == 0)
  splits = {'train': only_a, 'validation': dataset.splits['validation']}
  dataset = Dataset('letters', tuple('abc'), splits, 'here')
  with pytest.raises(UserError, match='leaves no example of the train split'):
    selection.select(make_config(drop=('a',)), dataset)


def test_a_foreign_data_set_may_lack_names():
  settings = make_config(
    merge=('low=sad+fear', 'up=surprise+joy', 'odd=x+y'),
    drop=('disgust', 'contempt'),
    order=('neutral', 'low', 'happy', 'angry', 'up'),
  )
  names = ('happy', 'up', 'surprise', 'sad', 'disgust', 'bored', 'low')
  dataset = make_dataset(names)
  result = selection.select(settings, dataset, foreign=True)
  assert result.class_names == ('low', 'happy', 'up', 'bored')
  assert result.notes[1:] == (
    'classes merged into low: low, sad',
    'classes merged into up: up, surprise',
    'classes dropped: disgust (8 of 60 train, 4 of 30 validation examples)',
  )
  for name, split in result.splits.items():
    merged_into = {'sad': 'low', 'surprise': 'up'}
    examples = by_name(dataset.splits[name], names)
    expected = expected_by_name(examples, merged_into, ['disgust'])
    assert by_name(split, result.class_names) == expected
  with pytest.raises(UserError, match='unknown fear'):
    selection.select(settings, dataset)


def test_a_foreign_data_set_may_have_one_class():
  dataset = make_dataset(('happy', 'disgust'))
  config = make_config(drop=('disgust', 'fear'))
  result = selection.select(config, dataset, foreign=True)
  assert result.class_names == ('happy',)
  config = make_config(drop=('disgust', 'happy'))
  with pytest.raises(UserError, match='leave nothing'):
    selection.select(config, dataset, foreign=True)
  config = make_config(drop=('fear',))
  assert selection.select(config, dataset, foreign=True) is dataset


@pytest.mark.parametrize(
  'field', ['drop_classes', 'merge_classes', 'class_order']
)
def test_names_can_be_printed(field):
  config = default_config().data
  config[field] = ('a\x1b[31m',)
  with pytest.raises(UserError, match=f'{field} has .*cannot be printed'):
    selection.validate(config)
