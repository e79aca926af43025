"""Prepared data sets, ours and others', cut, flipped and retold."""

import contextlib
import io
import json
import shutil
import sys

import guard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mutations import WORDS, Content, broken_bytes, broken_json
import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferjax import data as data_lib
from ferjax.config import default_config
from ferjax.data import raw, records
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError

pytestmark = pytest.mark.stress

few = settings(max_examples=settings().max_examples // 5)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (18, 6, 5, 1), np.uint8)
LABELS = np.arange(18) % 3
NAMES = ('cat', 'dog', 'emu')


class Foreign(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Pictures of PNG, written by tensorflow-datasets alone."""

  VERSION = tfds.core.Version('2.0.0')
  name = 'foreign'

  def _info(self):
    features = {
      'image': tfds.features.Image(shape=(6, 5, 1)),
      'label': tfds.features.ClassLabel(names=list(NAMES)),
    }
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(features)
    )

  def _split_generators(self, dl_manager):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
      buffer = io.BytesIO()
      raw.PIL.Image.fromarray(image[..., 0]).save(buffer, 'PNG')
      buffer.seek(0)
      yield row, {'image': buffer, 'label': int(label)}


@pytest.fixture(scope='module')
def home():
  yield from guard.folder()


@pytest.fixture(scope='module')
def whole(home):
  """The files of two data sets, by name."""
  split = raw.make_split(list(IMAGES[..., 0]), LABELS, range(18))
  own = Dataset('own', NAMES, {'train': split}, 'drawn', ('a note',))
  columns = {'train': {'subject': np.array(['S1', 'S2'] * 9)}}
  records.write(
    raw.Raw(own, {}, {}, ('a row',), columns), str(home), False, lambda _: None
  )
  with contextlib.redirect_stdout(io.StringIO()):
    Foreign(
      data_dir=str(home), file_format='array_record'
    ).download_and_prepare(
      download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
  folders = {'own': home / 'own/1.0.0', 'foreign': home / 'foreign/2.0.0'}
  return {
    name: {path.name: Content(path.read_bytes()) for path in folder.iterdir()}
    for name, folder in folders.items()
  }


def load(home, name, files, version='1.0.0'):
  folder = home / 'broken'
  shutil.rmtree(folder, ignore_errors=True)
  (folder / name / version).mkdir(parents=True)
  for file, content in files.items():
    (folder / name / version / file).write_bytes(content)
  config = default_config().data
  config.name, config.dir = name, str(folder)
  return guard.outcome(lambda: data_lib.load_dataset(config, ('train',)), home)


@given(st.data())
@few
def test_any_file_broken(home, whole, data):
  name = data.draw(st.sampled_from(sorted(whole)))
  files = dict(whole[name])
  broken = data.draw(st.sampled_from([None, *sorted(files)]))
  if broken and broken.endswith('.json'):
    files[broken] = data.draw(broken_json(json.loads(files[broken])))
  elif broken and data.draw(st.booleans()):
    del files[broken]
  elif broken:
    files[broken] = data.draw(broken_bytes(files[broken]))
  found = load(home, name, files)
  if isinstance(found, UserError):
    assert broken
    return
  split = found.splits['train']
  assert split.labels.max() < found.num_classes
  assert broken or found.class_names == NAMES
  assert name != 'own' or not found.class_names[0].isdecimal()
  assert all(isinstance(note, str) for note in found.notes)
  known = {image.tobytes() for image in IMAGES}
  assert {image.tobytes() for image in split.images} <= known
  if not broken and name == 'own':
    assert {image.tobytes() for image in split.images} == known


@pytest.mark.parametrize('name', ['own', 'foreign'])
def test_json_deeper_than_any_parser_goes(home, whole, name):
  """Which `reader.find` meets before the rest: too rare among the others."""
  for file in whole[name]:
    if file.endswith('.json'):
      found = load(home, name, whole[name] | {file: Content(b'[' * 100_000)})
      assert isinstance(found, UserError), file


@given(st.sampled_from(('num', 'names', 'shape', 'class')), st.data())
@few
@example('class', None)
def test_what_the_files_say_of_themselves(home, whole, kind, data):
  """Retold so that all of it is still well formed."""
  files = dict(whole['own'])
  features = json.loads(files['features.json'])
  info = json.loads(files['dataset_info.json'])
  parts = features['featuresDict']['features']
  if kind == 'num':
    info['splits'][0]['shardLengths'] = [
      data.draw(st.sampled_from(('0', '1', '17', '19', '1000', '-1', '9' * 12)))
    ]
  elif kind == 'shape':
    parts['image']['tensor']['shape']['dimensions'] = data.draw(
      st.lists(st.sampled_from(('1', '5', '6', '-1', '99999')), max_size=4)
    )
  elif kind == 'class':
    where = data.draw(WORDS) if data else 'fuzz_was_imported'
    parts['index']['pythonClassName'] = f'{where}.X'
  else:
    parts['label']['classLabel']['numClasses'] = data.draw(
      st.sampled_from(('0', '1', '2', '5', '-1', '1000000'))
    )
  files['features.json'] = json.dumps(features).encode()
  files['dataset_info.json'] = json.dumps(info).encode()
  (home / 'fuzz_was_imported.py').write_text('raise SystemExit(3)')
  sys.path.append(str(home))
  try:
    found = load(home, 'own', files)
  finally:
    sys.path.remove(str(home))
  assert 'fuzz_was_imported' not in sys.modules
  if isinstance(found, UserError):
    return
  split = found.splits['train']
  assert len(split) in (1, 17, 18)
  assert split.labels.max() < found.num_classes
  known = {image.tobytes() for image in IMAGES}
  assert {image.tobytes() for image in split.images} <= known


VERSIONS = st.one_of(
  WORDS, st.sampled_from(('1.0.0', '1.0', '1.0.0.0', '9.9.9', '*.*.*', '1.*.0'))
)


@given(VERSIONS, VERSIONS)
@few
def test_folders_of_any_name(home, whole, config, version):
  for name in (config, version):
    if name in ('', '.', '..') or '/' in name or '\x00' in name:
      return
    if len(name.encode('utf-8', 'surrogatepass')) > 200:
      return
  files = whole['own']
  found = load(home, 'own', files, f'{config}/{version}')
  if not isinstance(found, UserError):
    assert len(found.splits['train']) == 18
