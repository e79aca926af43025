"""Trains a network: python -m ferjax.main --config=configs/densenet.py."""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from ferjax import cli, interrupts, joining
from ferjax import config as config_lib

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The config file, FILE or FILE:key=value,...'
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Where the run lives; the same command resumes it. '
  'Default: runs/<config name>.',
)
flags.mark_flag_as_required('config')


def main(argv: Sequence[str]) -> int:
  """Trains as the flags say; returns the exit status."""
  del argv
  name = config_lib.name_of(cli.config_file(_CONFIG))
  workdir = cli.path(_WORKDIR.value or f'runs/{name}')
  with joining.processes(
    config_lib.facts(_CONFIG.value) | {'workdir': str(workdir)}
  ):
    # JAX takes seconds to import; --help need not wait.
    from ferjax import train

    if train.train_and_evaluate(_CONFIG.value, workdir) is None:
      return interrupts.status()
  return 0


if __name__ == '__main__':
  cli.run(main)
