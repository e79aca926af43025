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
  return tmp_path


def test_a_folder_is_there_and_gone(home):
  with scratch.folder() as folder:
    assert folder.parent.parent == home
    assert list(folder.iterdir()) == []
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


def test_what_was_just_made_is_left_alone(home):
  """Its maker has not locked and marked it yet."""
  (home / 'ferjax-new').mkdir()
  with scratch.folder():
    pass
  assert [path.name for path in home.iterdir()] == ['ferjax-new']


def test_a_users_folder_of_such_a_name_stays(home):
  run = home / 'ferjax-runs' / 'a'
  run.mkdir(parents=True)
  (run / 'metrics.jsonl').write_text('{}')
  (home / 'ferjax-link').symlink_to(home / 'ferjax-runs')
  os.utime(home / 'ferjax-runs', (0, 0))  # as after a night
  with scratch.folder():
    pass
  assert (run / 'metrics.jsonl').read_text() == '{}'
  assert (home / 'ferjax-link').exists()


def test_nothing_but_folders_of_ours_is_touched(home):
  (home / 'ferjax-file').touch()
  with scratch.folder():
    pass
  assert [path.name for path in home.iterdir()] == ['ferjax-file']
