"""Checkpoints that cannot be read: found before Orbax stumbles, set aside."""

from collections.abc import Mapping, Sequence
import hashlib
import json
import math
import pathlib
import re
import shutil
from typing import Any

import jax
import numpy as np
import tensorstore


def check_readable(item: pathlib.Path) -> None:
  """Reads every array of one item of a checkpoint once.

  Orbax finds the same faults, but its threads then print tracebacks.

  Raises:
    ValueError: whatever TensorStore says of a file that is cut or missing.
  """
  base = {'driver': 'file', 'path': f'{item.absolute()}/'}
  store = tensorstore.KvStore.open({'driver': 'ocdbt', 'base': base}).result()
  for key in store.list().result():
    store.read(key).result()


def digest(tree: Any) -> str:
  """Returns what tells these arrays from any others.

  Args:
    tree: of NumPy arrays.
  """
  hasher = hashlib.blake2b(digest_size=16)
  for path, array in jax.tree_util.tree_leaves_with_path(tree):
    name = jax.tree_util.keystr(path)
    hasher.update(f'{name} {array.dtype} {array.shape};'.encode())
    hasher.update(np.ascontiguousarray(array).data)
  return hasher.hexdigest()


def verify(tree: Any, item: str, data: Mapping[str, Any]) -> None:
  """Checks that what was restored is what was saved.

  Args:
    tree: of NumPy arrays.
    item: of the checkpoint, whose it is.
    data: of the checkpoint; those of old have no digests.

  Raises:
    ValueError: when it is not.
  """
  digests = data.get('digests')
  if digests is not None and digests[item] != digest(tree):
    raise ValueError(f'the values of its {item} are not those that were saved')


def whole(checkpoints: pathlib.Path) -> list[int]:
  """Returns the steps of the checkpoints that appeared under their names."""
  try:
    names = [path.name for path in checkpoints.iterdir()]
  except OSError:
    return []
  return sorted(int(name) for name in names if name.isdecimal())


def clear(checkpoints: pathlib.Path) -> None:
  """Removes what was being saved, so that it takes no space."""
  for path in checkpoints.glob('*.orbax-checkpoint-tmp'):
    shutil.rmtree(path, ignore_errors=True)


def broken_metrics(
  checkpoints: pathlib.Path, names: Sequence[str]
) -> list[pathlib.Path]:
  """Returns the checkpoints whose metrics cannot be ranked.

  With one of them, no checkpoint could be opened.

  Args:
    checkpoints: the folder of all checkpoints of a run.
    names: of the metrics that decide which is the best.
  """
  broken = []
  for path in sorted(checkpoints.glob('[0-9]*/metrics/metrics')):
    try:
      metrics = json.loads(path.read_text())
      is_broken = not all(math.isfinite(metrics[name]) for name in names)
    except (ValueError, LookupError, TypeError):
      is_broken = True
    if is_broken:
      broken.append(path.parent.parent)
  return broken


def set_aside(checkpoint: pathlib.Path) -> pathlib.Path:
  """Moves a checkpoint to `checkpoints-unreadable`, so its step is free again.

  Returns:
    Where it is now.
  """
  folder = checkpoint.parent.with_name('checkpoints-unreadable')
  folder.mkdir(exist_ok=True)
  target = folder / checkpoint.name
  number = 1
  while target.exists():
    number += 1
    target = folder / f'{checkpoint.name}-{number}'
  return checkpoint.rename(target)


def reason(error: Exception) -> str:
  """Returns the kind of an error in a few words.

  TensorStore's messages run over many lines; their head names the kind, and
  where the system refused something, the end says what.
  """
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  system = re.search(r'([^:]+) \[os_error_code=', str(error))
  if system:
    return system[1].strip()
  return str(error).strip().partition(':')[0][:60] or type(error).__name__
