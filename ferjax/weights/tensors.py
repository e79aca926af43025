"""Cuts the arrays of torch's tensors from the numbers of a file."""

from collections.abc import Callable, Mapping
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

DTYPES = {
  'DoubleStorage': np.float64,
  'FloatStorage': np.float32,
  'HalfStorage': np.float16,
  'BFloat16Storage': jnp.bfloat16,
  'LongStorage': np.int64,
  'IntStorage': np.int32,
  'ShortStorage': np.int16,
  'CharStorage': np.int8,
  'ByteStorage': np.uint8,
  'BoolStorage': np.bool_,
}


_LARGEST = 1 << 48  # length or stride; products of these are not wrapped

MOST_SHARED = 4  # times that all tensors may be larger than their numbers


class Storage(NamedTuple):
  """A row of numbers of the file: its key, and what it holds."""

  key: str
  kind: str


class Tensor(NamedTuple):
  """A view of a storage; offset and strides are counted in numbers."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


def cut(
  state_dict: Mapping[Any, Any],
  read_numbers: Callable[[str], bytes],
  order: bytes,
) -> dict[str, np.ndarray]:
  """Returns the arrays of a state dict by name.

  Args:
    state_dict: what is no tensor in it is left out.
    read_numbers: gives the numbers of a storage by its key.
    order: of their bytes, `little` or `big`.

  Raises:
    ValueError: if a tensor is none, or reaches beyond its numbers, or if all
      together are far larger than these.
  """
  tensors = {
    str(name): tensor
    for name, tensor in state_dict.items()
    if isinstance(tensor, Tensor)
  }
  for tensor in tensors.values():
    _check(tensor)
  keys = {tensor.storage.key for tensor in tensors.values()}
  numbers = {key: read_numbers(key) for key in keys}
  # As float32, each may take room of its own. Some weights may be tied.
  room = MOST_SHARED * sum(map(len, numbers.values()))
  arrays = {}
  for name, tensor in tensors.items():
    arrays[name] = _array(tensor, numbers[tensor.storage.key], order)
    room -= arrays[name].nbytes
    if room < 0:
      raise ValueError('its tensors are many views of few numbers')
  return arrays


def _check(tensor: Tensor) -> None:
  """Raises ValueError unless a tensor is made of what it should be."""
  storage, offset, shape, strides = tensor
  numbers = (offset, *shape, *strides)
  if not isinstance(storage, Storage) or not all(
    type(number) is int and 0 <= number < _LARGEST for number in numbers
  ):
    raise ValueError('a tensor of what no tensor is made of')


def _array(tensor: Tensor, numbers: bytes, order: bytes) -> np.ndarray:
  """Cuts a tensor from the numbers of its storage.

  Raises:
    ValueError: if it reaches beyond them.
  """
  dtype = np.dtype(DTYPES[tensor.storage.kind])
  storage = np.frombuffer(numbers, f'u{dtype.itemsize}')
  if order == b'big':
    storage = storage.byteswap()
  size = math.prod(tensor.shape)
  last = tensor.offset + sum(
    (length - 1) * stride
    for length, stride in zip(tensor.shape, tensor.strides, strict=True)
  )
  if size > len(storage) or (size and last >= len(storage)):
    raise ValueError('a tensor reaches beyond its numbers')
  return np.lib.stride_tricks.as_strided(
    storage.view(dtype)[tensor.offset :],
    tensor.shape,
    [stride * dtype.itemsize for stride in tensor.strides],
  )
