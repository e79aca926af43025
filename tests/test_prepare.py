import pathlib
import subprocess
import sys
import tarfile
import time
import types
import zipfile

from absl import flags
from absl.testing import flagsaver
import numpy as np
import pytest
from test_folders import SEVEN
from test_folders import make as make_folders
from test_mnist import write_files

from ferjax import data, prepare
from ferjax.config import default_config
from ferjax.data import fer2013, mnist
from ferjax.errors import UserError

SHARED = pathlib.Path(__file__).parents[2] / 'shared'


def write_csv(path, num_rows=30, bad_rows=0):
  pixels = np.random.default_rng(0).integers(0, 256, (num_rows, 2304))
  lines = ['emotion,pixels,Usage']
  for i, row in enumerate(pixels):
    usage = 'PublicTest' if i % 3 == 2 else 'Training'
    lines.append(f'{i % 7},{" ".join(map(str, row))},{usage}')
  lines += ['9,1 2 3,Training'] * bad_rows
  path.write_text('\n'.join(lines))
  return path


def run(tmp_path, source, **values):
  values = {'dataset': 'fer2013', 'data_dir': str(tmp_path / 'data'), **values}
  with flagsaver.flagsaver(source=str(source), **values):
    prepare.main(['prepare'])


def load(tmp_path, name='fer2013'):
  config = default_config().data
  config.name = name
  config.dir = str(tmp_path / 'data')
  return data.load_dataset(config, ['train', 'validation'])


def rows_of_table(text):
  return [line.split() for line in text.splitlines()]


def test_it_prepares_and_prints_every_count(tmp_path, capsys, monkeypatch):
  published = {
    'train': (4, 3, 2, 3, 3, 2, 3),
    'validation': (1, 2, 1, 1, 1, 2, 1006),
  }
  monkeypatch.setattr(fer2013, 'PUBLISHED', published)
  run(tmp_path, write_csv(tmp_path / 'fer2013.csv'))
  output = capsys.readouterr().out
  dataset = load(tmp_path)
  assert [len(split) for split in dataset.splits.values()] == [20, 10]
  table = rows_of_table(output)
  assert ['class', 'train', 'validation'] in table
  assert ['angry', '4', '1'] in table
  assert ['fear', '2', '2', '(+1)'] in table
  assert ['neutral', '3', '1', '(-1,005)'] in table
  assert ['all', '20', '10', '(-1,004)'] in table
  assert f'{dataset.source}: the counts of validation are not the pub' in output
  assert 'no test split: PrivateTest was not in the source' in output
  assert 'written to' in output


@pytest.mark.parametrize('skip', [True, False])
def test_from_a_bucket_to_a_bucket(store, tmp_path, capsys, skip):
  write_csv(tmp_path / 'fer2013.csv', bad_rows=1)
  text = (tmp_path / 'fer2013.csv').read_bytes()
  store.put_object('ferjax/raw/fer2013.csv', text)
  arguments = tmp_path, 's3://ferjax/raw/fer2013.csv'
  if not skip:
    with pytest.raises(
      UserError, match=r'^s3://ferjax/raw/fer2013\.csv, line 32'
    ):
      run(*arguments, data_dir='s3://ferjax/data')
    return
  run(*arguments, data_dir='s3://ferjax/data', skip_bad_rows=True)
  output = capsys.readouterr().out
  assert 'written to s3://ferjax/data/fer2013/1.0.0' in output
  assert 's3://ferjax/raw/fer2013.csv, line 32: ' in output
  assert '/tmp' not in output
  config = default_config().data
  config.name, config.dir = 'fer2013', 's3://ferjax/data'
  dataset = data.load_dataset(config, ['train'])
  assert len(dataset.splits['train']) == 20
  assert dataset.source == 'FER2013 from s3://ferjax/raw/fer2013.csv'


def test_a_folder_of_pictures_in_a_bucket(store, tmp_path, capsys):
  drawn = make_folders(tmp_path / 'faces', SEVEN, 5)
  for path in drawn:
    name = path.relative_to(tmp_path)
    store.put_object(f'ferjax/{name}', path.read_bytes())
  run(tmp_path, 'gs://ferjax/faces', dataset='folders')
  dataset = load(tmp_path, 'folders')
  assert dataset.source == 'class folders from gs://ferjax/faces'
  found = {image.tobytes() for image in dataset.splits['train'].images}
  assert found < {pixels.tobytes() for pixels in drawn.values()}


