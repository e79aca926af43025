"""A trial over virtual devices of the CPU, in a process of its own.

The number of devices of a process is fixed before its first computation.
"""

from collections.abc import Callable
import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
from typing import Any, Self

import jax
from ml_collections import config_dict
from trial import Costs, Trial

from ferjax import cli, heap, parallel
from ferjax import config as config_lib


class VirtualTrial(contextlib.AbstractContextManager):
  """Does what a `Trial` does, while its context lasts."""

  costs: Costs

  def __init__(self, config: config_dict.ConfigDict, num_devices: int) -> None:
    self._config = config_lib.to_json(config)
    self._num_devices = num_devices
    self._process = concurrent.futures.ProcessPoolExecutor(
      1, multiprocessing.get_context('spawn')
    )

  def __enter__(self) -> Self:
    """Starts the process, and builds and compiles the step there.

    Raises:
      UserError: when the config cannot be used.
    """
    self.costs = self._do(_start, self._num_devices)
    return self

  def __exit__(self, *error: object) -> None:
    """Ends the process."""
    self._process.shutdown()

  def train(self) -> None:
    """Makes the step and waits for it."""
    self._do(_train)

  def _do(self, function: Callable[..., Any], *arguments: Any) -> Any:
    return self._process.submit(function, self._config, *arguments).result()


def _start(config: str, num_devices: int) -> Costs:
  """Compiles in the other process; what `XLA_FLAGS` says last is valid."""
  count = f'--xla_force_host_platform_device_count={num_devices}'
  os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {count}'
  heap.keep_freed_memory()
  cli.stay_on_cpu()
  parallel.use_compilation_cache()
  return _trial(config).costs


def _train(config: str) -> None:
  jax.block_until_ready(_trial(config).train())


@functools.cache
def _trial(config: str) -> Trial:
  return Trial(config_lib.from_json(config))
