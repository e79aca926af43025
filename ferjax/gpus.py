"""Which GPUs of its machine a process takes."""

from collections.abc import Mapping, Sequence
import re


def choose(
  detected: Sequence[int] | None, environment: Mapping[str, str]
) -> Sequence[int] | None:
  """Returns the GPUs of a process that a cluster started; None is all.

  JAX leaves each process of SLURM or Open MPI one GPU, that of its rank on the
  machine. Where a machine has but one process, all others of it would idle.

  Args:
    detected: what JAX found.
    environment: of the process. `JAX_LOCAL_DEVICE_IDS` is the user's choice,
      which JAX reads if it is given None.
  """
  if 'JAX_LOCAL_DEVICE_IDS' in environment or is_alone(environment):
    return None
  return detected


def is_alone(environment: Mapping[str, str]) -> bool:
  """Whether SLURM or Open MPI started one process on each machine."""
  # Open MPI first, as JAX does: its own daemons are tasks of SLURM.
  count = environment.get('OMPI_COMM_WORLD_LOCAL_SIZE') or environment.get(
    'SLURM_STEP_TASKS_PER_NODE', ''
  )
  return re.fullmatch(r'1(\(x\d+\))?', count) is not None
