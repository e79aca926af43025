"""Trees of pictures, CK+'s labels and IDX files, by whatever names."""

import gzip
import io
import struct
import unicodedata

import guard
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import WORDS, Content
import numpy as np
import PIL.Image
import pytest
from trees import LOOP, broken_trees, build

from ferjax import prepare
from ferjax.data import raw, spellings
from ferjax.errors import UserError

pytestmark = pytest.mark.stress

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (20, 8, 8), np.uint8)


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


def encode(pixels, kind='PNG'):
  buffer = io.BytesIO()
  PIL.Image.fromarray(pixels).save(buffer, kind)
  return Content(buffer.getvalue())


PICTURES = [encode(face) for face in FACES]
FRAMES = [encode(np.kron(face, np.ones((6, 6), np.uint8))) for face in FACES]


def read(home, name, tree, skip, **options):
  source = home / 'source'
  build(source, tree)
  bad_rows = raw.BadRows(skip)
  found = guard.outcome(
    lambda: prepare.read(name, source, bad_rows, lambda part: None, **options),
    home,
  )
  return None if isinstance(found, UserError) else found


def images(found):
  return {
    bytes(image): found.dataset.class_names[label]
    for split in found.dataset.splits.values()
    for image, label in zip(split.images, split.labels, strict=True)
  }


OWN = {
  f'{name}/{i}.png': PICTURES[i + 10 * (name == 'sad')]
  for name in ('happy', 'sad')
  for i in range(6)
}
SPLIT = {
  f'{split}/{name}/{i}.png': PICTURES[i + 6 * j]
  for split, many in (('train', 5), ('validation', 1), ('test', 1))
  for j, name in enumerate(('happy', 'sad'))
  for i in range(many)
}


@given(
  st.sampled_from((OWN, SPLIT)).flatmap(broken_trees),
  st.booleans(),
  st.sampled_from((0, 4)),
)
@example(OWN, False, 0)
@example(OWN | {'happy/loop': LOOP, 'loop': LOOP}, True, 0)
def test_folders(home, tree, skip, image_size):
  found = read(home, 'folders', tree, skip, image_size=image_size)
  if not found:
    return
  for name in found.dataset.class_names:
    assert name.isprintable()
    assert name == unicodedata.normalize('NFC', name)
  if found.skipped or image_size or found.dataset.image_shape != (8, 8, 1):
    return
  # Each picture is stored as a class that a folder above it names.
  for pixels, label in images(found).items():
    homes = [
      path
      for path in (home / 'source').rglob('*')
      if path.is_file() and label == spellings.canonical(path.parent.name)
    ]
    faces = [np.asarray(PIL.Image.open(p).convert('L')) for p in homes]
    assert pixels in [face.tobytes() for face in faces]


FER2013 = {
  **{
    f'train/{name}/Training_{i}.png': FRAMES[i]
    for i, name in enumerate(('angry', 'sad'))
  },
  **{
    f'test/{name}/PublicTest_{i}.png': FRAMES[i]
    for i, name in enumerate(('angry', 'sad'), 5)
  },
  'test/happy/PrivateTest_9.png': FRAMES[9],
}


@given(broken_trees(FER2013), st.booleans())
@example(FER2013, False)
def test_folders_of_fer2013(home, tree, skip):
  found = read(home, 'fer2013', tree, skip)
  if found and not found.skipped:
    assert sum(map(len, found.dataset.splits.values())) <= len(tree)


CK48 = {
  f'{name}/S0{subject}_001_0000000{i}.png': FRAMES[3 * subject + i - 30]
  for subject, name in ((10, 'anger'), (11, 'happy'))
  for i in range(3)
}
CKPLUS = {
  **{
    f'cohn-kanade-images/{subject}/001/{subject}_001_0000000{i}.png': FRAMES[i]
    for subject in ('S010', 'S011')
    for i in range(4)
  },
  'Emotion/S010/001/S010_001_00000003_emotion.txt': b'   3.0000000e+00\n',
  'Emotion/S011/001/S011_001_00000003_emotion.txt': b'   5.0000000e+00\n',
}


@given(st.sampled_from((CK48, CKPLUS)).flatmap(broken_trees), st.booleans())
@example(CK48, False)
@example(CKPLUS, False)
@example(
  {
    key.replace('S010', 'S01(').replace('S011', '(a+)+$'): value
    for key, value in CKPLUS.items()
  },
  True,
)
def test_ckplus(home, tree, skip):
  found = read(home, 'ckplus', tree, skip)
  if found and not found.skipped:
    (split,) = found.dataset.splits.values()
    columns = found.columns['full']
    assert len(split) == len(columns['subject']) <= len(tree)
    keys = list(
      zip(*(columns[n] for n in ('subject', 'sequence', 'frame')), strict=True)
    )
    assert keys == sorted(set(keys))


@given(WORDS, st.sampled_from((b'', b' 3\n', b'3.0', b'1e0')))
def test_a_label_of_ckplus_is_a_number(home, word, rest):
  label = word.encode('utf-8', 'surrogatepass') + rest
  tree = CKPLUS | {'Emotion/S010/001/S010_001_00000003_emotion.txt': label}
  found = read(home, 'ckplus', tree, False)
  if found:
    text = label.decode('ascii', 'replace')
    assert float(text) in range(1, 8)


def idx(values):
  header = struct.pack(f'>I{values.ndim}I', 0x800 + values.ndim, *values.shape)
  return Content(header + values.astype(np.uint8).tobytes())


DIGITS = RNG.integers(0, 256, (20, 28, 28), np.uint8)
MNIST = {
  'train-images-idx3-ubyte': idx(DIGITS),
  'train-labels-idx1-ubyte.gz': gzip.compress(idx(np.arange(20) % 2), mtime=0),
  't10k-images.idx3-ubyte.gz': gzip.compress(idx(DIGITS[:4]), mtime=0),
  't10k-labels-idx1-ubyte': idx(np.arange(4)),
}


@given(broken_trees(MNIST, 2), st.booleans())
@example(MNIST, False)
def test_mnist(home, tree, skip):
  found = read(home, 'mnist', tree, skip)
  if not found or found.skipped:
    return
  known = {image.tobytes() for image in DIGITS}
  if all(tree.get(name) == MNIST[name] for name in MNIST):
    assert {
      image.tobytes()
      for s in found.dataset.splits.values()
      for image in s.images
    } == known


@pytest.mark.parametrize('size', [2 << 30, 1 << 21])
def test_a_bomb_of_mnist_is_not_unpacked(home, size, monkeypatch):
  """Whether its header tells that it is one or not."""
  buffer = io.BytesIO()
  with gzip.open(buffer, 'wb', 1) as file:
    file.write(struct.pack('>4I', 0x803, size // 784, 28, 28))
    for _ in range(256):
      file.write(bytes(1 << 20))
  tree = MNIST | {'train-images-idx3-ubyte': buffer.getvalue()}
  assert len(buffer.getvalue()) < 1 << 21
  monkeypatch.setattr(guard, 'MEGABYTES', 64)
  assert read(home, 'mnist', tree, False) is None
