r"""How long a training takes to an accuracy: the referee of the speed run.

python benchmarks/time_to_accuracy.py --config=configs/speedrun.py \
    --seeds=0,1,2,3,4 --output=speedrun.json

Each seed is a training in a process of its own and a fresh workdir, timed from
the process's start to its end, one after another. The first compiles its
programs; the others find them on disk, for they depend on no seed. What counts
is the validation accuracy at the end of the schedule, never the best on the
way.
"""

from collections.abc import Sequence
import itertools
import pathlib
import statistics
import tempfile
from typing import Any, NamedTuple

from absl import flags
import child
import clock

from ferjax import cli, durations, logs
from ferjax import config as config_lib
from ferjax import workdir as workdir_lib
from ferjax.errors import UserError

TRAINING = ('-m', 'ferjax.main')


class Trial(NamedTuple):
  """A seed's training, to its end.

  Attributes:
    seed: of it.
    cold: whether there were no compiled programs on disk.
    compiled: programs that it had to add there.
    wall_seconds: from the process's start to its end.
    training_seconds: of these, those of the training steps, see `read`.
    accuracy: on validation after the last step, in [0, 1].
  """

  seed: int
  cold: bool
  compiled: int
  wall_seconds: float
  training_seconds: float
  accuracy: float


def race(command: Sequence[str], seed: int, cache: pathlib.Path) -> Trial:
  """Trains a seed in a process of its own.

  Args:
    command: what Python is given to train, but for the seed and the workdir.
    seed: of the training.
    cache: the folder of compiled programs.

  Raises:
    UserError: when it fails, with the last that it said, or is unfinished.
  """
  before = _programs(cache)
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder, 'run')
    try:
      done = child.run(
        *command,
        f'--config.seed={seed}',
        f'--workdir={workdir}',
        JAX_COMPILATION_CACHE_DIR=str(cache),
      )
    except UserError as error:
      raise UserError(f'seed {seed} failed: {error}') from error
    training, accuracy = read(workdir)
  compiled = _programs(cache) - before
  return Trial(seed, not before, compiled, done.seconds, training, accuracy)


def read(workdir: pathlib.Path) -> tuple[float, float]:
  """Reads what a training came to from its `metrics.jsonl`.

  Returns:
    The seconds between its records, without validations and checkpoints, the
    interval that compiles at the median speed of the others, and the
    validation accuracy after the last step.

  Raises:
    UserError: when it has not made its last step.
  """
  config = workdir_lib.read_config(workdir)
  train = workdir_lib.read_dataset(workdir)['splits']['train']
  num_steps = durations.resolve(config, train['num_examples']).num_steps
  records = logs.read_metrics(workdir)
  last = records[-1] if records else {'step': 0}
  if last['step'] < num_steps or 'val/accuracy' not in last:
    step = last['step']
    raise UserError(f'the training stopped at step {step} of {num_steps}')
  logged = [record for record in records if 'images_per_second' in record]
  speeds = [record['images_per_second'] for record in logged]
  speeds[0] = statistics.median(speeds[1:] or speeds)
  ends = [0, *(record['step'] for record in logged)]
  lengths = (end - start for start, end in itertools.pairwise(ends))
  images = (config.batch_size * length for length in lengths)
  seconds = sum(n / speed for n, speed in zip(images, speeds, strict=True))
  return seconds, last['val/accuracy']


def summarize(trials: Sequence[Trial], aim: float) -> dict[str, Any]:
  """Returns what trials come to; None is what too few of them cannot tell.

  Args:
    trials: at least one; the first of them cold.
    aim: of the mean accuracy, in [0, 1].
  """
  accuracies = [trial.accuracy for trial in trials]
  warm = [trial.wall_seconds for trial in trials if not trial.cold]
  mean = statistics.fmean(accuracies)
  return {
    'mean': mean,
    'deviation': statistics.stdev(accuracies) if len(trials) > 1 else None,
    'minimum': min(accuracies),
    'aim': aim,
    'reached': mean >= aim,
    'cold_wall_seconds': trials[0].wall_seconds,
    'warm_wall_seconds': statistics.fmean(warm) if warm else None,
    'training_seconds': statistics.fmean(t.training_seconds for t in trials),
  }


def report(trials: Sequence[Trial], found: dict[str, Any]) -> str:
  """Returns the table of the seeds, and what they come to below it."""
  rows = [
    (
      str(trial.seed),
      'cold' if trial.cold else 'warm',
      str(trial.compiled),
      f'{trial.wall_seconds:.1f}',
      f'{trial.training_seconds:.1f}',
      f'{trial.accuracy:.2%}',
    )
    for trial in trials
  ]
  header = ('seed', 'cache', 'compiled programs', 'wall, s', 'steps, s')
  header += ('last validation accuracy',)
  spread, warm = found['deviation'], found['warm_wall_seconds']
  return (
    f'{clock.markdown(header, rows)}\n\n'
    f'{len(trials)} seeds: mean {found["mean"]:.2%}'
    + (f', standard deviation {spread:.2%}' if spread is not None else '')
    + f', minimum {found["minimum"]:.2%}; the aim of {found["aim"]:.2%} is '
    + ('' if found['reached'] else 'not ')
    + f'reached.\nWall time {found["cold_wall_seconds"]:.1f} s cold'
    + (f', {warm:.1f} s warm (mean)' if warm is not None else '')
    + f'; training steps {found["training_seconds"]:.1f} s (mean).'
  )


def main(argv: Sequence[str]) -> None:
  """Trains every seed and prints what they came to."""
  del argv
  given = flags.FLAGS
  seeds = clock.numbers('seeds', given.seeds, lowest=0)
  command = [*TRAINING, f'--config={given.config}']
  for setting in given.set:
    path, equals, _ = setting.partition('=')
    if not equals:
      raise UserError(f'--set={setting}: give key=value')
    config_lib.check_field(path)
    command.append(f'--config.{setting}')
  figures = {
    'config': given.config,
    'set': given.set,
    'machine': child.machine(),
  }
  clock.write(given.output, figures)  # an error now, not after hours
  print(f'{figures["machine"]}\n{given.config} {" ".join(given.set)}\n')
  trials = []
  with tempfile.TemporaryDirectory() as cache:
    for seed in seeds:
      trials.append(race(command, seed, pathlib.Path(cache)))
      wall, accuracy = trials[-1].wall_seconds, trials[-1].accuracy
      print(f'seed {seed}: {wall:.1f} s, {accuracy:.2%}', flush=True)
      found = summarize(trials, given.aim)
      figures['trials'] = [trial._asdict() for trial in trials]
      clock.write(given.output, figures | found)
  print(f'\n{report(trials, found)}')


def _programs(cache: pathlib.Path) -> int:
  return len(list(cache.glob('*-cache')))


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  flags.DEFINE_string('config', None, 'FILE[:key=value,...], see ferjax.main.')
  flags.DEFINE_list('seeds', '0,1,2,3,4', 'One training each.')
  flags.DEFINE_float('aim', 0.6402, 'For the mean accuracy on validation.')
  flags.DEFINE_multi_string('set', [], 'key=value of a setting')
  flags.DEFINE_string('output', None, 'A JSON file for the figures.')
  flags.mark_flag_as_required('config')


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
