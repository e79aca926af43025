"""The flags by which the processes of a run find each other."""

from collections.abc import Iterator, Mapping
import contextlib

from absl import flags

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
_START_TIMEOUT = flags.DEFINE_float(
  'start_timeout',
  300.0,
  'Seconds in which all processes must have started.',
  lower_bound=1.0,
)
_SILENCE_TIMEOUT = flags.DEFINE_float(
  'silence_timeout',
  30.0,
  'Seconds without a sign of life after which a process is taken for lost and '
  'the others stop. One that is killed is missed at once.',
  lower_bound=3.0,
)


@contextlib.contextmanager
def processes(facts: Mapping[str, str]) -> Iterator[None]:
  """Joins the other processes that the flags name; see `processes.joined`.

  Args:
    facts: what must be the same in all of them, by name.
  """
  from ferjax import parallel
  from ferjax import processes as processes_lib  # JAX: --help need not wait

  with processes_lib.joined(
    _COORDINATOR.value,
    _NUM_PROCESSES.value,
    _PROCESS_ID.value,
    _DISTRIBUTED.value,
    facts,
    _START_TIMEOUT.value,
    _SILENCE_TIMEOUT.value,
  ):
    parallel.use_compilation_cache()
    yield