def test_mnist(tmp_path, capsys, monkeypatch):
  published = {'train': (6,) * 9 + (26,), 'test': (1,) * 10}
  monkeypatch.setattr(mnist, 'PUBLISHED', published)
  source = tmp_path / 'idx'
  source.mkdir()
  run(tmp_path, write_files(source), dataset='mnist', seed=2)
  output = capsys.readouterr().out
  dataset = load(tmp_path, 'mnist')
  assert [len(split) for split in dataset.splits.values()] == [50, 10]
  assert dataset.image_shape == (28, 28, 1)
  table = rows_of_table(output)
  assert ['class', 'train', 'validation', 'test'] in table
  assert ['0', '5', '1', '2', '(+1)'] in table
  assert ['9', '5', '(-18)', '1', '(-2)', '1'] in table
  assert ['all', '50', '(-18)', '10', '(-2)', '12', '(+2)'] in table
  note = 'a tenth of each class of train, drawn with seed 2'
  assert f'note: MNIST has no validation split: it is {note}' in output
  assert note in dataset.notes[0]


def test_folders_and_their_flags(tmp_path, capsys):
  source = tmp_path / 'faces'
  make_folders(source, ('Happiness', '[bold]', 'SAD'), 10, mode='RGB')
  values = {'dataset': 'folders', 'color': 'gray', 'seed': 4}
  run(tmp_path, source, image_size=24, name='my_faces', **values)
  output = capsys.readouterr().out
  dataset = load(tmp_path, 'my_faces')
  assert dataset.class_names == ('happy', 'sad', '[bold]')
  assert dataset.image_shape == (24, 24, 1)
  assert [len(split) for split in dataset.splits.values()] == [24, 3]
  table = rows_of_table(output)
  assert ['class', 'train', 'validation', 'test'] in table
  assert ['[bold]', '8', '1', '1'] in table
  assert ['all', '24', '3', '3'] in table
  assert f'class folders from {source}\n' in output  # no published counts
  assert 'note: of 30 images: made grey 30, shrunk 30' in output
  assert 'drawn with seed 4' in output
  assert f'written to {tmp_path}/data/my_faces/' in output
  run(tmp_path, source, dataset='folders')
  assert load(tmp_path, 'folders').image_shape == (48, 48, 3)


def test_ferplus_and_its_votes(tmp_path, capsys):
  votes = ['Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust']
  votes[0] += ',fear,contempt,unknown,NF'
  for i in range(30):
    usage = 'PublicTest' if i % 3 == 2 else 'Training'
    votes.append(f'{usage},fer{i:07}.png,9,0,0,0,1,0,0,0,0,0')
  (tmp_path / 'fer2013new.csv').write_text('\n'.join(votes))
  source = write_csv(tmp_path / 'fer2013.csv')
  values = {'dataset': 'ferplus', 'votes': str(tmp_path / 'fer2013new.csv')}
  run(tmp_path, source, **values)
  output = capsys.readouterr().out
  assert ['all', '20', '(-28,689)', '10', '(-3,579)'] in rows_of_table(output)
  assert 'majority 20 train, 10 validation' in output
  dataset = load(tmp_path, 'ferplus')
  assert (dataset.splits['train'].labels == 6).all()  # all voted for neutral


def test_ckplus_and_its_flags(tmp_path, capsys):
  source = tmp_path / 'CK+48'
  make_folders(source, ('anger', 'sadness'), name='S{:03}_001_00000008.png')
  run(tmp_path, source, dataset='ckplus', image_size=32)
  assert 'CK+48 from' in capsys.readouterr().out
  with pytest.raises(UserError, match='already prepared; --overwrite'):
    run(tmp_path, source, dataset='ckplus')
  with pytest.raises(UserError, match='--crop=middle: must be one of'):
    run(tmp_path, source, dataset='ckplus', crop='middle', name='other')
  info = tmp_path / 'data' / 'ckplus' / '1.0.0' / 'features.json'
  assert info.read_text().count('"32"') == 2


def test_what_kaggle_holds_is_fetched(tmp_path, capsys, monkeypatch):
  cache = tmp_path / 'cache'
  for top, usage in (('train', 'Training'), ('test', 'PublicTest')):
    make_folders(cache / top, SEVEN, 2, name=usage + '_{}.png')
  handles = []
  module = types.ModuleType('kagglehub')
  module.dataset_download = lambda h: handles.append(h) or str(cache)
  monkeypatch.setitem(sys.modules, 'kagglehub', module)
  run(tmp_path, 'kaggle')
  assert handles == ['msambare/fer2013']
  assert f'FER2013 from {cache}:' in capsys.readouterr().out
  assert load(tmp_path).image_shape == (48, 48, 1)
  with pytest.raises(UserError, match='fetches fer2013 and ckplus, not mnist'):
    run(tmp_path, 'kaggle', dataset='mnist')


