"""Devices, of one process or several, and how work is spread over them."""

from collections.abc import Callable, Iterator
import contextlib
import pathlib
import time
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from ferjax import errors, storage
from ferjax.errors import RetryError, UserError

AXIS = 'batch'  # the mesh axis that every step names
SHARDINGS = ('pmap', 'shard_map')


def use_compilation_cache() -> None:
  """Keeps compiled programs on disk, so that the next start is quicker.

  In `~/.cache/ferjax`, or where `JAX_COMPILATION_CACHE_DIR` says.
  """
  if not jax.config.jax_compilation_cache_dir:
    folder = pathlib.Path('~/.cache/ferjax').expanduser()
    jax.config.update('jax_compilation_cache_dir', str(folder))
  # Those that compile in less than a second too: there are dozens.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)


def is_main_process() -> bool:
  """Whether this is the process that prints, plots and writes files."""
  return jax.process_index() == 0


def barrier(name: str) -> None:
  """Waits for all processes to come here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def any_process(flag: bool) -> bool:
  """Whether `flag` holds in some process; all of them must ask."""
  return bool(max_over_processes(flag))


def max_over_processes(number: int) -> int:
  """Returns the largest number of any process; all of them must ask."""
  if jax.process_count() == 1:
    return number
  # Not 64 bits, which JAX would make 32 of, with a warning.
  numbers = multihost_utils.process_allgather(np.array(number, np.int32))
  return int(np.max(numbers))


@contextlib.contextmanager
def together(folder: storage.Path) -> Iterator[None]:
  """Lets all processes fail where one does, instead of waiting for it.

  Args:
    folder: in which the block works.

  Raises:
    UserError, RetryError: in every process, when the block raised one, or an
      OSError, in some process.
  """
  problem = None
  try:
    yield
  except (UserError, RetryError) as error:
    problem = error
  except OSError as error:
    # Where a file is written, and not opened, it does not say which.
    where = '' if error.filename else f'{folder}: '
    problem = errors.of_disk(error, f'{where}{error}')
  status = max_over_processes(problem.status if problem else 0)
  if status:
    raise problem or errors.of_another(
      status, 'another process failed; it says why'
    )


def global_mesh() -> Mesh:
  """Returns all devices of all processes in one axis."""
  return Mesh(np.array(jax.devices()), (AXIS,))


def replicated() -> NamedSharding:
  """Returns the sharding that puts the same array on every device."""
  return NamedSharding(global_mesh(), PartitionSpec())


def replicate(tree: Any) -> Any:
  """Puts arrays that are equal in every process on all devices, copied.

  Copied, because a CPU device may otherwise alias the caller's memory, which
  a donating step would then free.
  """
  sharding = replicated()

  def put(x: Any) -> jax.Array:
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
      return x
    x = np.array(jax.device_get(x))
    return jax.make_array_from_callback(
      x.shape, sharding, lambda i: np.array(x[i])
    )

  return jax.tree.map(put, tree)


def make_global(tree: Any) -> Any:
  """Puts what a step returned on all devices of all processes.

  What pmap returns is replicated over the devices of its own process only.
  """
  if jax.process_count() == 1:
    return tree
  return replicate(to_host(tree))


def abstract(tree: Any) -> Any:
  """Returns shapes and types alone, to be replicated over all devices."""
  sharding = replicated()
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
  )


def shard(tree: Any, sharding: str) -> Any:
  """Places one call's batch: the first axis is this process's devices.

  Args:
    tree: NumPy arrays `[local devices, ...]`.
    sharding: `config.sharding`. `pmap` takes the arrays of its own process,
      `shard_map` the array of all processes, `[devices, ...]`.
  """
  spec = PartitionSpec(AXIS)
  if sharding == 'pmap':
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, spec))
  placement = NamedSharding(global_mesh(), spec)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(placement, x), tree
  )


def to_host(tree: Any) -> Any:
  """Fetches replicated arrays as NumPy arrays."""
  return jax.device_get(jax.tree.map(lambda x: x.addressable_data(0), tree))


def gather(tree: Any) -> Any:
  """Fetches split arrays whole, `[devices, ...]`, in every process."""
  if jax.process_count() == 1:
    return jax.device_get(tree)
  return multihost_utils.process_allgather(tree, tiled=True)


def settle(tree: Any) -> Any:
  """Waits for `tree` on CPUs, and returns it.

  A long queue of steps with collectives makes virtual CPU devices abort the
  process (jax 0.10), and on a CPU nothing is gained by queueing.
  """
  if jax.default_backend() == 'cpu':
    jax.block_until_ready(tree)
  return tree


def probe() -> float:
  """Returns how many seconds this process alone takes over a small product."""
  x = jax.device_put(np.ones((256, 256), np.float32), jax.local_devices()[0])
  times = []
  for _ in range(4):  # the first may compile
    began = time.perf_counter()
    jax.block_until_ready(_product(x))
    times.append(time.perf_counter() - began)
  return min(times)


@jax.jit
def _product(x: jax.Array) -> jax.Array:
  return x @ x @ x


def spread(
  step: Callable[..., Any],
  sharding: str,
  out_axes: tuple[int | None, ...],
  donate: bool,
) -> Callable[..., Any]:
  """Compiles a step that is written for one device, for all of them.

  Args:
    step: of `(replicated, replicated, split)` arguments, with collectives over
      `AXIS`; returns a tuple.
    sharding: `pmap` or `shard_map`; the results are equal.
    out_axes: None for outputs that are the same on every device, 0 for those
      that are split, which come back with a leading axis of devices.
    donate: whether the first argument's memory may be reused.
  """
  donated = 0 if donate else ()
  if sharding == 'pmap':
    return jax.pmap(
      step,
      axis_name=AXIS,
      in_axes=(None, None, 0),
      out_axes=out_axes,
      donate_argnums=donated,
    )

  def body(first: Any, table: Any, batch: Any) -> tuple[Any, ...]:
    outputs = step(first, table, jax.tree.map(lambda x: x[0], batch))
    return tuple(
      output if axis is None else jax.tree.map(lambda x: x[None], output)
      for output, axis in zip(outputs, out_axes, strict=True)
    )

  whole, split = PartitionSpec(), PartitionSpec(AXIS)
  spread = jax.shard_map(
    body,
    mesh=global_mesh(),
    in_specs=(whole, whole, split),
    out_specs=tuple(whole if axis is None else split for axis in out_axes),
    check_vma=False,  # collectives are written out, as for pmap
  )
  return jax.jit(spread, donate_argnums=donated)
