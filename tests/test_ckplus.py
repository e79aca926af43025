import os
import pathlib

import numpy as np
import PIL.Image
import pytest

from ferjax.data import ckplus, crops, raw, synthetic
from ferjax.errors import UserError

CK48 = pathlib.Path(__file__).parents[2] / 'shared' / 'data' / 'CK+48'
# In the order of the canonical names.
FOLDERS = 'anger', 'disgust', 'fear', 'happy', 'sadness', 'surprise', 'contempt'
CODES = 1, 3, 4, 5, 6, 7, 2  # of the original tree, in the same order

FACES = synthetic.draw_faces(np.arange(40) % 6, seed=3)[..., 0]


def read(source, skip=False, **options):
  return ckplus.read(source, raw.BadRows(skip), lambda part: None, **options)


def save(path, image):
  path.parent.mkdir(parents=True, exist_ok=True)
  PIL.Image.fromarray(image).save(path)


def make_ck48(root, num_subjects=12):
  """Draws two frames of one sequence of each subject; returns them by name."""
  drawn = {}
  for subject in range(num_subjects):
    for frame in (8, 9):
      name = f'S{subject * 7:03}_00{subject % 5}_{frame:08}.png'
      drawn[name] = FACES[2 * subject + frame - 8]
      save(root / FOLDERS[subject % 7] / name, drawn[name])
  return drawn


def write_label(root, sequence, frame, text):
  name = f'{sequence.replace("/", "_")}_{frame:08}_emotion.txt'
  path = root / 'Emotion' / sequence / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)


def make_tree(root, num_subjects=10):
  """Draws sequence 2 of each subject, with a label, and 5, without.

  Sequence 2 has four frames and more: subject i's face i in the middle of a
  frame, brighter from frame to frame; every third subject is in colour.
  """
  for subject in range(num_subjects):
    number_of_frames = 4 + subject % 3
    for sequence in ('002', '005'):
      folder = f'S{subject:03}/{sequence}'
      for frame in range(1, number_of_frames + 1):
        image = np.full((98, 128), 50 + frame, np.uint8)
        image[25:73, 40:88] = FACES[subject] // 2 + frame
        if subject % 3 == 0:
          image = np.stack([image] * 3, -1)
        name = f'{folder.replace("/", "_")}_{frame:08}.png'
        save(root / 'cohn-kanade-images' / folder / name, image)
      (root / 'Emotion' / folder).mkdir(parents=True)
    text = f'   {CODES[subject % 7]}.0000000e+00\n'
    write_label(root, f'S{subject:03}/002', number_of_frames, text)


def test_ck48_comes_with_subject_sequence_and_frame(tmp_path):
  drawn = make_ck48(tmp_path / 'archive' / 'CK+48')
  result = read(tmp_path)  # a folder around it
  split = result.dataset.splits['full']
  columns = result.columns['full']
  assert result.dataset.class_names[-1] == 'contempt'
  for i, (name, image) in enumerate(sorted(drawn.items())):
    subject = int(name[1:4]) // 7
    np.testing.assert_array_equal(split.images[i, ..., 0], image)
    assert split.labels[i] == subject % 7
    assert columns['subject'][i] == name[:4]
    assert columns['sequence'][i] == subject % 5
    assert columns['frame'][i] == int(name[9:17])
  np.testing.assert_array_equal(split.index, np.arange(24))
  assert result.dataset.notes == ()


def test_ck48_at_another_size(tmp_path):
  drawn = make_ck48(tmp_path)
  result = read(tmp_path, image_size=64)
  images = result.dataset.splits['full'].images
  for image, face in zip(
    images, dict(sorted(drawn.items())).values(), strict=True
  ):
    np.testing.assert_array_equal(image[..., 0], crops.resize(face, 64))
  assert result.dataset.notes == ('images of 48x48 resized to 64x64',)


