"""launch/Dockerfile: lint, what it copies, and the versions it installs."""

import configparser
import fnmatch
import json
import pathlib
import re
import subprocess

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
import pytest
from standins import LAUNCH, SCRIPTS

ROOT = LAUNCH.parent
DOCKERFILE = LAUNCH / 'Dockerfile'


def instructions():
  """Returns (NAME, rest) of each instruction, continued lines joined."""
  lines = DOCKERFILE.read_text().splitlines()
  text = '\n'.join(line for line in lines if not line.startswith('#'))
  text = re.sub(r'\\\n\s*', ' ', text)
  return [line.split(maxsplit=1) for line in text.splitlines() if line]


def last_stage():
  """Returns the instructions from the last FROM on."""
  found = instructions()
  start = max(i for i, (name, _) in enumerate(found) if name == 'FROM')
  return found[start:]


def requirements():
  """Returns setup.cfg's requirements, `{extra or '': [Requirement, ...]}`."""
  setup = configparser.ConfigParser()
  setup.read(ROOT / 'setup.cfg')
  named = {'': setup['options']['install_requires']}
  named |= setup['options.extras_require']
  return {
    extra: [
      Requirement(line.partition(' #')[0].strip())
      for line in lines.splitlines()
      if line.strip() and not line.startswith('#')
    ]
    for extra, lines in named.items()
  }


def pinned():
  """Returns the versions of launch/constraints.txt by name."""
  lines = (LAUNCH / 'constraints.txt').read_text().splitlines()
  pins = [line.split('==') for line in lines if not line.startswith('#')]
  assert all(len(pin) == 2 for pin in pins)
  return {canonicalize_name(name): Version(version) for name, version in pins}


def test_lint():
  subprocess.run([SCRIPTS / 'hadolint', DOCKERFILE], check=True, timeout=100)


def test_leaves_no_caches():
  commands = [rest for name, rest in instructions() if name == 'RUN']
  pips = re.findall(r'pip (?:install|wheel) +(\S+)', ' '.join(commands))
  assert pips == ['--no-cache-dir'] * 3
  for command in commands:
    assert 'apt-get' not in command or 'rm -rf /var/lib/apt/lists' in command


def is_sent(path):
  """Whether .dockerignore lets a file of the repository into the build."""
  sent = True
  for line in (ROOT / '.dockerignore').read_text().splitlines():
    pattern = line.removeprefix('!').removeprefix('**/')
    parts = [path, *path.parents] if '/' in pattern else path.parts
    if any(fnmatch.fnmatch(str(part), pattern) for part in parts):
      sent = line.startswith('!')
  return sent


def test_copies_exist_and_are_sent():
  copied = []
  for name, rest in instructions():
    if name == 'COPY' and not rest.startswith('--from='):
      copied += rest.split()[:-1]
  assert {'ferjax', 'configs', 'setup.cfg'} <= set(copied)
  for source in copied:
    assert (ROOT / source).exists(), source
    assert is_sent(pathlib.Path(source)), source
  assert is_sent(pathlib.Path('ferjax/main.py'))
  for kept_out in ('runs', '.git', 'tests', 'ferjax/__pycache__/main.pyc'):
    assert not is_sent(pathlib.Path(kept_out)), kept_out


def test_extras_exist():
  (command,) = (rest for name, rest in instructions() if 'EXTRA}' in rest)
  choices = re.search(r'in ([a-z |]+)\) ;;', command)[1].split(' | ')
  (_, default) = next(i for i in instructions() if i[1].startswith('EXTRA='))
  assert default.removeprefix('EXTRA=') in choices
  assert {*choices, 'gcs'} <= requirements().keys()
  assert '".[${EXTRA},gcs]"' in command


@pytest.mark.parametrize(('extra', 'status'), [('cpu', 0), ('gpu', 2)])
def test_unknown_extra_ends_the_build(extra, status):
  (command,) = (rest for name, rest in instructions() if 'EXTRA}' in rest)
  check = command.partition('&&')[0]
  done = subprocess.run(
    ['sh', '-c', check],
    env={'EXTRA': extra},
    capture_output=True,
    text=True,
    timeout=100,
  )
  assert done.returncode == status
  assert ('EXTRA=gpu is unknown' in done.stderr) == bool(status)


@pytest.mark.parametrize('extra', ['', 'cpu', 'cuda', 'tpu', 'gcs'])
def test_constraints_meet_what_setup_asks_for(extra):
  versions = pinned()
  for requirement in requirements()[extra]:
    version = versions[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), requirement


def test_constraints_are_of_one_release_of_jax():
  versions = pinned()
  ours = {
    version for name, version in versions.items() if name.startswith('jax')
  }
  assert len(ours) == 1
  assert {'jaxlib', 'jax-cuda13-plugin', 'libtpu'} <= versions.keys()


def test_runs_as_somebody_and_hears_signals():
  stage = last_stage()
  users = [rest for name, rest in stage if name == 'USER']
  assert users == ['10001:10001']
  ((name, entry),) = [i for i in stage if i[0] in ('ENTRYPOINT', 'CMD')]
  assert name == 'ENTRYPOINT'
  # As JSON, without a shell between, and below an init that passes signals on.
  assert json.loads(entry) == ['tini', '--', 'python', '-m', 'ferjax.main']
  assert any('PYTHONUNBUFFERED=1' in rest for name, rest in stage)
  base = next(rest for name, rest in instructions() if name == 'ARG')
  assert re.fullmatch(r'BASE=python:\d+\.\d+\.\d+-slim-[a-z]+', base)
  assert [rest for name, rest in instructions() if name == 'FROM'] == [
    '${BASE} AS build',
    '${BASE}',
  ]
