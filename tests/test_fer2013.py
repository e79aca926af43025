import pathlib
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from ferjax.data import fer2013, raw
from ferjax.errors import UserError

SHARED = pathlib.Path(__file__).parents[2] / 'shared'

NUM_ROWS = 70
USAGES = np.repeat(['Training', 'PublicTest', 'PrivateTest'], [50, 12, 8])
LABELS = np.arange(NUM_ROWS) * 3 % 7
IMAGES = np.random.default_rng(1).integers(
  0, 256, (NUM_ROWS, 48, 48, 1), np.uint8
)


def pixels(row):
  return ' '.join(map(str, IMAGES[row].ravel()))


def csv_lines():
  return [
    'emotion,pixels,Usage',
    *(f'{LABELS[i]},{pixels(i)},{USAGES[i]}' for i in range(NUM_ROWS)),
  ]


def write(path, lines):
  path.write_text('\n'.join(lines) + '\n')
  return path


def read(source, skip=False, **options):
  return fer2013.read(source, raw.BadRows(skip), lambda part: None, **options)


def assert_is_everything(dataset):
  assert dataset.class_names[4:] == ('sad', 'surprise', 'neutral')
  for usage, name in fer2013.USAGES.items():
    rows = np.flatnonzero(usage == USAGES)
    split = dataset.splits[name]
    np.testing.assert_array_equal(split.images, IMAGES[rows])
    np.testing.assert_array_equal(split.labels, LABELS[rows])
    np.testing.assert_array_equal(split.index, rows)
    assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)


def test_the_published_counts_add_up():
  totals = {name: sum(counts) for name, counts in fer2013.PUBLISHED.items()}
  assert totals == {'train': 28709, 'validation': 3589, 'test': 3589}


def test_fer2013_csv(tmp_path):
  write(tmp_path / 'fer2013.csv', csv_lines())
  result = read(tmp_path)  # the folder that holds it
  assert_is_everything(result.dataset)
  assert result.missing == {}
  assert result.dataset.notes == ()


def test_other_csv_dialects(tmp_path):
  lines = ['\ufeffemotion, Usage, pixels']  # with a byte order mark
  for i in range(NUM_ROWS):
    lines += [f'{LABELS[i]},{USAGES[i]},"{pixels(i)}"\r', '\r']
  path = write(tmp_path / 'icml_face_data.csv', lines)
  assert_is_everything(read(path).dataset)


def test_train_csv_gives_a_stratified_tenth(tmp_path):
  rng = np.random.default_rng(2)
  labels = rng.permutation(np.repeat(np.arange(7), [40, 4, 41, 72, 48, 32, 50]))
  write(
    tmp_path / 'train.csv',
    ['emotion,pixels', *(f'{label},{pixels(0)}' for label in labels)],
  )
  result = read(tmp_path, seed=3)
  train, validation = (
    result.dataset.splits[name] for name in ('train', 'validation')
  )
  assert validation.counts(7).tolist() == [4, 0, 4, 7, 5, 3, 5]
  together = np.sort(np.concatenate([train.index, validation.index]))
  np.testing.assert_array_equal(together, np.arange(len(labels)))
  np.testing.assert_array_equal(validation.labels, labels[validation.index])
  assert 'seed 3' in result.dataset.notes[0]
  assert 'not PublicTest' in result.dataset.notes[0]
  assert set(result.missing) == {'test'}
  assert sum(map(sum, result.published.values())) == 28709

  again = read(tmp_path, seed=3).dataset.splits['validation']
  np.testing.assert_array_equal(again.index, validation.index)
  other = read(tmp_path, seed=4).dataset.splits['validation']
  assert other.index.tolist() != validation.index.tolist()


def test_too_few_rows_for_a_validation_split_are_refused(tmp_path):
  lines = ['emotion,pixels', *(f'{i % 7},{pixels(i)}' for i in range(28))]
  path = write(tmp_path / 'train.csv', lines)
  with pytest.raises(UserError, match='too few rows to draw a validation'):
    read(path)


def make_folders(tmp_path):
  for i, usage in enumerate(USAGES):
    top = 'train' if usage == 'Training' else 'test'
    folder = tmp_path / top / fer2013.CLASS_NAMES[LABELS[i]]
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(IMAGES[i, ..., 0]).save(folder / f'{usage}_{i}.png')