def test_the_tree_gives_the_last_three_frames_and_the_first(tmp_path):
  make_tree(tmp_path)
  result = read(tmp_path, crop='none', image_size=98, neutral=True)
  split, columns = result.dataset.splits['full'], result.columns['full']
  names = [result.dataset.class_names[label] for label in split.labels]
  expected = [
    'angry',
    'disgust',
    'fear',
    'happy',
    'sad',
    'surprise',
    'contempt',
  ]
  row = 0
  for subject in range(10):
    last = 4 + subject % 3
    for frame in (1, last - 2, last - 1, last):
      face = split.images[row, 25:73, 25:73, 0]
      np.testing.assert_array_equal(face, FACES[subject] // 2 + frame)
      assert split.images[row, 0, 0, 0] == 50 + frame
      assert columns['subject'][row] == f'S{subject:03}'
      assert (columns['sequence'][row], columns['frame'][row]) == (2, frame)
      assert names[row] == ('neutral' if frame == 1 else expected[subject % 7])
      row += 1
  assert len(split) == row == 40
  assert result.dataset.class_names[5:] == ('surprise', 'neutral', 'contempt')
  assert 'sequences without a label left out: 10' in result.dataset.notes
  plain = read(tmp_path, crop='none', image_size=98)
  peaks = split.take(np.array(names) != 'neutral')
  np.testing.assert_array_equal(
    plain.dataset.splits['full'].images, peaks.images
  )
  assert plain.dataset.class_names == ckplus.CLASS_NAMES
  counts = plain.dataset.splits['full'].counts(7)
  assert counts.tolist() == [6, 6, 6, 3, 3, 3, 3]


def test_the_tree_is_found_in_the_folders_of_its_archives(tmp_path):
  make_tree(tmp_path / 'plain')
  plain = read(tmp_path / 'plain', neutral=True)
  (tmp_path / 'CK+' / 'images').mkdir(parents=True)
  (tmp_path / 'CK+' / 'labels').mkdir()
  (tmp_path / 'CK+' / '__MACOSX' / 'Emotion').mkdir(parents=True)
  for part, folder in ('cohn-kanade-images', 'images'), ('Emotion', 'labels'):
    (tmp_path / 'plain' / part).rename(tmp_path / 'CK+' / folder / part)
  deep = read(tmp_path, neutral=True)
  assert (
    deep.dataset.splits['full'].content_hash()
    == plain.dataset.splits['full'].content_hash()
  )


def test_faces_are_cut_from_the_middle_or_where_they_are_found(
  tmp_path, monkeypatch
):
  make_tree(tmp_path)
  image = read(tmp_path).dataset.splits['full'].images[0, ..., 0]
  path = tmp_path / 'cohn-kanade-images/S000/002/S000_002_00000002.png'
  frame = np.asarray(PIL.Image.open(path).convert('L'))
  expected = crops.resize(frame[12:86, 27:101], 48)  # 74 of 98 pixels
  np.testing.assert_array_equal(image, expected)

  class Detector:
    def detectMultiScale(self, image, **options):  # noqa: N802
      top = image.shape[0] - 73
      return [(top, top, 48, 48)] if image[0, 0] == 52 else []

  monkeypatch.setattr(crops, '_cascade', Detector)
  with pytest.raises(UserError, match=r'_00000003\.png: no face found'):
    read(tmp_path, crop='detect')
  result = read(tmp_path, skip=True, crop='detect')
  split = result.dataset.splits['full']
  assert len(split) == 4  # frame 2 is among the last three of four alone
  np.testing.assert_array_equal(split.images[1, ..., 0], FACES[3] // 2 + 2)
  assert len(result.skipped) == 26
  assert 'bad rows of the source left out: 26' in result.dataset.notes
  assert any('--crop=detect' in note for note in result.dataset.notes)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('', r'S003/002: .*_emotion.txt is empty'),
    ('  \n', 'is empty'),
    ('8.0', r'code 8 is not one of 1\.\.7'),
    ('2.5', r'code 2.5 is not one of 1\.\.7'),
    ('nan', r'code nan is not one of 1\.\.7'),
    ('0.0000000e+00', 'code 0, neutral, is no emotion of a sequence'),
    ('happy', "'happy' is no number"),
  ],
)
def test_bad_labels_are_named_or_left_out(tmp_path, text, message):
  make_tree(tmp_path, 4)
  write_label(tmp_path, 'S003/002', 4, text)
  with pytest.raises(UserError, match=message):
    read(tmp_path)
  result = read(tmp_path, skip=True)
  assert len(result.dataset.splits['full']) == 9
  assert len(result.skipped) == 1


