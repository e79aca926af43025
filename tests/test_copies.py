import pathlib
import runpy

import numpy as np
import pytest

from ferjax.data import copies
from ferjax.data.dataset import Split
from ferjax.errors import UserError

SHARED = pathlib.Path(__file__).parents[2] / 'shared'


def draw_images(rng, n, shape=(2, 3, 1)):
  """Few grey values, so that many are copies of each other."""
  return rng.integers(0, 2, (n, *shape), np.uint8)


def make_split(images):
  n = len(images)
  labels = np.arange(n, dtype=np.int32) % 3
  return Split(images, labels, 5 + np.arange(n))


def same(a, b):
  return a.shape == b.shape and a.tobytes() == b.tobytes()


def test_digests_are_equal_where_all_bytes_are():
  images = draw_images(np.random.default_rng(0), 120)
  digests = copies.digests(images)
  assert (digests.shape, digests.dtype) == ((120,), np.dtype('S16'))
  for i, image in enumerate(images):
    expected = [same(image, other) for other in images]
    assert (digests == digests[i]).tolist() == expected
  assert len(np.unique(digests)) == len({image.tobytes() for image in images})


def test_nul_bytes_at_the_end_of_a_digest_tell_images_apart():
  images = np.arange(4096, dtype='<u4').view(np.uint8).reshape(-1, 2, 2, 1)
  digests = copies.digests(images)
  ends = digests.view(np.uint8).reshape(-1, 16)[:, -1]
  assert (ends == 0).any()  # else the test shows nothing
  assert len(np.unique(digests)) == 4096
  assert len({digest.ljust(16, b'\0') for digest in digests.tolist()}) == 4096


def test_the_shape_counts_and_the_layout_does_not():
  images = draw_images(np.random.default_rng(1), 9, (4, 4, 3))
  turned = np.asfortranarray(images)
  np.testing.assert_array_equal(copies.digests(turned), copies.digests(images))
  np.testing.assert_array_equal(
    copies.digests(images[::2, :, ::-1]),
    copies.digests(images[::2, :, ::-1].copy()),
  )
  flat = images.reshape(9, 2, 8, 3)
  assert not copies.occurs_in(flat, images).any()


@pytest.mark.parametrize('seed', range(5))
def test_occurs_in_finds_what_a_loop_finds(seed):
  rng = np.random.default_rng(seed)
  images, others = draw_images(rng, 60), draw_images(rng, 20)
  expected = [any(same(a, b) for b in others) for a in images]
  assert any(expected)
  assert not all(expected)
  found = copies.occurs_in(images, others)
  assert found.dtype == bool
  assert found.tolist() == expected
  assert not copies.occurs_in(images, others[:0]).any()
  assert copies.occurs_in(images[:0], others).tolist() == []


@pytest.mark.parametrize('seed', range(5))
def test_groups_are_numbered_as_they_come(seed):
  images = draw_images(np.random.default_rng(seed), 80)
  numbers = {}
  expected = [numbers.setdefault(x.tobytes(), len(numbers)) for x in images]
  assert copies.groups(images).tolist() == expected
  assert copies.groups(images[:0]).tolist() == []


def test_copies_of_held_out_images_are_excluded():
  rng = np.random.default_rng(2)
  train = make_split(draw_images(rng, 50))
  held_out = [draw_images(rng, 12), draw_images(rng, 9)]
  bytes_held_out = {x.tobytes() for images in held_out for x in images}
  kept = [
    i for i in range(50) if train.images[i].tobytes() not in bytes_held_out
  ]
  rest, num_left_out = copies.exclude(train, held_out)
  assert num_left_out == 50 - len(kept) > 0
  np.testing.assert_array_equal(rest.index, train.index[kept])
  np.testing.assert_array_equal(rest.images, train.images[kept])
  np.testing.assert_array_equal(rest.labels, train.labels[kept])
  assert copies.exclude(rest, held_out) == (rest, 0)
  assert copies.exclude(train, []) == (train, 0)
  with pytest.raises(UserError, match='exclude_duplicates leaves nothing'):
    copies.exclude(train, [train.images])


def test_the_note_counts_what_is_left_out():
  note = copies.note(1234, ('validation', 'test'))
  assert '1,234 ' in note
  assert note.endswith('validation or test')


@pytest.mark.real_data
def test_the_real_data_has_the_known_copies():
  tool = runpy.run_path(str(SHARED / 'tools' / 'make_fer2013.py'))
  train, public = (
    tool['read_split'](SHARED / 'data' / 'fer2013', name)[0][..., None]
    for name in ('train', 'public')
  )
  assert copies.occurs_in(public, train).sum() == 280
  groups = copies.groups(np.concatenate([train, public]))
  assert (len(groups), groups.max() + 1) == (32298, 30765)
  held_out = {image.tobytes() for image in public}
  expected = sum(image.tobytes() in held_out for image in train)
  rest, num_left_out = copies.exclude(make_split(train), [public])
  assert num_left_out == expected
  assert not copies.occurs_in(public, rest.images).any()
