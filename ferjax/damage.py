"""Checkpoints that cannot be read: found before Orbax stumbles, set aside."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import gc
import hashlib
import math
import re
import sys
from typing import Any

import jax
import numpy as np
import tensorstore

from ferjax import documents, keeping, storage, transfer
from ferjax.errors import RetryError, StorageError, UserError
from ferjax.storage import Path


def check_readable(checkpoint: Path, item: str) -> None:
  """Reads every array of one item of a checkpoint once.

  Orbax finds the same faults, but its threads then print tracebacks.

  Args:
    checkpoint: its folder.
    item: its name.

  Raises:
    ValueError: whatever TensorStore says of a file that is cut or missing, or
      that the values are not those that were saved.
  """
  digest_saved = digest_of(checkpoint, item)
  base = storage.kvstore(checkpoint / item)
  store = {'driver': 'ocdbt', 'base': base}
  keys = tensorstore.KvStore.open(store).result().list().result()
  names = [key.removesuffix(b'.zarray') for key in keys if b'.zarray' in key]
  arrays = [
    tensorstore.open(
      {'driver': 'zarr', 'kvstore': store | {'path': name.decode()}}
    ).result()
    for name in names
  ]
  _compare([array.read().result() for array in arrays], item, digest_saved)


def digest(tree: Any) -> str:
  """Returns what tells these arrays from any others, in any order.

  Args:
    tree: of NumPy arrays.
  """
  hashes = []
  for array in jax.tree.leaves(tree):
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(f'{array.dtype} {array.shape};'.encode())
    # As bytes: bfloat16 has no buffer of its own.
    hasher.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    hashes.append(hasher.digest())
  return hashlib.blake2b(b''.join(sorted(hashes)), digest_size=16).hexdigest()


def digest_of(checkpoint: Path, item: str) -> str | None:
  """Returns what `digest` said of an item when it was saved, if that is known.

  Raises:
    ValueError: when the file that says so is damaged.
  """
  data = _saved_data(checkpoint)
  return data['digests'][item] if 'digests' in data else None


def _saved_data(checkpoint: Path) -> dict[str, Any]:
  try:
    data = documents.parse(storage.read_text(checkpoint / 'data' / 'metadata'))
  except (OSError, ValueError) as error:
    raise ValueError(f'its position: {error}') from error
  if not isinstance(data, dict) or data.get('next_index') != int(
    checkpoint.name
  ):
    raise ValueError('its position is not that of its name')
  return data


def _compare(tree: Any, item: str, digest_saved: str | None) -> None:
  if digest_saved is not None and digest_saved != digest(tree):
    raise ValueError(f'the values of its {item} are not those that were saved')


def set_aside_unranked(
  checkpoints: Path, names: Sequence[str], read_only: bool
) -> list[str]:
  """Sets those aside whose metrics cannot be ranked.

  With one of them, no checkpoint could be opened.

  Args:
    checkpoints: the folder of all checkpoints of a run.
    names: of the metrics that decide which is the best.
    read_only: whether to name one instead.

  Returns:
    A line about each.

  Raises:
    UserError: when that would be all of them, or `read_only` and there is one.
    RetryError: when metrics cannot be read just now.
  """
  broken = list(_unranked(checkpoints, names))
  if broken and read_only:
    raise UserError(f'{broken[0]} is damaged (its metrics); move it away')
  if broken and len(broken) == len(steps(checkpoints)):
    raise none_readable(checkpoints, broken[-1].name, 'its metrics')
  return [set_aside(path, 'its metrics') for path in broken]


def none_readable(checkpoints: Path, step: int | str, why: str) -> UserError:
  """Returns what is said where a run would have to begin anew."""
  return UserError(
    f'no checkpoint in {checkpoints} can be read ({step}: {why}); move the '
    'folder away to start over'
  )


def steps(checkpoints: Path) -> list[int]:
  """Returns the steps of the checkpoints that appeared under their names.

  Raises:
    OSError, StorageError: when that cannot be seen.
  """
  names = [path.name for path in checkpoints.iterdir()]
  return sorted(int(name) for name in names if keeping.is_step(name))


def _unranked(checkpoints: Path, names: Sequence[str]) -> Iterator[Path]:
  for path in sorted(checkpoints.glob('[0-9]*/metrics/metrics')):
    checkpoint = path.parent.parent
    if not keeping.is_step(checkpoint.name):
      continue
    try:
      metrics = documents.parse(storage.read_text(path))
      is_broken = not all(math.isfinite(metrics[name]) for name in names)
      is_broken |= metrics != _saved_metrics(checkpoint, metrics)
    except FileNotFoundError:  # the training has just removed this step
      continue
    except (ValueError, LookupError, TypeError, OverflowError):
      is_broken = True
    except OSError as error:  # says nothing of what was saved
      raise RetryError(f'cannot read {path}: {reason(error)}') from error
    if is_broken:
      yield checkpoint


def _saved_metrics(
  checkpoint: Path, default: Mapping[str, float]
) -> Mapping[str, float]:
  """Returns the metrics as they stand in a checkpoint a second time."""
  try:
    return _saved_data(checkpoint).get('metrics', default)
  except ValueError:
    return default  # restoring it finds that out


def set_aside(checkpoint: Path, why: str) -> str:
  """Moves a checkpoint to `checkpoints-unreadable`, so its step is free again.

  Returns:
    A line about it.
  """
  folder = checkpoint.parent.with_name('checkpoints-unreadable')
  if not storage.is_remote(folder):
    folder.mkdir(exist_ok=True)
  target = folder / checkpoint.name
  number = 1
  while target.exists():
    number += 1
    target = folder / f'{checkpoint.name}-{number}'
  transfer.move(checkpoint, target)
  return (
    f'checkpoint {checkpoint.name} is damaged ({why}); it was moved to {target}'
  )


def attempt(restore: Callable[[], Any]) -> tuple[Any, str]:
  """Returns what `restore` does and '', or None and why there is nothing.

  Whatever a broken file makes Orbax raise, it leaves coroutines behind, of
  which Python complains when it collects them.

  Raises:
    StorageError: when a bucket does not answer.
  """
  why = ''
  complain, sys.unraisablehook = sys.unraisablehook, lambda _: None
  try:
    return restore(), ''
  except StorageError:  # which says nothing of the checkpoint
    raise
  except Exception as error:
    why = reason(error)
  finally:
    gc.collect()
    sys.unraisablehook = complain
  return None, why


def reason(error: Exception) -> str:
  """Returns the kind of an error in a few words.

  TensorStore's messages run over many lines; their head names the kind, and
  where the system refused something, the end says what.
  """
  if isinstance(error, StorageError):
    return str(error)
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  system = re.search(r'([^:]+) \[os_error_code=', str(error))
  if system:
    return system[1].strip()
  return str(error).strip().partition(':')[0][:60] or type(error).__name__