def test_folders(tmp_path):
  make_folders(tmp_path)
  (tmp_path / 'train' / '.DS_Store').touch()
  assert_is_everything(read(tmp_path).dataset)

  (tmp_path / 'test' / 'angry' / 'PrivateTest_99.jpg').write_text('no image')
  (tmp_path / 'train' / 'angry' / 'PublicTest_1.jpg').touch()
  with pytest.raises(UserError, match='not named Training_NUMBER'):
    read(tmp_path)
  result = read(tmp_path, skip=True)
  assert_is_everything(result.dataset)
  assert len(result.skipped) == 2


@pytest.mark.parametrize(
  'names',
  [
    [
      *('anger', 'disgusted', 'fearful', 'happiness', 'sadness'),
      *('surprised', 'neutrality'),
    ],
    ['Angry', 'DISGUST', 'Fear', ' Happy', 'Sad_', 'Surprise', 'Neutral'],
  ],
)
def test_folders_may_spell_the_classes_in_any_way(tmp_path, names):
  make_folders(tmp_path)
  for folder in [*tmp_path.glob('*/*')]:
    position = fer2013.CLASS_NAMES.index(folder.name)
    folder.rename(folder.with_name(names[position]))
  assert_is_everything(read(tmp_path).dataset)


def make_own_split(root):
  """Draws folders as those of jonathanoheix: images/train/angry/1.jpg."""
  for number, part in enumerate(('train', 'train', 'validation')):
    folder = root / 'images' / part / 'angry'
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.new('L', (48, 48)).save(folder / f'{number}.jpg')


def test_a_split_of_its_own_is_sent_to_folders(tmp_path):
  make_own_split(tmp_path)
  for source in (tmp_path, tmp_path / 'images'):
    with pytest.raises(UserError, match=r'--dataset=folders .* not PublicT'):
      read(source)
  (tmp_path / 'images' / 'validation').rename(tmp_path / 'images' / 'test')
  with pytest.raises(UserError, match=r'--dataset=folders .* not PublicT'):
    read(tmp_path / 'images')


def test_a_number_stands_for_one_image(tmp_path):
  make_folders(tmp_path)
  image = tmp_path / 'train' / 'angry' / 'Training_0.png'
  other = tmp_path / 'train' / 'surprise' / 'Training_00.png'
  other.write_bytes(image.read_bytes())
  with pytest.raises(UserError, match=f'{other}: has the number of {image}'):
    read(tmp_path)
  assert_is_everything(read(tmp_path, skip=True).dataset)


@pytest.mark.parametrize('name', ['Train', 'validation'])
def test_only_the_known_folders_hold_splits(tmp_path, name):
  make_folders(tmp_path)
  (tmp_path / 'train').rename(tmp_path / name)
  with pytest.raises(UserError, match=f'train and test; .*{name}'):
    read(tmp_path)
  (tmp_path / 'train').mkdir()
  with pytest.raises(UserError, match=f'train and test; .*{name}'):
    read(tmp_path)


def test_missing_splits_are_explained(tmp_path):
  path = write(tmp_path / 'fer2013.csv', csv_lines()[:51])
  result = read(path)
  assert tuple(result.dataset.splits) == ('train',)
  assert result.missing['test'] == 'PrivateTest was not in the source files'


@pytest.mark.parametrize(
  ('line', 'reason'),
  [
    ('3', '1 instead of 3 columns'),
    (f'9,{pixels(0)},Training', "emotion '9' is not one of 0..6"),
    (f'x,{pixels(0)},Training', "emotion 'x' is not"),
    (f'3,256 {pixels(0)[:-4]},Training', "pixel 1 is '256'"),
    (f'3,{pixels(0)} x,Training', "pixel 2305 is 'x'"),
    ('3,1 2 3,Training', '3 instead of 2,304 pixels'),
    (f'3,{pixels(0)},Testing', "Usage 'Testing' is not one of"),
    (f'3,"{pixels(0)},Training,', '4 instead of 3 columns'),
  ],
)
def test_a_bad_row_is_named_or_left_out(tmp_path, line, reason):
  lines = csv_lines()
  lines[5] = line
  path = write(tmp_path / 'fer2013.csv', lines)
  with pytest.raises(UserError) as error:
    read(path)
  assert f'{path}, line 6: {reason}' in str(error.value)
  assert '\n' not in str(error.value)
  result = read(path, skip=True)
  assert len(result.skipped) == 1
  assert result.dataset.notes[0].endswith('left out: 1')
  kept = np.delete(np.arange(50), 4)  # row numbers stay true
  np.testing.assert_array_equal(result.dataset.splits['train'].index, kept)


