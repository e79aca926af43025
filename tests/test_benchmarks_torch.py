"""The race against PyTorch: fair turns, the same networks, one clear error."""

import ast
import contextlib
import importlib
import importlib.util
import pathlib
import subprocess
import sys

import pytest

from ferjax import models
from ferjax.errors import TrainingError, UserError
from ferjax.models import summary

BENCHMARKS = pathlib.Path(__file__).parent.parent / 'benchmarks'

# Takes torch_training.py's place: half a second a step.
FAKE = """
import json, sys
print(json.dumps({'parameters': 1274599, 'setting': 'fake'}), flush=True)
for line in sys.stdin:
  print(json.dumps({'seconds': 0.5 * int(line)}), flush=True)
"""


@pytest.fixture
def against_torch(monkeypatch):
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('against_torch')


@pytest.fixture
def torch_training(monkeypatch):
  pytest.importorskip('torch')
  monkeypatch.syspath_prepend(BENCHMARKS)
  return importlib.import_module('torch_training')


OURS = {'jax', 'clock', 'child', 'sides', 'trial'}
THEIRS = {'torch', 'torch_training', 'torch_networks'}


@pytest.mark.parametrize(
  ('name', 'foreign'),
  [
    ('against_torch', THEIRS),
    ('sides', THEIRS),
    ('torch_training', OURS),
    ('torch_networks', OURS),
  ],
)
def test_neither_process_imports_the_other_side(name, foreign):
  tree = ast.parse((BENCHMARKS / f'{name}.py').read_text())
  names = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names |= {alias.name.split('.')[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names.add(node.module.split('.')[0])
  assert names
  assert not names & foreign


def test_tells_how_to_get_pytorch(against_torch, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(UserError, match=r'not installed.*: pip install torch'):
    against_torch.compare(None, None, rounds=1, seconds=0.0)


def test_unknown_network(against_torch, monkeypatch):
  monkeypatch.setattr(against_torch, 'check_torch', lambda: None)
  with pytest.raises(
    UserError, match=r"resnet19 is unknown; have .*'resnet18'"
  ):
    against_torch.compare(['resnet19'], None, rounds=1, seconds=0.0)


@pytest.mark.slow
def test_race_against_a_process(against_torch, monkeypatch, tmp_path, capsys):
  """All but PyTorch itself: its side takes half a second a step."""
  (tmp_path / 'fake.py').write_text(FAKE)
  monkeypatch.setattr(against_torch.sides, 'SCRIPT', tmp_path / 'fake.py')
  monkeypatch.setattr(against_torch, 'check_torch', lambda: None)
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '1.2')
  (figures,) = against_torch.compare(['simple_cnn'], 8, rounds=1, seconds=0.0)
  assert 'torch 1.2\n' in capsys.readouterr().out
  assert figures['torch_images_per_second'] == pytest.approx(16)
  assert figures['ratio'] == pytest.approx(
    figures['ferjax_images_per_second'] / 16
  )
  table = against_torch.table([figures]).splitlines()
  assert table[-1].startswith('| `simple_cnn` | 1,274,599 | 16.0 | ')
  assert table[-1].endswith(f' | {figures["ratio"]:.2f} | fake |')


class Side:
  """Takes the seconds that it is told, turn by turn."""

  steps_per_call, setting = 1, ''

  def __init__(self, seconds, num_parameters=10):
    self.seconds, self.num_parameters = iter(seconds), num_parameters

  def time(self, calls):
    del calls
    return next(self.seconds)


def race(against_torch, monkeypatch, theirs, ours):
  sides = against_torch.sides
  nobody = contextlib.nullcontext()
  monkeypatch.setattr(sides, 'start_torch', lambda *network: nobody)
  monkeypatch.setattr(sides, 'Theirs', lambda process: theirs)
  monkeypatch.setattr(sides, 'Ours', lambda config: ours)
  return against_torch.race('simple_cnn', 6, rounds=3, seconds=4.0)


def test_the_ratio_is_the_median_of_the_rounds(against_torch, monkeypatch):
  # The machine slows down twofold in each round, which is no matter.
  theirs, ours = Side([1, 1.5, 3, 6]), Side([1, 1, 2, 4])
  figures = race(against_torch, monkeypatch, theirs, ours)
  assert figures['ratio'] == 1.5
  assert figures['torch_images_per_second'] == 2
  assert figures['ferjax_images_per_second'] == 3


def test_other_networks_do_not_race(against_torch, monkeypatch):
  with pytest.raises(TrainingError, match='11 parameters here, 10 in PyTorch'):
    race(against_torch, monkeypatch, Side([]), Side([], num_parameters=11))


def test_a_process_that_stops_is_told(against_torch):
  with (
    subprocess.Popen(
      [sys.executable, '-c', ''], stdout=subprocess.PIPE, text=True
    ) as process,
    pytest.raises(TrainingError, match='PyTorch stopped'),
  ):
    against_torch.sides.Theirs(process)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [  # torchvision's, for the 1,000 classes of ImageNet
    ('resnet18', 11_689_512),
    ('resnet50', 25_557_032),
    ('densenet121', 7_978_856),
  ],
)
def test_as_many_parameters_as_published(torch_training, name, expected):
  networks = torch_training.torch_networks
  network = networks.NETWORKS[name](num_classes=1000, channels=3)
  assert networks.num_parameters(network) == expected


@pytest.mark.parametrize('name', ['resnet18', 'resnet50', 'simple_cnn'])
def test_as_many_operations_as_ours(torch_training, name):
  from torch.utils import flop_counter

  torch, networks = torch_training.torch, torch_training.torch_networks
  with flop_counter.FlopCounterMode(display=False) as counter:
    networks.NETWORKS[name](7, 1).eval()(torch.zeros(1, 1, 48, 48))
  stem = {} if name == 'simple_cnn' else {'stem': 'imagenet'}
  model = models.create_model(name, 7, **stem)
  assert counter.get_total_flops() == summary.count(model, (48, 48, 1)).flops


def test_pytorch_flips_half_and_shifts_all(torch_training):
  torch = torch_training.torch
  torch.manual_seed(0)
  ramp = torch.linspace(0, 1, 48).expand(200, 1, 48, 48)
  changed = torch_training.augment(ramp)
  slopes = changed[:, 0, 24, 30] - changed[:, 0, 24, 18]
  assert 70 < int((slopes < 0).sum()) < 130
  assert torch.allclose(slopes.abs(), torch.tensor(12 / 47))
  middle = changed[:, 0, 24, 23:25].mean(1)
  assert 0.08 < float((middle - 0.5).abs().max()) <= 0.1 * 48 / 47 + 1e-5
  # Edges are repeated: no black bar tells the shift.
  gray = torch.full((50, 1, 48, 48), 0.5)
  assert torch.allclose(torch_training.augment(gray), gray)


def test_pytorch_learns_what_it_is_given(torch_training):
  trainer = torch_training.Trainer('simple_cnn', 8, 'cpu', cores=1)
  assert trainer.setting == '1 of 1 threads'
  assert trainer.num_parameters == 1_274_599
  first = trainer._loss()
  assert trainer.train(12) > 0
  assert trainer._loss() < first
