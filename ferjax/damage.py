"""Checkpoints that cannot be read: found before Orbax stumbles, set aside."""

from collections.abc import Sequence
import math
import pathlib

import tensorstore

from ferjax import documents


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
    name = path.parent.parent.name
    if not name.isdecimal() or name != str(int(name)):
      continue  # none of ours: 010 is not 10
    try:
      metrics = documents.parse(path.read_text())
      is_broken = not all(math.isfinite(metrics[name]) for name in names)
    except (ValueError, LookupError, TypeError, OverflowError, OSError):
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

  TensorStore's messages run over many lines; their head names the kind.
  """
  return str(error).strip().partition(':')[0][:60] or type(error).__name__
