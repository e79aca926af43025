"""A workdir says what it holds, and refuses to become another run."""

import errno
import json

import pytest

from ferjax import config as config_lib
from ferjax import workdir
from ferjax.errors import RetryError, UserError

DATASET = {
  'name': 'synthetic',
  'class_names': ['happy', 'sad'],
  'image_shape': [48, 48, 1],
  'splits': {'train': {'num_examples': 9, 'content_hash': 'aa'}},
}


def test_the_same_run_may_go_on(tmp_path):
  config = config_lib.default_config()
  for interval in (50, 7):  # what changes no result
    config.log_every_steps = interval
    workdir.claim(tmp_path, config, DATASET)
  assert workdir.read_config(tmp_path).to_dict() == config.to_dict()
  assert workdir.read_dataset(tmp_path) == DATASET
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    'config.json',
    'dataset.json',
  ]


def test_other_content_of_the_data_is_refused(tmp_path):
  config = config_lib.default_config()
  workdir.claim(tmp_path, config, DATASET)
  other = json.loads(json.dumps(DATASET))
  other['splits']['train'].update(num_examples=8, content_hash='bb')
  with pytest.raises(UserError, match='9 examples of content aa, now 8 of bb'):
    workdir.claim(tmp_path, config, other)
  assert workdir.read_dataset(tmp_path) == DATASET


def test_a_file_in_the_way_is_one_line(tmp_path):
  (tmp_path / 'run').touch()
  with pytest.raises(UserError, match='cannot write to the workdir') as error:
    workdir.create(tmp_path / 'run')
  assert 'give another --workdir' in str(error.value)


def test_a_full_disk_may_be_tried_again(tmp_path, monkeypatch):
  def refuse(folder):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(workdir.storage, 'make_folder', refuse)
  with pytest.raises(
    RetryError, match=r'run \(No space left on device\); give'
  ):
    workdir.create(tmp_path / 'run')


@pytest.mark.parametrize(
  'text',
  [
    *('{', '{"sede": 1}', '{"seed": "x"}', '[]', '1', 'null', '{"model": 5}'),
    *('{"seed": {"a": 1}}', '{"seed": [1]}'),
  ],
)
def test_a_broken_config_is_one_line(tmp_path, text):
  (tmp_path / 'config.json').write_text(text)
  with pytest.raises(UserError, match='is not a config') as error:
    workdir.read_config(tmp_path)
  assert '\n' not in str(error.value)


def test_no_workdir_at_all(tmp_path):
  with pytest.raises(UserError, match=r'is .* the --workdir of a training'):
    workdir.read_config(tmp_path / 'nothing')


@pytest.mark.parametrize(
  'change',
  [
    {'image_shape': [48, 48]},
    {'image_shape': [48, 0, 1]},
    {'image_shape': '48,'},
    {'class_names': []},
    {'class_names': [1, 2]},
    {'splits': [1]},
    {'splits': {'train': 9}},
    {'notes': 5},
    {'name': None},
  ],
)
def test_a_broken_description_of_the_data_is_one_line(tmp_path, change):
  (tmp_path / 'dataset.json').write_text(json.dumps(DATASET | change))
  with pytest.raises(UserError, match='does not describe a data set'):
    workdir.read_dataset(tmp_path)


@pytest.mark.parametrize('name', ['config.json', 'dataset.json'])
def test_what_is_no_text_is_one_line(tmp_path, name):
  (tmp_path / name).write_bytes(b'{"\xff\xfe": 1}')
  read = {
    'config.json': workdir.read_config,
    'dataset.json': workdir.read_dataset,
  }[name]
  with pytest.raises(UserError, match=f'{name} is damaged') as error:
    read(tmp_path)
  assert '\n' not in str(error.value)
