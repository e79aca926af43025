"""How the processes of a run start together and end together."""

from collections.abc import Iterator, Mapping
import contextlib
import os
import signal
import threading
import traceback

import jax

from ferjax import failures, gpus, peers
from ferjax.errors import RetryError, UserError

_VERDICT = 5.0  # seconds in which a lost process is found out by name

_self: peers.Peer | None = None  # this process among several, while joined


@contextlib.contextmanager
def joined(
  coordinator_address: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
  distributed: str | None = None,
  facts: Mapping[str, str] | None = None,
  start_timeout: float = 300.0,
  silence_timeout: float = 30.0,
) -> Iterator[None]:
  """Joins the other processes of this run, if there are any, for a while.

  Must come before anything asks for a device. Where one process fails in the
  block, or is lost, all end with one message and one exit status, and at once:
  none waits for the others as JAX does.

  Args:
    coordinator_address: `host:port` of process 0.
    num_processes: in the whole run.
    process_id: of this one, from 0.
    distributed: `'auto'` finds the three in the environment of a TPU pod,
      SLURM, Open MPI or Kubernetes.
    facts: what must be the same in all of them, by name.
    start_timeout: seconds in which all may start.
    silence_timeout: seconds without a sign of life after which a process is
      taken for lost; one that is killed is missed at once.

  Raises:
    UserError: when only some of the three are given, they cannot be, or none
      can be found, or the facts differ.
    RetryError: when a process does not start in time, or cannot be found, or
      the port that a cluster chose is in use.
  """
  global _self
  place = _place(
    coordinator_address, num_processes, process_id, distributed, start_timeout
  )
  if place is None:
    yield
    return
  address, count, process, devices = place
  if count > 1:
    with _listening(address, is_chosen=distributed is None):
      _self = peers.join(
        address, count, process, facts or {}, start_timeout, silence_timeout
      )
  try:
    with _keeping_sigterm():
      jax.distributed.initialize(
        address,
        count,
        process,
        devices,
        # It would find SLURM's or Open MPI's, and one GPU for each process.
        cluster_detection_method='deactivate',
        initialization_timeout=300,
        # Later than ours, which say more.
        heartbeat_timeout_seconds=max(100, int(2 * silence_timeout)),
      )
    yield
    # None leaves before all are done, so that each is watched to the end.
    agree('end', {})
  except BaseException as error:
    if _self is None:
      raise
    _end_all(error)
  finally:
    if _self:
      _self.close()
    _self = None


@contextlib.contextmanager
def _listening(address: str, is_chosen: bool) -> Iterator[None]:
  """Says what is to be done where process 0 cannot listen at its address.

  Args:
    address: of process 0.
    is_chosen: whether the user chose it, and not a cluster.
  """
  try:
    yield
  except OSError as error:
    what = f'process 0 cannot listen at {address} ({error.strerror})'
    if is_chosen:
      raise UserError(f'{what}; give another --coordinator_address') from None
    raise RetryError(f'{what}; another try may find it free') from None


@contextlib.contextmanager
def _keeping_sigterm() -> Iterator[None]:
  """Puts back how SIGTERM is handled; JAX's preemption service swallows it."""
  before = signal.getsignal(signal.SIGTERM)
  yield
  # Only there Python takes signals.
  if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, before)


def _end_all(error: BaseException) -> None:
  """Ends this process and the others, for an error of this one."""
  if isinstance(error, SystemExit):
    raise error
  explained = failures.explain(error)
  if explained is None or getattr(error, 'is_of_another', False):
    # The other one says why. Where it is gone, a collective fails somehow.
    _self.await_verdict(_VERDICT)
  if explained is None:
    line = f'{type(error).__name__}: {error}'.splitlines()[0]
    explained = line, 1
    with contextlib.suppress(OSError, ValueError):
      traceback.print_exception(error)
  elif not isinstance(error, KeyboardInterrupt):
    failures.say(explained[0])
  # After what is said here: JAX aborts this process once process 0 has left.
  try:
    _self.fail(*explained)
  finally:
    failures.leave(explained[1])  # what JAX does at exit waits for the others


def note(step: int) -> None:
  """Notes which step comes next, so that one which is held up can be named."""
  if _self:
    _self.note(step)


def agree(topic: str, facts: Mapping[str, str]) -> None:
  """Sees that all processes have the same facts; see `Peer.agree`."""
  if _self:
    _self.agree(topic, facts)


def report(input_wait: float, probe: float) -> None:
  """Tells process 0 how quick this process is.

  Args:
    input_wait: the share of its time that it waited for images.
    probe: seconds that a small computation took.
  """
  if _self:
    _self.report({'input_wait': input_wait, 'probe': probe})


def are_several() -> bool:
  """Whether this process has joined others."""
  return _self is not None


def _place(
  coordinator_address: str | None,
  num_processes: int | None,
  process_id: int | None,
  distributed: str | None,
  timeout: float,
) -> tuple[str, int, int, list[int] | None] | None:
  """Returns address, count, process and its devices; None for one process."""
  explicit = (coordinator_address, num_processes, process_id)
  if distributed not in (None, 'auto'):
    raise UserError(f"--distributed={distributed} is unknown; have 'auto'")
  if all(value is None for value in explicit):
    if distributed is None:
      return None
    place = _detect(timeout)
    _check(*place[:3])
    return place
  if distributed or any(value is None for value in explicit):
    raise UserError(
      'give --coordinator_address, --num_processes and --process_id '
      'together, or --distributed=auto alone'
    )
  _check(*explicit)
  return (*explicit, None)


def _check(address: str, count: int, process: int) -> None:
  """Raises UserError for a place that cannot be."""
  host, _, port = address.rpartition(':')
  if not host or not port.isdecimal() or not 0 < int(port) < 65536:
    raise UserError(f'--coordinator_address={address} is not host:port')
  if count < 1:
    raise UserError(f'--num_processes={count}: there is at least one')
  if not 0 <= process < count:
    raise UserError(
      f'--process_id={process} is none of {count}: 0 to {count - 1}'
    )


def _detect(timeout: float) -> tuple[str, int, int, list[int] | None]:
  """Asks the environment, as `jax.distributed.initialize()` would."""
  from jax._src import clusters  # what it finds, JAX tells nobody

  try:
    place = clusters.ClusterEnv.auto_detect_unset_distributed_params(
      os.environ.get('JAX_COORDINATOR_ADDRESS'),
      *(None, None, None, None, int(timeout)),
    )
  except (RuntimeError, OSError) as error:  # such as a name not known yet
    raise RetryError(f'--distributed=auto: {error}') from error
  except (ValueError, KeyError) as error:
    place, why = (None, None, None, None), f' ({error})'
  else:
    why = ''
  if None in place[:3]:
    raise UserError(
      f'--distributed=auto found no cluster{why}; give '
      '--coordinator_address, --num_processes and --process_id'
    )
  return (*place[:3], gpus.choose(place[3], os.environ))
