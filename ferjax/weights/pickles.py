"""Reads what `torch.save` wrote: a pickle that may build nothing but tensors.

Unpickling a file runs what the file says. Here it can only make dicts, tuples,
plain values and the two tuples below; all else is refused by name, and so is
too much nesting. Torch is not needed.
"""

from collections import OrderedDict
import io
import pathlib
import pickle
from typing import Any, BinaryIO
import zipfile

import numpy as np

from ferjax.errors import UserError, brief
from ferjax.weights import nesting, tensors
from ferjax.weights.tensors import DTYPES, Storage, Tensor

# `torch.serialization.MAGIC_NUMBER`: the first pickle of a file that is no zip
# archive, as torch wrote them until 1.6 and torchvision's oldest files are.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C

# Where a training script keeps the weights beside other things.
CONTAINERS = ('state_dict', 'model', 'model_state', 'model_state_dict')


# A file may set attributes of what it names, and those of a function tell what
# it does: these have none. Their other arguments are for gradients.
class _RebuildTensor:
  __slots__ = ()

  def __call__(self, *args: Any) -> Tensor:
    return Tensor(*args[:4])


class _RebuildParameter:
  __slots__ = ()

  def __call__(self, *args: Any) -> Tensor:
    return args[0]


ALLOWED = {
  ('collections', 'OrderedDict'): OrderedDict,
  ('torch._utils', '_rebuild_tensor'): _RebuildTensor(),
  ('torch._utils', '_rebuild_tensor_v2'): _RebuildTensor(),
  ('torch._utils', '_rebuild_parameter'): _RebuildParameter(),
  **{('torch', kind): kind for kind in DTYPES},
}


class _Unpickler(pickle.Unpickler):
  """Builds what `ALLOWED` names, and a `Storage` for each row of numbers.

  Attributes:
    storages: all that were met, by key.
  """

  def __init__(self, file: BinaryIO) -> None:
    super().__init__(file)
    self.storages: dict[str, Storage] = {}

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) not in ALLOWED:
      raise UserError(
        f'it holds {f"{module}.{name}"[:200]!r}, which only running code could '
        'build; open it with torch and save its state_dict as .safetensors'
      )
    return ALLOWED[module, name]

  def persistent_load(self, pid: Any) -> Storage:
    _, kind, key, *_ = pid
    if not isinstance(key, str) or kind not in DTYPES:
      raise ValueError('a storage without a name or of an unknown kind')
    if any(pid[5:]):
      raise ValueError('a storage that is a part of another')
    return self.storages.setdefault(key, Storage(key, kind))


def _load(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
  """Unpickles what begins here; returns it, and all storages by key."""
  nesting.check(file)
  unpickler = _Unpickler(file)
  return unpickler.load(), unpickler.storages


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of a file of `torch.save`, in either of its two forms.

  Args:
    path: a state dict, or a dict that holds one as one of `CONTAINERS`.

  Returns:
    The arrays by name, in the types of the file; empty if there are none.

  Raises:
    UserError: if the file is damaged, or holds anything but tensors and plain
      values.
  """
  try:
    if zipfile.is_zipfile(path):
      return _read_archive(path)
    return _read_stream(path)
  except UserError as error:
    raise UserError(f'{path} is not read: {error}') from None
  except Exception as error:  # a damaged pickle may raise anything
    raise UserError(
      f'{path} is damaged or no file of torch.save ({brief(error)}); fetch'
      ' it again'
    ) from None


def _read_archive(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads `NAME/data.pkl`, `NAME/byteorder` and `NAME/data/KEY` of a zip.

  Nothing is unpacked to files, whatever the names in it are.
  """
  with zipfile.ZipFile(path) as archive:
    for record in archive.infolist():  # a megabyte may stand for a terabyte
      if record.compress_type != zipfile.ZIP_STORED:
        raise ValueError('its records are compressed, and torch.save does not')
    names = archive.namelist()
    pickled = next((name for name in names if name.endswith('/data.pkl')), '')
    saved, _ = _load(io.BytesIO(archive.read(pickled)))
    root = pickled.removesuffix('data.pkl')
    order = b'little'
    if f'{root}byteorder' in names:
      order = archive.read(f'{root}byteorder')
    return tensors.cut(
      _state_dict(saved),
      lambda key: archive.read(f'{root}data/{key}'),
      order,
    )


def _read_stream(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads pickles in a row, then of each storage its size and its numbers."""
  num_bytes = path.stat().st_size
  with path.open('rb') as file:
    magic_number, _ = _load(file)
    if magic_number != MAGIC_NUMBER:
      raise ValueError('it begins otherwise')
    _load(file)  # the version of this form
    _load(file)  # the machine; the numbers are always little-endian
    saved, storages = _load(file)
    keys, _ = _load(file)
    numbers = {}
    for key in keys:
      size = int.from_bytes(file.read(8), 'little')
      size *= np.dtype(DTYPES[storages[key].kind]).itemsize
      if size > num_bytes:  # room would be made for all of it
        raise ValueError('it is cut short')
      numbers[key] = file.read(size)
  return tensors.cut(_state_dict(saved), numbers.__getitem__, b'little')


def _state_dict(saved: Any) -> dict[Any, Any]:
  """Returns the state dict in what was unpickled, an empty one if none is."""
  if not isinstance(saved, dict):
    return {}
  for container in CONTAINERS:
    if isinstance(saved.get(container), dict):
      saved = saved[container]
  return saved
