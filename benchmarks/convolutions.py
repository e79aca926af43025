r"""How near a training step is to the sum of its convolutions, each alone.

python benchmarks/convolutions.py
python benchmarks/convolutions.py --networks=resnet18 --batch_size=16 --full

The very training step is traced, and every convolution and matrix product of
the network, forward and backward, is compiled alone with the same shapes and
parameters. All of them and the whole step take turns. A sum as long as the step
would be a step that costs nothing but its convolutions; the aim is 0.85.

It is meant for CPUs. A GPU is done with a product in hardly more than the 20
microseconds that calling one takes, and the sum would be that of the calls.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
import clock
import products
import trial

from ferjax import cli, models, parallel


def main(argv: Sequence[str]) -> None:
  """Measures the networks one by one, prints and writes the figures."""
  del argv
  given = flags.FLAGS
  parallel.use_compilation_cache()
  print(
    f'{clock.machine()}\n'
    f'training steps, {given.dtype}, batch {given.batch_size}, and their '
    'convolutions and matrix products, each alone\n'
  )
  figures = [
    measure(name, given.batch_size, given.dtype, given.rounds, given.seconds)
    for name in given.networks
  ]
  if given.full:
    for figure in figures:
      print(f'{figure["network"]}\n\n{products_table(figure)}\n')
  print(summary_table(figures))
  clock.write(given.output, figures)


def measure(
  network: str, batch_size: int, dtype: str, rounds: int, seconds: float
) -> dict[str, Any]:
  """Times a network's step and, in the same turns, each product alone.

  Args:
    network: of `models.MODELS`.
    batch_size: images a step.
    dtype: of the computation.
    rounds: in which everything has one turn.
    seconds: of a turn; one call at least.

  Returns:
    `step_seconds`, `sum_seconds` of all products as often as they stand in
    the step, their `flops` and `ratio`, sum over step; in `products`, the same
    of each kind, the longest first.

  Raises:
    UserError: when there is no such network, or the batch does not fit.
  """
  ours = trial.Trial(trial.make_config(network, batch_size, dtype))
  found = products.find(ours.jaxpr)
  works = dict(zip(map(str, found), products.isolate(found), strict=True))
  times = clock.take_turns({'step': ours.train, **works}, rounds, seconds)
  step = times.pop('step')
  kinds = [
    {
      'kind': product.kind,
      'shapes': product.shapes,
      'count': found[product],
      'seconds': time,
      'flops': product.flops,
      'share': found[product] * time / step,
    }
    for product, time in zip(found, times.values(), strict=True)
  ]
  total = sum(kind['count'] * kind['seconds'] for kind in kinds)
  return {
    'network': network,
    'batch_size': batch_size,
    'dtype': dtype,
    'step_seconds': step,
    'sum_seconds': total,
    'ratio': total / step,
    'flops': sum(kind['count'] * kind['flops'] for kind in kinds),
    'products': sorted(kinds, key=lambda kind: -kind['share']),
  }


def summary_table(figures: Sequence[Mapping[str, Any]]) -> str:
  """Returns a row a network, as Markdown."""
  header = (
    'network',
    'products (kinds)',
    'GFLOP',
    'their sum, ms',
    'GFLOP/s',
    'step, ms',
    'sum / step',
  )
  return clock.markdown(
    header,
    (
      (
        figure['network'],
        f'{sum(kind["count"] for kind in figure["products"])} '
        f'({len(figure["products"])})',
        f'{figure["flops"] / 1e9:.1f}',
        f'{1e3 * figure["sum_seconds"]:.1f}',
        _rate(figure['flops'], figure['sum_seconds']),
        f'{1e3 * figure["step_seconds"]:.1f}',
        f'{figure["ratio"]:.2f}',
      )
      for figure in figures
    ),
  )


def products_table(figure: Mapping[str, Any]) -> str:
  """Returns a row a kind of product of one network, as Markdown."""
  header = ('what', 'shapes', 'count', 'ms, each', 'GFLOP/s', 'of the step')
  return clock.markdown(
    header,
    (
      (
        kind['kind'],
        kind['shapes'],
        str(kind['count']),
        f'{1e3 * kind["seconds"]:.3f}',
        _rate(kind['flops'], kind['seconds']),
        f'{kind["share"]:.1%}',
      )
      for kind in figure['products']
    ),
  )


def _rate(flops: int, seconds: float) -> str:
  return f'{flops / seconds / 1e9:.1f}'


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  flags.DEFINE_list(
    'networks',
    'resnet18,densenet121,simple_cnn',
    'The networks, of those of ferjax.models.',
  )
  flags.DEFINE_integer('batch_size', 32, 'Images a step.', lower_bound=1)
  flags.DEFINE_enum(
    'dtype', 'float32', sorted(models.DTYPES), 'Of the computation.'
  )
  flags.DEFINE_integer('rounds', 5, 'Turns of each work.', lower_bound=1)
  flags.DEFINE_float('seconds', 0.1, 'Of a turn; one call at least.')
  flags.DEFINE_bool('full', False, 'Also list all products.')
  flags.DEFINE_string('output', None, 'A JSON file for the figures.')


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
