"""Reads a weight file to arrays by name, and runs no code that is in it."""

from collections.abc import Iterator
import os
import pathlib

import jax.numpy as jnp
import numpy as np
import safetensors

from ferjax.errors import UserError, brief
from ferjax.weights import pickles

# The names that safetensors gives to the types read here.
FLOATS = {
  'F64': np.float64,
  'F32': np.float32,
  'F16': np.float16,
  'BF16': jnp.bfloat16,
}


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads `.safetensors`, or what `torch.save` wrote (`.pth`, `.pt`, `.bin`).

  Args:
    path: the file.

  Returns:
    Every floating-point array by its name in the file, float32. Integers,
    such as counters of batches, are left out.

  Raises:
    UserError: if the file is missing, damaged, of another kind, holds no
      arrays by name, or would have to run code to be read; or if a name in it
      cannot be printed.
  """
  if not path.is_file():
    raise UserError(f'there is no weight file {path}')
  if not os.access(path, os.R_OK):
    raise UserError(f'{path} is there, but you have no permission to read it')
  if path.suffix == '.safetensors':
    arrays = dict(_safetensors(path))
  elif path.suffix in ('.pth', '.pt', '.bin'):
    arrays = pickles.read(path)
  else:
    raise UserError(
      f'{path} is no weight file; give one that ends in .safetensors, .pth, '
      '.pt or .bin'
    )
  with np.errstate(all='ignore'):  # infinite numbers are refused later
    arrays = {
      name: array.astype(np.float32, copy=False)
      for name, array in arrays.items()
      if jnp.issubdtype(array.dtype, jnp.floating)
    }
  if not arrays:
    raise UserError(f'{path} holds no arrays by name')
  for name in arrays:  # they come to stand in messages
    if not name.isprintable():
      raise UserError(
        f'{path} calls an array {name[:80]!r}; no network has such'
      )
  return arrays


def _safetensors(path: pathlib.Path) -> Iterator[tuple[str, np.ndarray]]:
  # Not safetensors.numpy: it stops at bfloat16.
  try:
    tensors = safetensors.deserialize(path.read_bytes())
  except safetensors.SafetensorError as error:
    raise UserError(
      f'{path} is damaged or no safetensors file ({brief(error)});'
      ' fetch it again'
    ) from None
  for name, tensor in sorted(tensors):  # else in another order each time
    if tensor['dtype'] in FLOATS:
      array = np.frombuffer(tensor['data'], FLOATS[tensor['dtype']])
      yield name, array.reshape(tensor['shape'])
