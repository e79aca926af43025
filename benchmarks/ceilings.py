"""What a machine can do at best: matrix products, and passes over memory."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

_SIDES = {'cpu': (512, 1024, 2048)}
_OTHER_SIDES = (2048, 4096, 8192)
_BYTES = {'cpu': 2**28}
_OTHER_BYTES = 2**30


class Ceiling(NamedTuple):
  """Something to be timed.

  Attributes:
    work: on one device.
    amount: of FLOPs or of bytes that a call comes to.
  """

  work: Callable[[], Any]
  amount: int


def matrices(dtype: Any, sides: Sequence[int] = ()) -> list[Ceiling]:
  """Returns products of square matrices, of which one may be the quickest.

  Args:
    dtype: of what is multiplied.
    sides: of the matrices; by default some that suit the device.
  """
  sides = sides or _SIDES.get(jax.default_backend(), _OTHER_SIDES)
  return [_matrix(side, dtype) for side in sides]


def memory(num_bytes: int = 0) -> Ceiling:
  """Returns a pass over an array, which it reads and writes.

  Args:
    num_bytes: of the array; by default more than caches hold.
  """
  num_bytes = num_bytes or _BYTES.get(jax.default_backend(), _OTHER_BYTES)
  return Ceiling(_Pass(num_bytes), 2 * num_bytes)


def _matrix(side: int, dtype: Any) -> Ceiling:
  x = jax.random.uniform(jax.random.key(0), (side, side), jnp.float32)
  x = x.astype(dtype)
  multiply = jax.jit(jnp.matmul)
  return Ceiling(lambda: multiply(x, x), 2 * side**3)


class _Pass:
  """Works in place: to get fresh memory takes a CPU longer than to fill it."""

  def __init__(self, num_bytes: int) -> None:
    self._x = jnp.zeros(num_bytes // 4, jnp.float32)
    self._negate = jax.jit(jnp.negative, donate_argnums=0)

  def __call__(self) -> jax.Array:
    self._x = self._negate(self._x)
    return self._x
