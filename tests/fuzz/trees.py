"""Folders and files in a tree, by whatever names and of whatever kinds."""

import os
import shutil

from hypothesis import strategies as st
from mutations import WORDS, broken_bytes

from ferjax.data.dataset import CLASS_NAMES

# Names that somebody may give, which the kernel takes.
NAMES = st.one_of(
  WORDS,
  st.sampled_from(
    (*CLASS_NAMES, 'Anger', 'HAPPINESS', 'train', 'val', 'images')
  ),
).filter(
  lambda name: (
    name not in ('', '.', '..')
    and '/' not in name
    and '\x00' not in name
    and len(name.encode('utf-8', 'surrogatepass')) < 200
  )
)


class Entry(str):
  """How a thing in a tree is made that is no file of bytes."""


PIPE, FOLDER, LOOP, AWAY, NOWHERE = map(
  Entry, ('pipe', 'folder', 'loop', 'away', 'nowhere')
)
_LINKS = {LOOP: '.', AWAY: '/etc', NOWHERE: 'nowhere/at/all'}


def build(folder, tree):
  """Makes a tree of {path: bytes or Entry} where it can be made."""
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir()
  for name, what in tree.items():
    path = os.path.join(os.fsencode(folder), os.fsencode(name))
    try:
      os.makedirs(os.path.dirname(path), exist_ok=True)
      if what == PIPE:
        os.mkfifo(path)
      elif what == FOLDER:
        os.mkdir(path)
      elif what in _LINKS:
        os.symlink(_LINKS[what], path)
      else:
        with open(path, 'wb') as file:
          file.write(what)
    except (OSError, UnicodeEncodeError):
      pass  # where a file stands, no folder can


@st.composite
def broken_trees(draw, tree, most=3):
  """Returns a tree with things renamed, replaced, removed and put in.

  Args:
    draw: of Hypothesis.
    tree: {path: bytes or Entry}.
    most: how many things are changed.
  """
  picture = next(iter(tree.values()))
  tree = dict(tree)
  for _ in range(draw(st.integers(0, most))):
    path = draw(st.sampled_from(sorted(tree))) if tree else 'x'
    parts = path.split('/')
    kind = draw(st.integers(0, 5))
    place = draw(st.integers(0, len(parts) - 1))
    if kind == 0:  # all that lies in a folder moves with it
      start, new = '/'.join(parts[: place + 1]), draw(NAMES)
      moved = '/'.join([*parts[:place], new])
      tree = {
        moved + key[len(start) :]
        if f'{key}/'.startswith(f'{start}/')
        else key: v
        for key, v in tree.items()
      }
    elif kind == 1:
      new = '/'.join([*parts[:place], draw(NAMES)])
      tree[new] = draw(
        st.sampled_from((PIPE, FOLDER, LOOP, AWAY, NOWHERE, b'', picture))
      )
    elif kind == 2 and tree and isinstance(tree[path], bytes):
      tree[path] = draw(broken_bytes(tree[path], 2))
    elif kind == 3:
      tree.pop(path, None)
    elif kind == 4:
      tree[path] = draw(st.sampled_from((PIPE, FOLDER, LOOP, NOWHERE)))
    else:
      depth = draw(st.sampled_from((1, 2, 60)))
      tree['/'.join([*parts[:place], *['d'] * depth, 'a.png'])] = picture
  return tree