@pytest.mark.parametrize(
  ('name', 'content', 'reason'),
  [
    ('fer2013.csv', '', 'is empty'),
    ('fer2013.csv', '0,1 2 3,Training\n', "found '0,1 2 3,Training'"),
    ('fer2013.csv', 'emotion,pixels,usage\n', 'columns emotion, pixels and'),
    ('fer2013.csv', 'emotion,pixels,emotion\n', 'each once, in any order'),
    (
      'fer2013.csv',
      'emotion,pixels,Usage,id\n',
      'line 1: expected the columns',
    ),
    ('fer2013.csv', 'emotion,pixels,Usage\n', 'holds no valid example'),
    ('test.csv', 'pixels\n1 2 3\n', 'without labels'),
    ('fer2013.zip', 'PK', 'unpack'),
  ],
)
def test_a_file_of_no_use_is_refused(tmp_path, name, content, reason):
  (tmp_path / name).write_text(content)
  with pytest.raises(UserError, match=reason):
    read(tmp_path / name)


def test_other_sources_are_refused(tmp_path):
  with pytest.raises(UserError, match='no such file'):
    read(tmp_path / 'nothing')
  with pytest.raises(UserError, match='holds neither'):
    read(tmp_path)
  folder = tmp_path / 'train' / 'happy'
  folder.mkdir(parents=True)
  (tmp_path / 'test').mkdir()
  PIL.Image.new('L', (48, 48)).save(folder / '1.jpg')
  with pytest.raises(UserError, match='cannot be told from other names'):
    read(tmp_path)
  folder.rename(folder.with_name('contempt'))
  with pytest.raises(UserError, match='contempt: not a class folder'):
    read(tmp_path)


def make_real(out, *options):
  """Runs the tool that rebuilds FER2013; returns what is read of it."""
  tool = SHARED / 'tools' / 'make_fer2013.py'
  command = [sys.executable, tool, f'--out={out}', *options]
  subprocess.run(command, check=True)
  return read(out).dataset


@pytest.mark.real_data
def test_all_forms_of_the_real_data_are_equal(tmp_path):
  csv, icml, folders = (
    make_real(tmp_path / layout, f'--layout={layout}', '--limit=20')
    for layout in ('csv', 'icml', 'folders')
  )
  assert tuple(csv.splits) == ('train', 'validation')
  for name, split in csv.splits.items():
    assert len(split) == 20
    assert split.content_hash() == icml.splits[name].content_hash()
    jpegs = folders.splits[name]
    np.testing.assert_array_equal(split.labels, jpegs.labels)
    gaps = np.abs(split.images.astype(float) - jpegs.images)
    assert gaps.mean(axis=(1, 2, 3)).max() < 5  # compressed, not exchanged


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_data_has_the_published_counts(tmp_path):
  dataset = make_real(tmp_path)
  for name, split in dataset.splits.items():
    assert tuple(split.counts(7).tolist()) == fer2013.PUBLISHED[name]


@pytest.mark.parametrize('header', [b'', b'emotion,pixels,Usage\n'])
def test_a_line_without_an_end_is_not_read_to_it(tmp_path, header):
  source = tmp_path / 'fer2013.csv'
  with source.open('wb') as file:
    file.write(header)
    file.truncate(1 << 40)  # of zeros; no memory has room for them
  with pytest.raises(UserError, match='longer than 1,048,576 characters'):
    read(source)


def test_no_field_is_shown_in_full(tmp_path):
  lines = csv_lines()
  lines[3] = lines[3].replace(pixels(2), '0').replace('6,', f'{pixels(2)},', 1)
  with pytest.raises(UserError, match='line 4: emotion') as error:
    read(write(tmp_path / 'fer2013.csv', lines))
  assert len(str(error.value)) < 300
