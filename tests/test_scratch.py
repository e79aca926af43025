import os
import signal
import subprocess
import sys

import pytest

from ferjax import scratch

HOLDER = """
from ferjax import scratch
with scratch.folder() as folder:
  (folder / 'file').touch()
  print(folder, flush=True)
  input()
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
  monkeypatch.setattr(scratch.tempfile, 'tempdir', str(tmp_path))
  monkeypatch.setattr(scratch, '_YOUNG', -1.0)
  return tmp_path


def test_a_folder_is_there_and_gone(home):
  with scratch.folder() as folder:
    assert folder.parent == home
    (folder / 'file').touch()
  assert list(home.iterdir()) == []


def test_of_others_only_what_was_left_is_removed(home):
  other = home / 'other'
  other.mkdir()
  holder = subprocess.Popen(
    [sys.executable, '-c', HOLDER],
    env={**os.environ, 'TMPDIR': str(home)},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  with holder:
    assert holder.stdout.readline()
    with scratch.folder():
      assert len(list(home.iterdir())) == 3
    holder.send_signal(signal.SIGKILL)
    holder.wait(60)
  assert len(list(home.iterdir())) == 2
  with scratch.folder():
    assert len(list(home.iterdir())) == 2
  assert list(home.iterdir()) == [other]


def test_what_was_just_made_is_left_alone(home, monkeypatch):
  monkeypatch.setattr(scratch, '_YOUNG', 60.0)
  (home / 'ferjax-new').mkdir()
  with scratch.folder():
    pass
  assert [path.name for path in home.iterdir()] == ['ferjax-new']


def test_nothing_but_folders_of_ours_is_touched(home):
  (home / 'ferjax-file').touch()
  with scratch.folder():
    pass
  assert [path.name for path in home.iterdir()] == ['ferjax-file']
