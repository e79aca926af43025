"""What a whole training costs beside its steps.

python benchmarks/overhead.py --epochs=7 --output=overhead.json

The real training runs in a temporary workdir: a validation each epoch, logs,
checkpoints, plots. On a CPU each step is waited for, as the loop does anyway,
and its calls are added up. On an accelerator that would change what is
measured: there the step is timed alone after the training, with what its last
call took, and multiplied.
"""

from collections.abc import Mapping, Sequence
import pathlib
import tempfile
import time

from absl import flags
import ledger as books
from ml_collections import config_dict, config_flags

from ferjax import cli

LONG = 100  # epochs of the training that the aim is about

_ONCE = (books.START, books.COMPILE, books.FINISH)  # however many epochs


def account(
  config: config_dict.ConfigDict,
  workdir: pathlib.Path,
  began: float,
  waits: bool,
) -> tuple[dict[str, float], float]:
  """Trains, and tells what the time was spent on.

  Without waiting, the steps run beside the host: what neither is a step nor
  starts, saves, logs or finishes is the rest of the loop.

  Args:
    config: of one training.
    workdir: of it.
    began: of `time.perf_counter`, when its process did.
    waits: whether each step is waited for; otherwise it is timed alone.

  Returns:
    The seconds of every part, whose sum is the wall time, and those of the
    training steps if all took the median.
  """
  from ferjax import train

  ledger = books.Ledger(began)
  with books.watched(ledger, waits) as steps:
    train.train_and_evaluate(config, workdir)
  parts = ledger.read()
  wall = sum(parts.values())
  for part, step in steps.items():
    parts[books.COMPILE] += step.compilation()
    parts[part] -= step.compilation()
  if waits:
    return parts, steps[books.TRAIN].at_median()
  parts |= {part: step.alone() for part, step in steps.items()}
  parts |= dict.fromkeys((books.AROUND, books.INPUT, books.REST), 0.0)
  parts[books.REST] = wall - sum(parts.values())
  return parts, parts[books.TRAIN]


def overhead(parts: Mapping[str, float]) -> tuple[float, float]:
  """Returns (wall - compilation - steps) / wall.

  Once with evaluation steps among the steps, once without them.
  """
  wall = sum(parts.values())
  others = wall - parts[books.COMPILE] - parts[books.TRAIN]
  return (others - parts[books.EVAL]) / wall, others / wall


def project(parts: Mapping[str, float], epochs: float) -> dict[str, float]:
  """Returns the parts of `LONG` epochs: all but what is done once grows."""
  return {
    name: seconds if name in _ONCE else seconds * LONG / epochs
    for name, seconds in parts.items()
  }


def lengthen(
  config: config_dict.ConfigDict, epochs: float, save_epochs: float
) -> config_dict.ConfigDict:
  """Returns the config of one training of this length.

  Args:
    config: of any training.
    epochs: that it has; a validation follows each.
    save_epochs: after so many a checkpoint is due.
  """
  config = config.copy_and_resolve_references()
  every = {'num': epochs, 'eval_every': 1.0, 'checkpoint_every': save_epochs}
  for name, length in every.items():
    for unit in ('steps', 'epochs', 'examples'):
      field = f'{name}_{unit}'
      config[field] = type(config[field])(length if unit == 'epochs' else 0)
  config.num_members = 1
  return config


def table(parts: Mapping[str, float], epochs: int) -> str:
  """Returns the parts as measured, and as they are in a long training."""
  import clock

  columns = parts, project(parts, epochs)
  walls = [sum(column.values()) for column in columns]
  rows = []
  for name in parts:
    row = [name]
    for column, wall in zip(columns, walls, strict=True):
      row += [f'{column[name]:.1f}', f'{column[name] / wall:.1%}']
    rows.append(row)
  rows.append(
    ['wall time', *(c for wall in walls for c in (f'{wall:.1f}', ''))]
  )
  for what, *shares in zip(
    ('work', 'overhead'), *map(overhead, columns), strict=True
  ):
    cells = [cell for share in shares for cell in ('', f'**{share:.1%}**')]
    rows.append([f'overhead; evaluation steps are {what}', *cells])
  header = (
    'part',
    f'{epochs} epochs, s',
    'share',
    f'{LONG} epochs, s',
    'share',
  )
  return clock.markdown(header, rows)


def main(argv: Sequence[str]) -> None:
  """Trains as the flags say, and prints where the time went."""
  began = time.perf_counter()  # ahead of the imports: a training has them too
  del argv
  given = flags.FLAGS
  cli.config_file(given['config'])
  import clock
  import jax

  from ferjax import parallel

  parallel.use_compilation_cache()
  waits = jax.default_backend() == 'cpu'
  epochs, save_epochs = given.epochs, given.checkpoint_every_epochs
  config = lengthen(given.config, epochs, save_epochs)
  with tempfile.TemporaryDirectory() as folder:
    parts, steady = account(config, pathlib.Path(folder), began, waits)
  print(
    f'\n{clock.machine()}\n{config.model.name} on {config.data.name}, batch '
    f'{config.batch_size}, {epochs} epochs: a validation after each, '
    f'checkpoints every {save_epochs} and at each new best.\n'
    f'Steps were {"waited for" if waits else "timed alone"}; {LONG} epochs are '
    f'reckoned from {epochs}.\n\n{table(parts, epochs)}'
  )
  if waits:
    print(
      '\nTraining steps took '
      f'{parts[books.TRAIN] / steady - 1:+.1%} on what all at the median take.'
    )
  figures = {
    'machine': clock.machine(),
    'config': config.to_dict(),
    'seconds': parts,
    'training_seconds_at_median': steady,
    'overhead': overhead(parts),
    f'overhead_of_{LONG}_epochs': overhead(project(parts, epochs)),
  }
  clock.write(given.output, figures)


def _define_flags() -> None:
  """Not at import: tests import several scripts, whose flags would clash."""
  config_flags.DEFINE_config_file(
    'config', 'configs/simple_cnn.py', 'FILE[:key=value,...], see ferjax.main.'
  )
  flags.DEFINE_integer(
    'epochs', 7, 'Of the training; seven take two cores six minutes.', 1
  )
  flags.DEFINE_integer(
    'checkpoint_every_epochs', 10, 'From one checkpoint to the next.', 1
  )
  flags.DEFINE_string('output', None, 'A JSON file for the figures.')


if __name__ == '__main__':
  _define_flags()
  cli.run(main)
