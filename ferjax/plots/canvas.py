"""What all figures share: colours, and how a file appears whole or not."""

import os
import pathlib

from matplotlib.figure import Figure

# Stay apart for every colour vision (Okabe and Ito, 2008).
TRAIN_COLOR, VALIDATION_COLOR, TEST_COLOR = '#0072B2', '#D55E00', '#009E73'
SPLIT_COLORS = {
  'train': TRAIN_COLOR,
  'validation': VALIDATION_COLOR,
  'test': TEST_COLOR,
}
# The same, but for yellow, which white swallows; a class has one everywhere.
CLASS_COLORS = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#56B4E9',
  '#E69F00',
  '#000000',
)
INK, QUIET, LINE, FAINT = '#222222', '#666666', '#BBBBBB', '#E3E3E3'
DPI = 180
LONGEST_NAME = 24  # characters of a name that a figure shows


def save(figure: Figure, path: str | os.PathLike) -> None:
  """Writes the figure under another name first, then renames it."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
  try:
    figure.savefig(partial, dpi=DPI, bbox_inches='tight', pad_inches=0.12)
    os.replace(partial, path)
  finally:
    partial.unlink(missing_ok=True)


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
  """Cuts the middle out of a name that would push the figure aside."""
  if len(name) <= longest:
    return name
  end = (longest - 1) // 2
  return name[: longest - 1 - end] + '…' + name[-end:]
