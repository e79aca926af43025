"""Processes that fail together, and of one kind."""

import errno

import pytest

from ferjax import parallel
from ferjax.errors import RetryError, TrainingError, UserError


def fail(folder, error=None):
  with parallel.together(folder):
    if error:
      raise error


@pytest.mark.parametrize(
  ('code', 'kind'),
  [
    (errno.ENOSPC, RetryError),
    (errno.EDQUOT, RetryError),
    (errno.EIO, RetryError),
    (errno.ESTALE, RetryError),
    (errno.EACCES, UserError),
    (errno.ENOENT, UserError),
  ],
)
def test_what_another_try_may_get_over(tmp_path, code, kind):
  with pytest.raises(kind, match=f'{tmp_path}: .*it is so'):
    fail(tmp_path, OSError(code, 'it is so'))
  with pytest.raises(kind, match=r"so: '/x'$"):
    fail(tmp_path, OSError(code, 'it is so', '/x'))


@pytest.mark.parametrize('kind', [UserError, RetryError])
def test_the_others_fail_of_the_same_kind(tmp_path, monkeypatch, kind):
  """As if another process had failed, and this one had not."""
  monkeypatch.setattr(parallel, 'max_over_processes', lambda _: kind.status)
  with pytest.raises(kind, match='another process failed'):
    fail(tmp_path)
  with pytest.raises(RetryError, match='full'):
    fail(tmp_path, RetryError('full'))


def test_without_a_failure_all_go_on(tmp_path):
  fail(tmp_path)
  with pytest.raises(TrainingError):
    fail(tmp_path, TrainingError())
