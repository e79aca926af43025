"""Trains a network: python -m ferjax.main --config=configs/densenet.py."""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from ferjax import cli
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
_COORDINATOR = flags.DEFINE_string(
  'coordinator_address', None, 'host:port of process 0, for several processes.'
)
_NUM_PROCESSES = flags.DEFINE_integer(
  'num_processes', None, 'How many processes the run has.'
)
_PROCESS_ID = flags.DEFINE_integer(
  'process_id', None, 'Which of them this is, from 0.'
)
_DISTRIBUTED = flags.DEFINE_enum(
  'distributed',
  None,
  ['auto'],
  'auto: take the three from the environment (TPU pod, SLURM, Open MPI, '
  'Kubernetes).',
)
flags.mark_flag_as_required('config')


def main(argv: Sequence[str]) -> None:
  """Trains as the flags say."""
  del argv
  name = config_lib.name_of(cli.config_file(_CONFIG))
  from ferjax import (
    parallel,
    train,  # JAX takes seconds to import; --help need not wait
  )

  parallel.initialize(
    _COORDINATOR.value,
    _NUM_PROCESSES.value,
    _PROCESS_ID.value,
    _DISTRIBUTED.value,
  )
  parallel.use_compilation_cache()
  workdir = cli.path(_WORKDIR.value or f'runs/{name}')
  train.train_and_evaluate(_CONFIG.value, workdir)


if __name__ == '__main__':
  cli.run(main)
