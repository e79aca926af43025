"""TensorBoard's event files, on a disk or in a bucket."""

import typing

from etils import epath

from ferjax import storage
from ferjax.appended import Appended

if typing.TYPE_CHECKING:
  from tensorboardX import SummaryWriter


def open_writer(folder: str, step: int) -> 'SummaryWriter':
  """Begins an event file; of earlier ones, what is of later steps is hidden.

  Args:
    folder: of all event files of a run.
    step: the first that will be written.
  """
  import tensorboardX  # takes PyTorch along: seconds

  # Its own way into a bucket needs packages, and keys, that ours does not.
  for scheme in storage.SCHEMES:
    tensorboardX.record_writer.register_writer_factory(scheme, _InBucket)
  return tensorboardX.SummaryWriter(folder, '', step)


class _InBucket:
  """How tensorboardX writes into a bucket."""

  @staticmethod
  def directory_check(path: str) -> None:
    """Makes no folder, as buckets have none."""

  @staticmethod
  def open(path: str) -> Appended:
    """Opens an event file."""
    return Appended(epath.Path(path))
