"""How runs are told apart, by where they live."""

from collections.abc import Sequence
import os
import pathlib
import re

from ferjax.studies.outcome import Outcome


def names(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
  """Returns how to tell runs apart, by where they live.

  Returns:
    For each its workdir without the folders that all have in common; and a
    label to stand beside its network, often ''. Of `zoo/seed=0-model.name=mlp`
    and others of this sweep, whose seed is always 0, the label is `zoo`.
  """
  # From their parts: what is in a bucket is no path to `os`.
  alone = [pathlib.PurePath(*run.workdir.parts) for run in outcomes]
  paths = [pathlib.PurePath(os.path.abspath(path)) for path in alone]
  common = os.path.commonpath([path.parent for path in paths])
  paths = [path.relative_to(common) for path in paths]
  # A value may hold a dash, a field cannot.
  parts = [re.split(r'-(?=[\w.]+=)', path.name) for path in paths]
  shared = set.intersection(*map(set, parts)) if len(paths) > 1 else set()
  networks = [run.config.model.name for run in outcomes]
  labels = []
  for path, network, own in zip(paths, networks, parts, strict=True):
    said = {part for part in shared if '=' in part} | {f'model.name={network}'}
    label = str(path.parent / '-'.join(p for p in own if p not in said))
    labels.append('' if label in ('.', network) else label)
  if len(set(zip(labels, networks, strict=True))) < len(paths):
    labels = map(str, paths)
  return list(zip(map(str, paths), labels, strict=True))
