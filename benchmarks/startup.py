"""How long it takes to start.

python benchmarks/startup.py --rounds=3 --output=startup.json

Each config is trained up to its first step in a fresh process, with an empty
compilation cache (cold) and again with what that left there (warm); each
binary shows its `--help`. All take turns over several rounds.
"""

from collections.abc import Mapping, Sequence
import json
import pathlib
import statistics
import tempfile

from absl import flags
import child
import clock
import first_step

from ferjax import cli

# Seconds, cold and warm, on two CPU cores.
AIMS = {
  'configs/simple_cnn.py': (12.0, 6.0),
  'configs/densenet.py:depth=121': (30.0, 11.0),
}
HELP_AIM = 1.5

# Of one start: `total`, `cpu` and the parts of `first_step.PARTS`, in seconds.
Seconds = dict[str, float]


def start(config: str, data_dir: str, cache: pathlib.Path) -> Seconds:
  """Trains a config up to its first step, in a process of its own.

  Args:
    config: what `--config` takes.
    data_dir: the folder of the prepared data.
    cache: the folder of the compilation cache.

  Returns:
    The seconds to the first step, in all and part by part; the start of the
    interpreter and the end of the process count as `imports`. `cpu` is what
    all processors worked for it.

  Raises:
    UserError: saying what the training failed of.
  """
  with tempfile.TemporaryDirectory() as folder:
    report = pathlib.Path(folder) / 'report.json'
    total = child.run(
      pathlib.Path(__file__).with_name('first_step.py'),
      report,
      f'--config={config}',
      f'--config.data.dir={data_dir}',
      '--config.log_every_steps=1',
      f'--workdir={folder}/workdir',
      JAX_COMPILATION_CACHE_DIR=str(cache),
    ).seconds
    seconds = json.loads(report.read_text())
  seconds['imports'] += total - sum(seconds[p] for p in first_step.PARTS)
  return {'total': total} | seconds


def show_help(binary: str) -> Seconds:
  """Returns how long `--help` of a binary takes, as `total`."""
  done = child.run('-m', f'ferjax.{binary}', '--help', answers=(0, 1))
  return {'total': done.seconds}


def measure(
  configs: Sequence[str], binaries: Sequence[str], data_dir: str, rounds: int
) -> dict[str, Seconds]:
  """Lets all take turns; returns the medians over the rounds.

  Args:
    configs: trained, each `CONFIG, cold` and `CONFIG, warm` in what comes back.
    binaries: asked for their `--help`, each `BINARY --help`.
    data_dir: the folder of the prepared data.
    rounds: how often.
  """
  found: dict[str, list[Seconds]] = {}
  for _ in range(rounds):
    for config in configs:
      with tempfile.TemporaryDirectory() as cache:
        for state in ('cold', 'warm'):
          seconds = start(config, data_dir, pathlib.Path(cache))
          found.setdefault(f'{config}, {state}', []).append(seconds)
    for binary in binaries:
      found.setdefault(f'{binary} --help', []).append(show_help(binary))
  return {
    what: {
      name: statistics.median(seconds[name] for seconds in each)
      for name in each[0]
    }
    for what, each in found.items()
  }


def against_aims(
  figures: Mapping[str, Seconds],
  configs: Sequence[str],
  binaries: Sequence[str],
) -> str:
  """Returns what `measure` found and whether that is quick enough."""
  rows = []
  for config in configs:
    totals = [figures[f'{config}, {s}']['total'] for s in ('cold', 'warm')]
    aims = AIMS.get(config, ())
    met = all(map(float.__lt__, totals, aims)) if aims else None
    rows.append([config, *map(_text, totals), _join(aims), _yes(met)])
  for binary in binaries:
    total = figures[f'{binary} --help']['total']
    met = total < HELP_AIM
    rows.append(
      [f'{binary} --help', '', _text(total), f'{HELP_AIM}', _yes(met)]
    )
  return clock.markdown(('what', 'cold, s', 'warm, s', 'aim, s', 'met'), rows)


def by_part(figures: Mapping[str, Seconds]) -> str:
  """Returns where the time of each start went."""
  columns = (*first_step.PARTS, 'total', 'cpu')
  rows = [
    [what, *(_text(seconds[name]) for name in columns)]
    for what, seconds in figures.items()
    if 'cpu' in seconds
  ]
  return clock.markdown(('s', *columns), rows)


def main(argv: Sequence[str]) -> None:
  """Measures and prints."""
  del argv
  given = flags.FLAGS
  configs, binaries = given.configs, given.binaries
  print(
    f'{child.machine()}\n'
    f'from process start, medians of {given.rounds} fresh processes\n'
  )
  figures = measure(configs, binaries, given.data_dir, given.rounds)
  print(against_aims(figures, configs, binaries), end='\n\n')
  if configs:
    print(by_part(figures), end='\n\n')
  clock.write(given.output, figures)


def _text(seconds: float) -> str:
  return f'{seconds:.2f}'


def _join(aims: Sequence[float]) -> str:
  return ' / '.join(f'{aim:g}' for aim in aims)


def _yes(met: bool | None) -> str:
  return {True: 'yes', False: 'no', None: ''}[met]


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  flags.DEFINE_spaceseplist(
    'configs',
    'configs/simple_cnn.py configs/densenet.py:depth=121',
    'FILE[:key=value,...] of each training, with spaces between them.',
  )
  flags.DEFINE_spaceseplist(
    'binaries',
    'main evaluate explore prepare compare crossval sweep summary benchmark',
    'Whose --help is asked for, with spaces between them.',
  )
  flags.DEFINE_string('data_dir', '~/ferjax_data', 'Where data are prepared.')
  flags.DEFINE_integer('rounds', 3, 'Turns of each start.', lower_bound=1)
  flags.DEFINE_string('output', None, 'A JSON file for the figures.')


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
