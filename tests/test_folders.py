import numpy as np
import PIL.Image
import pytest

from ferjax.data import folders, raw
from ferjax.errors import UserError

SEVEN = 'angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'
FOUR = 'happy', 'neutral', 'sad', 'surprise'


def read(source, skip=False, **options):
  return folders.read(source, raw.BadRows(skip), lambda part: None, **options)


def make(root, classes, count=2, size=(48, 48), name='{}.png', mode='L'):
  """Draws `count` images of each class; returns them by path."""
  drawn = {}
  for label, folder in enumerate(classes):
    (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
      channels = (3,) if mode == 'RGB' else ()
      rng = np.random.default_rng((label, number, *root.name.encode()))
      pixels = rng.integers(0, 256, (*size[::-1], *channels), np.uint8)
      path = root / folder / name.format(10 * label + number)
      PIL.Image.fromarray(pixels).save(path)
      drawn[path] = pixels
  return drawn


def assert_holds(split, drawn, class_names, classes):
  """Checks that a split holds these images, classes named as the folders."""
  expected = {
    (class_names.index(classes[path.parent.name]), pixels.tobytes())
    for path, pixels in drawn.items()
  }
  rows = zip(split.labels.tolist(), split.images, strict=True)
  assert {(label, image.tobytes()) for label, image in rows} == expected
  assert len(split) == len(drawn)


def test_jonathanoheix(tmp_path):
  """Seven classes below images/, train and validation, a copy beside them."""
  train = make(tmp_path / 'images' / 'train', SEVEN, 3)
  validation = make(tmp_path / 'images' / 'validation', SEVEN, 1)
  make(tmp_path / 'images' / 'images' / 'train', SEVEN, 3)
  result = read(tmp_path)
  dataset = result.dataset
  assert dataset.name == 'folders'
  assert dataset.class_names == SEVEN
  assert tuple(dataset.splits) == ('train', 'validation')
  own = dict(zip(SEVEN, SEVEN, strict=True))
  assert_holds(dataset.splits['train'], train, SEVEN, own)
  assert_holds(dataset.splits['validation'], validation, SEVEN, own)
  assert dataset.image_shape == (48, 48, 1)
  assert result.published == {}
  assert result.missing == {'test': 'the source has no folder test'}
  assert dataset.notes[0].startswith(f'not read: {tmp_path / "images"}/images')
  assert 'neither PublicTest nor PrivateTest' in dataset.notes[1]
  assert "if the images are FER2013's" in dataset.notes[1]
  assert len(dataset.notes) == 2


def test_the_four_class_set(tmp_path):
  root = tmp_path / 'Facial_emotion_images'
  drawn = {s: make(root / s, FOUR) for s in ('train', 'validation', 'test')}
  result = read(tmp_path)
  dataset = result.dataset
  assert dataset.class_names == ('happy', 'sad', 'surprise', 'neutral')
  assert tuple(dataset.splits) == ('train', 'validation', 'test')
  for name, split in dataset.splits.items():
    own = dict(zip(FOUR, FOUR, strict=True))
    assert_holds(split, drawn[name], dataset.class_names, own)
  index = [split.index.tolist() for split in dataset.splits.values()]
  assert index == [[*range(8)], [*range(8, 16)], [*range(16, 24)]]
  assert result.missing == {}
  assert 'neither PublicTest nor PrivateTest' in dataset.notes[0]


def test_names_of_fer2013_are_told(tmp_path):
  make(tmp_path / 'train', FOUR, name='Training_{}.png')
  make(tmp_path / 'val', FOUR, 1, name='PrivateTest_{}.png')
  make(tmp_path / 'test', FOUR, 1, name='PublicTest_{}.png')
  make(tmp_path / 'test', FOUR, 1, name='PrivateTest_{}.jpg')
  (note,) = read(tmp_path).dataset.notes
  assert 'train holds 8 Training; validation holds 4 PrivateTest' in note
  assert 'test holds 4 PublicTest and 4 PrivateTest' in note
  assert 'report it as neither PublicTest nor PrivateTest' in note


@pytest.mark.parametrize('name', ['validation', 'Valid', 'val'])
def test_any_classes_and_names_of_splits(tmp_path, name):
  classes = ['Sadness', 'Very Proud', 'awe', 'Anger']
  meant = dict(zip(classes, ['sad', 'very_proud', 'awe', 'angry'], strict=True))
  drawn = make(tmp_path / 'Train', classes, size=(20, 20), mode='RGB')
  held_out = make(tmp_path / name, classes[::-1], size=(20, 20), mode='RGB')
  (tmp_path / 'README.txt').touch()
  dataset = read(tmp_path).dataset
  assert dataset.class_names == ('angry', 'sad', 'awe', 'very_proud')
  assert dataset.image_shape == (20, 20, 3)
  names = dataset.class_names
  assert_holds(dataset.splits['train'], drawn, names, meant)
  assert_holds(dataset.splits['validation'], held_out, names, meant)
  assert dataset.notes == ()


def test_a_validation_split_is_drawn(tmp_path):
  make(tmp_path / 'train', ('a', 'b'), 20, size=(4, 4))
  make(tmp_path / 'test', ('a', 'b'), 3, size=(4, 4))
  result = read(tmp_path, seed=5)
  splits = result.dataset.splits
  assert tuple(splits) == ('train', 'validation', 'test')
  assert [s.counts(2).tolist() for s in splits.values()] == [
    [18, 18],
    [2, 2],
    [3, 3],
  ]
  assert 'no validation split: it is a tenth' in result.dataset.notes[0]
  assert 'seed 5' in result.dataset.notes[0]
  assert result.missing == {}


def test_without_a_split_two_are_drawn(tmp_path):
  drawn = make(tmp_path, ('a', 'b'), 20, size=(4, 4))
  result = read(tmp_path)
  splits = result.dataset.splits
  assert tuple(splits) == ('train', 'validation', 'test')
  assert [s.counts(2).tolist() for s in splits.values()] == [
    [16, 16],
    [2, 2],
    [2, 2],
  ]
  index = np.concatenate([split.index for split in splits.values()])
  images = np.concatenate([split.images for split in splits.values()])
  for row, path in enumerate(sorted(drawn)):
    image = images[index == row][0, ..., 0]
    np.testing.assert_array_equal(image, drawn[path])
  assert 'validation and test are each a tenth' in result.dataset.notes[0]
  assert result.missing == {}
  other = read(tmp_path, seed=1).dataset.splits['test']
  assert other.index.tolist() != splits['test'].index.tolist()


def test_splits_have_the_same_classes(tmp_path):
  make(tmp_path / 'train', SEVEN, 5)
  make(tmp_path / 'test', FOUR)
  with pytest.raises(
    UserError, match=r'that test has not \(angry, disgust, fe'
  ):
    read(tmp_path)
  for name in SEVEN[:3]:
    (tmp_path / 'test' / name).mkdir()
  counts = read(tmp_path).dataset.splits['test'].counts(7)
  assert counts.tolist() == [0, 0, 0, 2, 2, 2, 2]


def test_images_are_brought_to_one_size_and_color(tmp_path):
  make(tmp_path / 'train', ('a', 'b'), 6, size=(20, 30))
  make(tmp_path / 'val', ('a', 'b'), 1, size=(24, 20), mode='RGB')
  make(tmp_path / 'test', ('a', 'b'), 1, size=(48, 48), mode='RGB')
  with pytest.raises(UserError, match='48x48 pixels as a square, and those'):
    read(tmp_path)
  dataset = read(tmp_path, image_size=32).dataset
  assert dataset.image_shape == (32, 32, 3)
  assert dataset.notes == (
    'of 16 images: cropped centrally to a square 14, shrunk 2, enlarged 14',
    '12 of 16 images are grey, the others in colour; all are stored as RGB',
  )
  dataset = read(tmp_path, image_size=32, color='gray').dataset
  assert dataset.image_shape == (32, 32, 1)
  assert 'made grey 4' in dataset.notes[0]
  (tmp_path / 'test').rename(tmp_path / '.test')
  assert read(tmp_path, color='rgb').dataset.image_shape == (20, 20, 3)


def test_bad_files_are_named_or_left_out(tmp_path):
  drawn = make(tmp_path / 'train', ('a', 'b'), 9, size=(4, 4))
  make(tmp_path / 'val', ('a', 'b'), size=(4, 4))
  (tmp_path / 'train' / 'a' / '00.png').write_text('no image')
  (tmp_path / 'train' / 'b' / 'folder').mkdir()
  (tmp_path / 'train' / 'labels.csv').touch()
  (tmp_path / 'train' / '.DS_Store').touch()
  with pytest.raises(UserError, match=r'labels\.csv: in no class folder'):
    read(tmp_path)
  (tmp_path / 'train' / 'labels.csv').unlink()
  with pytest.raises(UserError, match=r'a/00\.png: not an image'):
    read(tmp_path)
  result = read(tmp_path, skip=True)
  split = result.dataset.splits['train']
  assert_holds(split, drawn, ('a', 'b'), {'a': 'a', 'b': 'b'})
  assert 0 in split.index  # a/0.png comes before the bad a/00.png
  assert 1 not in split.index
  assert len(result.skipped) == 2
  assert result.dataset.notes == ('bad rows of the source left out: 2',)
  for path in (tmp_path / 'val').glob('*/*'):
    path.write_text('no image')
  with pytest.raises(UserError, match='val: holds no valid image'):
    read(tmp_path, skip=True)


def test_links_are_followed_and_counted(tmp_path):
  make(tmp_path / 'elsewhere' / 'train', ('a', 'b'), 6, size=(4, 4))
  source = tmp_path / 'source'
  make(source / 'train', ('a',), 3, size=(4, 4))
  away = tmp_path / 'elsewhere' / 'train'
  (source / 'train' / 'b').symlink_to(away / 'b')
  (source / 'train' / 'a' / '7.png').symlink_to(away / 'a' / '1.png')
  (source / 'train' / 'a' / '8.png').symlink_to(source / 'train/a/0.png')
  (source / 'train' / 'a' / '9.png').symlink_to('0.png')
  dataset = read(source).dataset
  assert sum(map(len, dataset.splits.values())) == 12
  assert dataset.notes[0] == 'links lead out of the source: 7 images'


def test_a_folder_that_holds_itself_comes_to_an_end(tmp_path):
  (tmp_path / 'loop').symlink_to(tmp_path)
  with pytest.raises(UserError, match='at least two are needed'):
    read(tmp_path)


def test_what_holds_no_class_folders_is_refused(tmp_path):
  with pytest.raises(UserError, match='no such folder; give the folder of'):
    read(tmp_path / 'nothing')
  (tmp_path / 'file.zip').touch()
  with pytest.raises(UserError, match='not a folder; give the folder of class'):
    read(tmp_path / 'file.zip')
  with pytest.raises(UserError, match='in no class folder'):
    read(tmp_path)
  (tmp_path / 'file.zip').unlink()
  with pytest.raises(UserError, match='holds no class folders; at least two'):
    read(tmp_path)
  (tmp_path / 'happy').mkdir()
  with pytest.raises(UserError, match='holds one class folder; at least two'):
    read(tmp_path)
  (tmp_path / 'sad').mkdir()
  with pytest.raises(UserError, match='holds no valid image'):
    read(tmp_path)
  (tmp_path / 'test').mkdir()
  with pytest.raises(UserError, match='happy: beside the folders of a split'):
    read(tmp_path)


def test_a_split_is_whole_and_clear(tmp_path):
  make(tmp_path / 'test', ('a', 'b'))
  make(tmp_path / 'val', ('a', 'b'))
  with pytest.raises(UserError, match='test and validation, but no folder tr'):
    read(tmp_path)
  make(tmp_path / 'valid', ('a', 'b'))
  with pytest.raises(UserError, match='valid: a second folder of the validat'):
    read(tmp_path)


def test_too_few_images_are_refused(tmp_path):
  make(tmp_path, ('a', 'b'), 4)
  with pytest.raises(UserError, match='too few rows to draw a validation'):
    read(tmp_path)