def test_a_tree_without_any_label_is_refused(tmp_path):
  make_tree(tmp_path, 2)
  for path in tmp_path.glob('Emotion/*/*/*.txt'):
    path.unlink()
  with pytest.raises(UserError, match='Emotion: holds no labels, such as S005'):
    read(tmp_path, skip=True)


def test_names_of_frames_may_end_in_capitals(tmp_path):
  make_tree(tmp_path, 1)
  expected = read(tmp_path).dataset.splits['full']
  for path in tmp_path.glob('cohn-kanade-images/*/*/*.png'):
    path.rename(path.with_suffix('.PNG'))
  found = read(tmp_path).dataset.splits['full']
  np.testing.assert_array_equal(found.images, expected.images)


def test_bad_sequences_are_named_or_left_out(tmp_path):
  make_tree(tmp_path, 6)
  images = tmp_path / 'cohn-kanade-images'
  write_label(tmp_path, 'S000/002', 9, '1.0')  # its second
  for frame in (2, 3):
    (images / f'S001/002/S001_002_{frame:08}.png').unlink()
  (images / 'S002/002/notes.txt').touch()
  (images / 'S003/002/S003_002_00000004.png').write_bytes(b'no image')
  write_label(tmp_path, 'S009/001', 9, '1.0')  # has no frames
  (tmp_path / 'Emotion/S004/002/S004_002_00000005_emotion.txt').rename(
    tmp_path / 'Emotion/S004/002/S004_005_00000005_emotion.txt'
  )
  (images / 'S005/002/S005_002_00000001.png').rename(
    images / 'S005/002/S005_005_00000001.png'
  )
  with pytest.raises(
    UserError, match=r'S000.002: 2 emotion files instead of one'
  ):
    read(tmp_path)
  result = read(tmp_path, skip=True, neutral=True)
  expected = (
    '2 emotion files',
    '3 frames; it takes 4',
    'not named SUBJECT_',
    'S004_005_00000005_emotion.txt is no emotion of this sequence',
    'S005_005_00000001.png is of another sequence',
    '0 frames; it takes 4',
    'not an image',
  )
  for line, part in zip(result.skipped, expected, strict=True):
    assert part in line
  # Without neutral, the three frames of S001 are enough.
  assert len(read(tmp_path, skip=True).dataset.splits['full']) == 3 + 3 + 2


def test_bad_files_of_ck48_are_named_or_left_out(tmp_path):
  make_ck48(tmp_path)
  name = 'S001_001_00000001.png'
  PIL.Image.new('L', (64, 64)).save(tmp_path / 'fear' / name)
  with pytest.raises(UserError, match='64x64'):
    read(tmp_path)
  (tmp_path / 'fear' / 'notes.txt').touch()
  with pytest.raises(UserError, match='not named SUBJECT_'):
    read(tmp_path)
  result = read(tmp_path, skip=True)
  assert len(result.dataset.splits['full']) == 24
  assert len(result.skipped) == 2


def test_a_frame_that_stands_twice_is_named_or_left_out(tmp_path):
  (name, image), *_ = make_ck48(tmp_path).items()
  save(tmp_path / 'surprise' / name, image)
  twice = rf'surprise/{name}: the same frame as .*anger/{name}'
  with pytest.raises(UserError, match=twice):
    read(tmp_path)
  result = read(tmp_path, skip=True)
  assert len(result.dataset.splits['full']) == 24
  assert len(result.skipped) == 1


