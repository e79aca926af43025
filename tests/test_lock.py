"""A workdir's lock: it keeps others out, and ends with its process."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from ferjax import lock
from ferjax.errors import RetryError, UserError

HOLDER = """
import pathlib, sys, time
from ferjax import lock
with lock.hold(pathlib.Path(sys.argv[1])):
  print('held', flush=True)
  time.sleep(60)
"""


def take(workdir):
  with lock.hold(workdir):
    pass


def test_one_that_is_held_names_its_holder(tmp_path):
  with lock.hold(tmp_path), pytest.raises(UserError) as caught:
    take(tmp_path)
  assert f'{tmp_path} is in use by process {os.getpid()} on ' in str(
    caught.value
  )
  take(tmp_path)  # free again
  assert (tmp_path / lock.NAME).read_text() == ''


def test_one_of_another_machine_may_be_let_go_of_later(tmp_path):
  with lock.hold(tmp_path):
    who = 'process 7 on elsewhere since 2026-01-31 12:00:00'
    (tmp_path / lock.NAME).write_text(who)
    with pytest.raises(RetryError, match=f'{who}, or the lock of a machine'):
      take(tmp_path)
    (tmp_path / lock.NAME).write_text('\x1b[2J')
    with pytest.raises(UserError, match=r'is in use by \\x1b\[2J; stop'):
      take(tmp_path)


def test_it_is_held_on_a_full_disk(tmp_path, monkeypatch):
  def refuse(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(lock.os, 'pwrite', refuse)
  with lock.hold(tmp_path), pytest.raises(UserError, match='another process'):
    take(tmp_path)


def test_it_is_free_after_an_error(tmp_path):
  with pytest.raises(KeyError), lock.hold(tmp_path):
    raise KeyError
  take(tmp_path)


def test_a_dead_process_leaves_none_behind(tmp_path):
  command = [sys.executable, '-c', HOLDER, str(tmp_path)]
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
    assert holder.stdout.readline() == 'held\n'
    with pytest.raises(UserError, match=f'process {holder.pid} '):
      take(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
  take(tmp_path)


def test_without_locks_one_line_says_so(tmp_path, monkeypatch, capsys):
  def refuse(*_):
    raise OSError(errno.ENOLCK, 'No locks available')

  monkeypatch.setattr(fcntl, 'flock', refuse)
  take(tmp_path)
  assert 'cannot be locked (No locks available)' in capsys.readouterr().err
