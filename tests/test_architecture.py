"""Imports run strictly downward, and heavy libraries have one door each."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent / 'ferjax'

# From the ground up; a file imports from lines above its own, or, within a
# package's line, from its siblings.
LAYERS = (
  'defaults documents errors gpus heap interrupts keeping scratch statistics'
  ' tables train_state',
  'clients peers',
  'storage',
  'appended failures lock pages transfer',
  'config damage events plots views',
  'cli durations logs mirror parallel processes unwritable workdir',
  'checkpoint joining recovery',
  'augment losses data models',
  'backbone muon weights',
  'census metrics optim preprocess',
  'inputs meter',
  'gradients',
  'steps',
  'inference',
  'evaluation exploration origin',
  'run',
  'speed studies',
  'training',
  'train',
  'main evaluate explore prepare compare crossval sweep summary benchmark',
)
LEVEL = {name: i for i, line in enumerate(LAYERS) for name in line.split()}

DOORS = {
  'flax.linen': {'models'},
  'orbax': {'checkpoint', 'keeping', 'mirror'},
  'grain': {'data'},
  'tensorflow_datasets': {'data'},
  'matplotlib': {'plots'},
  'cv2': {'data'},
  'kagglehub': {'data'},
  'tensorboardX': {'events'},
}
FILES = [p for p in sorted(ROOT.rglob('*.py')) if p != ROOT / '__init__.py']


def part(path):
  """Returns `data` for ferjax/data/records.py and `steps` for steps.py."""
  return path.relative_to(ROOT).parts[0].removesuffix('.py')


def imported(path):
  """Yields every module that a file imports, at its top or in a function."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', FILES, ids=str)
def test_imports_run_downward(path):
  own = part(path)
  assert own in LEVEL, f'give {own} a place in LAYERS'
  for module in imported(path):
    names = module.split('.')
    if names[0] == 'ferjax' and names[1] != own:
      assert LEVEL[names[1]] < LEVEL[own], f'{own} imports {module}'
    for library, allowed in DOORS.items():
      if module == library or module.startswith(library + '.'):
        assert own in allowed, f'{own} imports {library}'


def test_every_layer_exists():
  assert set(LEVEL) == {part(path) for path in FILES}