def test_bad_rows_are_counted_and_listed(tmp_path, capsys):
  source = write_csv(tmp_path / 'fer2013.csv', bad_rows=23)
  with pytest.raises(UserError, match=r'fer2013\.csv, line 32: emotion'):
    run(tmp_path, source)
  run(tmp_path, source, skip_bad_rows=True)
  output = capsys.readouterr().out
  assert 'note: bad rows of the source left out: 23' in output
  assert f"left out: {source}, line 32: emotion '9' is not" in output
  assert 'left out: 3 more' in output
  assert 'left out: 23' in load(tmp_path).notes[0]


def test_nothing_is_read_for_a_target_that_is_there(tmp_path):
  source = write_csv(tmp_path / 'fer2013.csv')
  run(tmp_path, source)
  before = load(tmp_path).describe()
  with pytest.raises(UserError, match='already prepared; --overwrite'):
    run(tmp_path, tmp_path / 'nothing')
  with pytest.raises(UserError, match='no such file'):
    run(tmp_path, tmp_path / 'nothing', overwrite=True)
  assert load(tmp_path).describe() == before
  run(tmp_path, write_csv(source, num_rows=40), overwrite=True)
  assert load(tmp_path).describe() != before


@pytest.mark.parametrize(
  ('values', 'words'),
  [
    (
      {'dataset': 'fer'},
      '--dataset=fer: must be one of fer2013, ferplus, ckplus, folders, mn',
    ),
    ({'dataset': None}, '--dataset=: must be one of'),
    ({'source': ''}, '--source=PATH is missing'),
    ({'source': '~nobody-at-all/data'}, '~nobody-at-all/data: no such file'),
    ({'source': 'x' * 300}, 'cannot read x.*: File name too long'),
    ({'data_dir': '/dev/null/data'}, 'cannot make /dev/null'),
    (
      {'crop': 'none'},
      '--crop: is for --dataset=ckplus, not for fer2013',
    ),
    ({'neutral': False}, '--neutral: is for --dataset=ckplus, not for fer2'),
    ({'votes': 'x'}, '--votes: is for --dataset=ferplus, not'),
    ({'color': 'rgb'}, '--color: is for --dataset=folders, not'),
    ({'image_size': 48}, '--image_size: is for --dataset=ckplus and folders'),
    ({'dataset': 'ckplus', 'seed': 0}, '--seed: is for .* not for ckplus'),
    ({'dataset': 'ferplus'}, '--votes=FILE is missing: fer2013new'),
    ({'dataset': 'ferplus', 'votes': ''}, '--votes=FILE is missing'),
    ({'name': 'ckextended'}, '--name=ckextended: is the name of another'),
    ({'name': 'mnist'}, '--name=mnist: is the name of another data set'),
    ({'name': 'synthetic'}, '--name=synthetic: is the name of another'),
    ({'name': 'My-Faces'}, '--name=My-Faces: must be of the letters a-z'),
    ({'name': '../faces'}, '--name=../faces: must be of the letters a-z'),
  ],
)
def test_wrong_flags_are_named(tmp_path, values, words):
  with pytest.raises(UserError, match=words):
    run(tmp_path, **{'source': tmp_path, **values})


@pytest.mark.parametrize('name', ['faces.zip', 'faces.tar.gz'])
@pytest.mark.parametrize('dataset', prepare.SOURCES)
def test_no_archive_is_unpacked(tmp_path, dataset, name):
  """So nothing in one can be written to where its name says."""
  source, inside = tmp_path / 'home' / name, tmp_path / 'happy.png'
  source.parent.mkdir()
  inside.write_bytes(b'x')
  if name.endswith('.zip'):
    with zipfile.ZipFile(source, 'w') as archive:
      archive.write(inside, '../happy/1.png')
  else:
    with tarfile.open(source, 'w:gz') as archive:
      archive.add(inside, '../happy/1.png')
  more = {'votes': str(source)} if dataset == 'ferplus' else {}
  words = 'line 1: expected the columns' if more else 'not a (csv file|folder)'
  with pytest.raises(UserError, match=rf'{name}\W+{words}'):
    run(tmp_path, source, dataset=dataset, **more)
  assert not list(tmp_path.rglob('1.png'))


