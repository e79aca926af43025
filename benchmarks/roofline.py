r"""Where the time of a training step goes, against the machine's own ceilings.

python benchmarks/roofline.py
python benchmarks/roofline.py --networks=resnet50 --batch_sizes=512,1024 \
    --trace=traces

Two ceilings are measured in the same run: the quickest product of square
matrices, and a pass over a large array. A step can be no quicker than its
FLOPs at the one rate, nor than its bytes at the other; the longer of the two
times over the real one is its share of the roofline. With --trace the profiler
watches a few steps and tells how long a GPU waited between its kernels.

FLOPs are those of convolutions and matrix products (products.py). Bytes are
XLA's estimate (traffic.py), in which a fused loop reads its inputs and writes
its outputs once; what a CPU finds in its caches counts like the rest. Of
several devices, all figures but images/s are those of one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags
import ceilings
import clock
import gaps
import jax
import products
import traffic
import trial

from ferjax import cli, models, parallel


class Case(NamedTuple):
  """A step to be timed; `ours` is None where it needs too much memory."""

  network: str
  batch_size: int
  ours: trial.Trial | None = None
  flops: int = 0  # of a step
  num_bytes: float | None = None  # likewise


def main(argv: Sequence[str]) -> None:
  """Measures, prints a table and writes the figures."""
  del argv
  given = flags.FLAGS
  parallel.use_compilation_cache()
  on_cpu = jax.default_backend() == 'cpu'
  dtype = given.dtype or ('float32' if on_cpu else 'bfloat16')
  sizes = [16] if on_cpu else [2**n for n in range(7, 13)]
  if given.batch_sizes:
    sizes = clock.numbers('batch_sizes', given.batch_sizes)
  print(
    f'{clock.machine()}\ntraining steps, {dtype}, against the ceilings of the '
    'same run\n'
  )
  cases = [
    prepare(name, size, dtype) for name in given.networks for size in sizes
  ]
  figures = measure(
    cases,
    ceilings.matrices(models.DTYPES[dtype]),
    ceilings.memory(),
    given.rounds,
    given.seconds,
  )
  if given.trace:
    for case, row in zip(cases, figures['steps'], strict=True):
      if case.ours:
        own = cli.path(given.trace) / f'{case.network}-{case.batch_size}'
        row['idle'] = gaps.watch(case.ours.train, own)
  print(table(figures))
  clock.write(given.output, figures)


def prepare(network: str, batch_size: int, dtype: str) -> Case:
  """Compiles a step, makes one, and counts what it does.

  Raises:
    UserError: when there is no such network.
  """
  ours = trial.Trial(trial.make_config(network, batch_size, dtype))
  found = products.find(ours.jaxpr)
  flops = sum(times * product.flops for product, times in found.items())
  try:
    jax.block_until_ready(ours.train())
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    return Case(network, batch_size)
  return Case(
    network, batch_size, ours, flops, traffic.num_bytes(ours.compiled)
  )


def measure(
  cases: Sequence[Case],
  matrices: Sequence[ceilings.Ceiling],
  memory: ceilings.Ceiling,
  rounds: int,
  seconds: float,
) -> dict[str, Any]:
  """Times the steps and the ceilings in turn.

  Args:
    cases: of `prepare`.
    matrices: of which the quickest is the ceiling of FLOP/s.
    memory: the ceiling of bytes/s.
    rounds: in which everything has one turn.
    seconds: of a turn; one call at least.

  Returns:
    Both ceilings and, in `steps`, what `place` tells of each case.
  """
  works = {str(i): case.ours.train for i, case in enumerate(cases) if case.ours}
  works |= {f'matrix {i}': each.work for i, each in enumerate(matrices)}
  works['memory'] = memory.work
  times = clock.take_turns(works, rounds, seconds)
  matrix_rate = max(
    each.amount / times[f'matrix {i}'] for i, each in enumerate(matrices)
  )
  memory_rate = memory.amount / times['memory']
  return {
    'flops_per_second': matrix_rate,
    'bytes_per_second': memory_rate,
    'steps': [
      place(case, times.get(str(i)), matrix_rate, memory_rate)
      for i, case in enumerate(cases)
    ],
  }


def place(
  case: Case, seconds: float | None, matrix_rate: float, memory_rate: float
) -> dict[str, Any]:
  """Returns where a step stands below the two roofs.

  Args:
    case: what it does.
    seconds: that it takes; None where it was too large to run.
    matrix_rate: FLOP/s at best.
    memory_rate: bytes/s at best.
  """
  row = {'network': case.network, 'batch_size': case.batch_size}
  row |= {'seconds': seconds, 'flops': case.flops, 'bytes': case.num_bytes}
  if seconds is None:
    return row
  shares = {'matrix': case.flops / matrix_rate / seconds}
  if case.num_bytes is not None:
    shares['memory'] = case.num_bytes / memory_rate / seconds
  roof = max(shares, key=shares.get)
  return row | {'shares': shares, 'roof': roof, 'roofline': shares[roof]}


def table(figures: Mapping[str, Any]) -> str:
  """Returns the ceilings in a line and a row a step, as Markdown."""
  steps = figures['steps']
  has_idle = any(row.get('idle') is not None for row in steps)
  header = [
    'network',
    'batch',
    'ms',
    'images/s',
    'TFLOP/s',
    'of matrix rate',
    'GB/s',
    'of memory rate',
    'bound by',
    'of roofline',
    *(['idle'] if has_idle else []),
  ]
  return (
    f'ceilings: {figures["flops_per_second"] / 1e12:.3g} TFLOP/s, '
    f'{figures["bytes_per_second"] / 1e9:.4g} GB/s\n\n'
    + clock.markdown(header, (_cells(row, len(header)) for row in steps))
  )


def _cells(row: Mapping[str, Any], columns: int) -> list[str]:
  cells = [row['network'], str(row['batch_size'])]
  seconds = row['seconds']
  if seconds is None:
    cells.append('too large')
  else:
    moved = row['bytes']
    memory = row['shares'].get('memory')
    cells += [
      f'{1e3 * seconds:.4g}',
      f'{row["batch_size"] / seconds:,.0f}',
      f'{row["flops"] / seconds / 1e12:.3g}',
      f'{row["shares"]["matrix"]:.0%}',
      '-' if moved is None else f'{moved / seconds / 1e9:.4g}',
      '-' if memory is None else f'{memory:.0%}',
      row['roof'],
      f'{row["roofline"]:.0%}',
    ]
    if row.get('idle') is not None:
      cells.append(f'{row["idle"]:.1%}')
  return cells + ['-'] * (columns - len(cells))


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  flags.DEFINE_list(
    'networks',
    'densenet121,resnet18,resnet50,vgg_fer',
    'The networks, of those of ferjax.models.',
  )
  flags.DEFINE_list(
    'batch_sizes',
    None,
    'Images a step; by default 16 on a CPU, else 128 to 4096, doubling.',
  )
  flags.DEFINE_enum(
    'dtype',
    None,
    sorted(models.DTYPES),
    'Of the computation; by default float32 on a CPU, else bfloat16.',
  )
  flags.DEFINE_integer('rounds', 5, 'Turns of each work.', lower_bound=1)
  flags.DEFINE_float('seconds', 1.0, 'Of a turn; one call at least.')
  flags.DEFINE_string('trace', None, 'A folder for traces of steps.')
  flags.DEFINE_string('output', None, 'A JSON file for the figures.')


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
