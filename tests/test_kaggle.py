import builtins
import sys
import types

import pytest

from ferjax.data import ckplus, fer2013, kaggle
from ferjax.errors import UserError


def stand_in(monkeypatch, download):
  """Puts a module with this download call in kagglehub's place."""
  module = types.ModuleType('kagglehub')
  module.dataset_download = download
  monkeypatch.setitem(sys.modules, 'kagglehub', module)


@pytest.mark.parametrize('name', ['fer2013', 'ckplus'])
def test_it_fetches_what_the_readers_speak_of(tmp_path, monkeypatch, name):
  asked = []

  def download(handle):
    asked.append(handle)
    return str(tmp_path)

  stand_in(monkeypatch, download)
  assert kaggle.fetch(name) == tmp_path
  where = {'fer2013': fer2013, 'ckplus': ckplus}[name].HOW_TO_GET
  assert f'kaggle.com/datasets/{asked[0]}' in where


@pytest.mark.parametrize(
  ('error', 'words'),
  [
    (ConnectionError('Max retries\nexceeded'), 'Max retries exceeded'),
    (PermissionError(), 'PermissionError'),
    (RuntimeError('403 Client Error.\n\nYou ' + 'x' * 900), '403 Client Error'),
  ],
)
def test_what_stops_it_is_one_line_with_what_to_do(monkeypatch, error, words):
  def download(handle):
    raise error

  stand_in(monkeypatch, download)
  with pytest.raises(UserError, match=words) as caught:
    kaggle.fetch('fer2013')
  message = str(caught.value)
  assert '\n' not in message
  assert len(message) < 600
  assert 'download kaggle.com/datasets/msambare/fer2013 in a br' in message


def test_a_missing_library_is_named(monkeypatch):
  real = builtins.__import__

  def without(name, *rest):
    if name == 'kagglehub':
      raise ModuleNotFoundError(name)
    return real(name, *rest)

  monkeypatch.setattr(builtins, '__import__', without)
  with pytest.raises(UserError, match=r'pip install "ferjax\[kaggle\]", or do'):
    kaggle.fetch('ckplus')


@pytest.mark.parametrize('name', ['mnist', 'folders', 'ferplus'])
def test_other_data_sets_are_not_fetched(name):
  with pytest.raises(UserError, match=f'fer2013 and ckplus, not {name}'):
    kaggle.fetch(name)