def test_other_sources_are_refused(tmp_path):
  with pytest.raises(UserError, match='no such file or folder'):
    read(tmp_path / 'nothing')
  with pytest.raises(UserError, match='holds no form of CK'):
    read(tmp_path)
  (tmp_path / 'ckplus.zip').touch()
  with pytest.raises(UserError, match='unpack'):
    read(tmp_path / 'ckplus.zip')
  (tmp_path / 'empty' / 'anger').mkdir(parents=True)
  with pytest.raises(UserError, match='no valid image'):
    read(tmp_path / 'empty')
  for part, other in (
    ('cohn-kanade-images', 'Emotion'),
    ('Emotion', 'cohn-kanade-images'),
  ):
    (tmp_path / f'only {part}' / part).mkdir(parents=True)
    with pytest.raises(UserError, match=f'holds {part} but no {other}'):
      read(tmp_path / f'only {part}')
  for folder in ('a', 'b'):
    (tmp_path / 'twice' / folder / 'CK+48').mkdir(parents=True)
  with pytest.raises(UserError, match=r'holds CK\+48 twice'):
    read(tmp_path / 'twice')
  (tmp_path / 'both' / 'CK+48').mkdir(parents=True)
  (tmp_path / 'both' / 'ckextended.csv').touch()
  with pytest.raises(UserError, match=r'several forms of CK\+ \(CK\+48, cke'):
    read(tmp_path / 'both')


def test_arguments_that_do_not_apply_are_refused(tmp_path):
  make_ck48(tmp_path / 'CK+48', 2)
  (tmp_path / 'ckextended.csv').touch()
  for source in (tmp_path / 'CK+48', tmp_path / 'ckextended.csv'):
    with pytest.raises(UserError, match='are cut already; leave --crop out'):
      read(source, crop='detect')
    with pytest.raises(UserError, match='--neutral: '):
      read(source, neutral=True)
    with pytest.raises(UserError, match='--crop=face: must be one of'):
      read(source, crop='face')
    with pytest.raises(UserError, match='--image_size=0: the least is 1'):
      read(source, image_size=0)


@pytest.mark.real_data
def test_the_real_images_are_the_published_ones():
  result = read(CK48)
  split = result.dataset.splits['full']
  assert split.counts(7).tolist() == list(ckplus.PUBLISHED['full'])
  assert len(split) == 981
  assert len(set(result.columns['full']['subject'])) == 118


@pytest.mark.real_data
def test_the_tree_gives_the_frames_of_ck48_in_its_order(tmp_path):
  """Of a tree with the real names, made of blank images."""
  peaks = {}
  for path in sorted(CK48.glob('*/*.png')):
    peaks.setdefault(path.name[:8], []).append((path.name, path.parent.name))
  blank = PIL.Image.new('L', (12, 8))
  for sequence, files in peaks.items():
    assert len(files) == 3
    folder = sequence.replace('_', '/')
    name, class_name = files[-1]
    code = CODES[FOLDERS.index(class_name)]
    write_label(tmp_path, folder, int(name[9:17]), f'{code}.0')
    images = tmp_path / 'cohn-kanade-images' / folder
    images.mkdir(parents=True)
    for name in (f'{sequence}_00000001.png', *(name for name, _ in files)):
      blank.save(images / name)
  expected = read(CK48)
  result = read(tmp_path, image_size=8)
  np.testing.assert_array_equal(
    result.dataset.splits['full'].labels, expected.dataset.splits['full'].labels
  )
  for name, column in expected.columns['full'].items():
    np.testing.assert_array_equal(result.columns['full'][name], column)
  result = read(tmp_path, image_size=8, neutral=True)
  counts = result.dataset.splits['full'].counts(8).tolist()
  assert counts == list(result.published['full'])
  assert counts[6] == len(peaks) == 327


@pytest.mark.parametrize('name', ['S00(', '[', '(a+)+$', '\\'])
def test_a_folder_may_be_called_anything(tmp_path, name):
  """It stands in a pattern, of which these are no or a very slow one."""
  make_tree(tmp_path, 3)
  write_label(tmp_path, f'{name}/002', 4, '3.0')
  result = read(tmp_path, skip=True)
  (line,) = result.skipped
  assert line.endswith(f'{name}/002: 0 frames; it takes 3')
  assert len(result.dataset.splits['full']) == 9


def test_a_label_is_a_file(tmp_path):
  make_tree(tmp_path, 3)
  (path,) = (tmp_path / 'Emotion' / 'S001' / '002').iterdir()
  path.unlink()
  os.mkfifo(path)  # to read it would take for ever
  with pytest.raises(UserError, match=r'emotion\.txt is no file'):
    read(tmp_path)
