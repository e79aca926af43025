"""How a process ends: its line, its status, and that it does end."""

import io
import sys

import pytest

from ferjax import cli, failures
from ferjax.errors import RetryError, StorageError, TrainingError, UserError


class ClientError(Exception):
  """As botocore raises."""

  __module__ = 'botocore.exceptions'


class Full(io.TextIOBase):
  """Standard error on a disk that is full."""

  def write(self, text):
    raise OSError(28, 'No space left on device')


class LeftError(Exception):
  """In place of the end of the process."""


@pytest.mark.parametrize(
  ('error', 'explained'),
  [
    (UserError('no such file'), ('no such file', 2)),
    (TrainingError('loss is nan'), ('loss is nan', 3)),
    (RetryError('the disk is full'), ('the disk is full', 4)),
    (StorageError('gone'), ('gone', 4)),
    (KeyboardInterrupt(), ('interrupted', 130)),
    (ClientError('503'), ('a bucket does not answer: 503', 4)),
    (KeyError('x'), None),
  ],
)
def test_every_kind_has_its_line_and_status(error, explained):
  assert failures.explain(error) == explained


@pytest.fixture
def ended(monkeypatch):
  """Gets the statuses with which the process would have ended at once."""
  statuses = []

  def end(status):
    statuses.append(status)
    raise LeftError

  monkeypatch.setattr(failures.os, '_exit', end)
  return statuses


@pytest.mark.parametrize('is_closed', [False, True])
def test_a_line_that_cannot_be_said_keeps_nothing_from_ending(
  monkeypatch, ended, is_closed
):
  def fail(error):
    def main(argv):
      raise error

    return cli._call(main, ['main'], '')

  stderr = Full()
  if is_closed:
    stderr.close()
  monkeypatch.setattr(sys, 'stderr', stderr)
  assert fail(UserError('wrong')) == 2
  with pytest.raises(LeftError):
    fail(RetryError('full'))
  assert ended == [4]


def test_output_that_cannot_be_written_keeps_nothing_from_ending(
  monkeypatch, ended
):
  stdout = Full()
  monkeypatch.setattr(stdout, 'flush', lambda: stdout.write(''), raising=False)
  monkeypatch.setattr(sys, 'stdout', stdout)
  with pytest.raises(LeftError):
    failures.leave(4)
  assert ended == [4]