def test_a_file_of_any_name_is_told_of_in_one_line(tmp_path):
  folder = tmp_path / 'faces' / 'a\nb\x1b[31m\udcff'
  folder.mkdir(parents=True)
  (folder / 'c\rd.png').touch()
  (tmp_path / 'faces' / 'train').mkdir()
  for dataset in ('folders', 'fer2013', 'ckplus'):
    with pytest.raises(UserError) as error:
      run(tmp_path, tmp_path / 'faces', dataset=dataset)
    assert str(error.value).isprintable()


def test_ckextended_is_not_to_be_named_ckplus(tmp_path):
  source = write_csv(tmp_path / 'ckextended.csv')
  with pytest.raises(UserError, match='--name=ckplus: is the name of another'):
    run(tmp_path, source, dataset='ckplus', name='ckplus')
  run(tmp_path, source, dataset='ckplus', name='ckextended')
  assert len(load(tmp_path, 'ckextended').splits['train']) == 20


def test_a_negative_seed_is_refused():
  with (
    pytest.raises(flags.IllegalFlagValueError, match='seed=-1'),
    flagsaver.as_parsed(seed='-1'),
  ):
    pass


@pytest.mark.skipif(
  not pathlib.Path('/proc/self/mem').exists(), reason='needs Linux'
)
def test_a_broken_disk_is_one_line(tmp_path):
  source = tmp_path / 'fer2013.csv'
  source.symlink_to('/proc/self/mem')  # its first byte cannot be read
  with pytest.raises(UserError, match=f'cannot read {source}: Input/output'):
    run(tmp_path, source)


def test_a_killed_run_leaves_the_old_data_set(tmp_path):
  run(tmp_path, write_csv(tmp_path / 'old.csv'))
  before = load(tmp_path).describe()
  source = tmp_path / 'new.csv'
  header, row, *_ = (tmp_path / 'old.csv').read_text().splitlines()
  source.write_text('\n'.join([header, *[row] * 5000]))
  command = [sys.executable, '-m', 'ferjax.prepare', '--dataset=fer2013']
  command += [f'--source={source}', f'--data_dir={tmp_path}/data']
  process = subprocess.Popen([*command, '--overwrite'])
  workspace = tmp_path / 'data' / 'fer2013' / '.incomplete'
  with process:
    while not list(workspace.glob('**/*train*')):
      assert process.poll() is None
      time.sleep(0.001)
    process.kill()
  assert workspace.exists()  # it was at work
  assert load(tmp_path).describe() == before
  run(tmp_path, tmp_path / 'old.csv', overwrite=True)
  assert load(tmp_path).describe() == before
  assert not workspace.exists()


def test_the_command_fails_in_one_line(tmp_path):
  (tmp_path / 'fer2013.csv').touch()
  command = [sys.executable, '-m', 'ferjax.prepare', '--dataset=fer2013']
  command += [f'--source={tmp_path}', f'--data_dir={tmp_path}/data']
  result = subprocess.run(command, capture_output=True, text=True)
  assert result.returncode == 2
  assert result.stdout == ''
  assert result.stderr == f'error: {tmp_path}/fer2013.csv: the file is empty\n'


def test_help_is_quick_and_names_the_flags():
  command = [sys.executable, '-X', 'importtime']
  command += ['-m', 'ferjax.prepare', '--help']
  result = subprocess.run(command, capture_output=True, text=True)
  assert result.returncode == 1  # absl's way
  assert '--[no]skip_bad_rows' in result.stdout
  lines = result.stderr.splitlines()
  imported = {line.split('|')[-1].strip() for line in lines}
  assert 'ferjax.cli' in imported
  assert not {'jax', 'rich', 'tensorflow_datasets'} & imported


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_folders_have_the_published_counts(tmp_path, capsys):
  tool = SHARED / 'tools' / 'make_fer2013.py'
  out = tmp_path / 'folders'
  command = [sys.executable, tool, '--layout=folders', f'--out={out}']
  subprocess.run(command, check=True)
  run(tmp_path, out)
  output = capsys.readouterr().out
  table = rows_of_table(output)
  for name, *counts in zip(
    fer2013.CLASS_NAMES, *fer2013.PUBLISHED.values(), strict=True
  ):
    assert [name, *(f'{n:,}' for n in counts[:2])] in table
  assert ['all', '28,709', '3,589'] in table
  assert f'FER2013 from {out}' in output
  assert ': the counts are the published ones' in output
