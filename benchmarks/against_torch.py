r"""Races whole training steps against PyTorch's, in turns of one run.

python benchmarks/against_torch.py
python benchmarks/against_torch.py --networks=densenet121 --batch_size=128

Both sides make the same steps on the same kind of images: gray, 48x48, flipped
and shifted on the device, each to zero mean and unit deviation; forward and
backward; SGD with Nesterov's momentum, 5e-4 of decay on kernels. On a CPU in
float32, PyTorch in eager mode with as many threads as are best; on a GPU in
bfloat16, PyTorch compiled. ResNets and DenseNets have the stem of ImageNet.

PyTorch has a process of its own (torch_training.py), which is idle while JAX
works, and the other way round.
"""

from collections.abc import Mapping, Sequence
import importlib.metadata
import importlib.util
import os
import statistics
from typing import Any

from absl import flags
import clock
import jax
import sides
import trial

from ferjax import cli, parallel
from ferjax.errors import TrainingError, UserError

CPU_NETWORKS = ('resnet18', 'densenet121', 'simple_cnn')
GPU_NETWORKS = ('densenet121', 'resnet18', 'resnet50')
NETWORKS = sorted({*CPU_NETWORKS, *GPU_NETWORKS})


def main(argv: Sequence[str]) -> None:
  """Races the networks one by one, prints a table and writes the figures."""
  del argv
  given = flags.FLAGS
  # On a GPU, JAX would take three quarters of the memory that both need.
  os.environ.setdefault('XLA_PYTHON_CLIENT_MEM_FRACTION', '0.45')
  parallel.use_compilation_cache()
  figures = compare(
    given.networks, given.batch_size, given.rounds, given.seconds
  )
  print(table(figures))
  clock.write(given.output, figures)


def compare(
  names: Sequence[str] | None,
  batch_size: int | None,
  rounds: int,
  seconds: float,
) -> list[dict[str, Any]]:
  """Races the networks one by one.

  Args:
    names: of `NETWORKS`; None: those of the device.
    batch_size: images a step; None: that of the device.
    rounds: as in `race`.
    seconds: as in `race`.

  Raises:
    UserError: for an unknown name, more than one GPU, or no PyTorch.
  """
  check_torch()
  on_cpu = jax.default_backend() == 'cpu'
  names = names or (CPU_NETWORKS if on_cpu else GPU_NETWORKS)
  for name in names:
    if name not in NETWORKS:
      raise UserError(f'--networks={name} is unknown; have {NETWORKS}')
  if not on_cpu and jax.device_count() > 1:
    raise UserError('this is for one GPU; set CUDA_VISIBLE_DEVICES=0')
  batch_size = batch_size or (64 if on_cpu else 1024)
  print(
    f'{clock.machine()}; torch {importlib.metadata.version("torch")}\n'
    'training steps with augmentation, '
    f'{_dtype()}, batch {batch_size}\n'
  )
  return [race(name, batch_size, rounds, seconds) for name in names]


def check_torch() -> None:
  """Raises UserError where there is no PyTorch to run against."""
  if importlib.util.find_spec('torch') is None:
    raise UserError(
      'PyTorch is not installed, and only this script needs it: pip install '
      'torch --index-url https://download.pytorch.org/whl/cpu (for a GPU, '
      'pip install torch)'
    )


def race(
  name: str, batch_size: int, rounds: int, seconds: float
) -> dict[str, Any]:
  """Times the two sides of one network in turn.

  Args:
    name: one of `NETWORKS`.
    batch_size: images a step.
    rounds: in which either side has one turn.
    seconds: of a turn, about; one call of the step at least.

  Returns:
    What `table` shows, medians over the rounds.

  Raises:
    TrainingError: when the two are not the same network, or PyTorch fails.
  """
  with sides.start_torch(name, batch_size) as process:
    theirs = sides.Theirs(process)
    config = trial.make_config(name, batch_size, _dtype())
    config.steps_per_call = 0  # as a training has it
    ours = sides.Ours(config)
    if ours.num_parameters != theirs.num_parameters:
      raise TrainingError(
        f'{name} is not the same network: {ours.num_parameters:,} parameters '
        f'here, {theirs.num_parameters:,} in PyTorch'
      )
    both = (theirs, ours)
    calls = [max(1, round(seconds / side.time(1))) for side in both]
    rates = [
      [
        batch_size * side.steps_per_call / side.time(n)
        for side, n in zip(both, calls, strict=True)
      ]
      for _ in range(rounds)
    ]
  return {
    'network': name,
    'batch_size': batch_size,
    'parameters': ours.num_parameters,
    'torch_images_per_second': statistics.median(r for r, _ in rates),
    'ferjax_images_per_second': statistics.median(r for _, r in rates),
    'ratio': statistics.median(our / their for their, our in rates),
    'torch_setting': theirs.setting,
  }


def table(figures: Sequence[Mapping[str, Any]]) -> str:
  """Returns what `race` found of each network, as Markdown."""
  header = (
    'network',
    'parameters, both',
    'PyTorch, images/s',
    'ferjax, images/s',
    'ferjax / PyTorch',
    'PyTorch ran with',
  )
  rows = [
    (
      f'`{row["network"]}`',
      f'{row["parameters"]:,}',
      f'{row["torch_images_per_second"]:,.1f}',
      f'{row["ferjax_images_per_second"]:,.1f}',
      f'{row["ratio"]:.2f}',
      row['torch_setting'],
    )
    for row in figures
  ]
  return clock.markdown(header, rows)


def _dtype() -> str:
  return 'float32' if jax.default_backend() == 'cpu' else 'bfloat16'


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  flags.DEFINE_list(
    'networks',
    None,
    f'Of {", ".join(NETWORKS)}; by default three that suit the device.',
  )
  flags.DEFINE_integer(
    'batch_size',
    None,
    'Images a step; by default 64 on a CPU, 1024 on a GPU.',
    lower_bound=1,
  )
  flags.DEFINE_integer('rounds', 5, 'Turns of either side.', lower_bound=1)
  flags.DEFINE_float('seconds', 3.0, 'Of a turn; one call at least.')
  flags.DEFINE_string('output', None, 'A JSON file for the figures.')


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
