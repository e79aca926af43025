"""What all figures share: colours, and how a file appears whole or not."""

import io
import pathlib

from matplotlib.figure import Figure

from ferjax import storage

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


def save(figure: Figure, path: str | storage.Path) -> None:
  """Writes the figure whole, or not at all."""
  path = pathlib.Path(path) if isinstance(path, str) else path
  file = io.BytesIO()
  form = path.suffix.removeprefix('.')
  figure.savefig(
    file, format=form, dpi=DPI, bbox_inches='tight', pad_inches=0.12
  )
  if not storage.is_remote(path):
    path.parent.mkdir(parents=True, exist_ok=True)
  storage.write_bytes(path, file.getvalue())


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
  """Cuts the middle out of a name that would push the figure aside."""
  if len(name) <= longest:
    return name
  end = (longest - 1) // 2
  return name[: longest - 1 - end] + '…' + name[-end:]
