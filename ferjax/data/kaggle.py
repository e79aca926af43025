"""Fetches data sets from Kaggle with its library, kagglehub."""

import pathlib

from ferjax.errors import UserError

SOURCE = 'kaggle'  # what `--source` says

# kaggle.com/datasets/HANDLE
HANDLES = {'fer2013': 'msambare/fer2013', 'ckplus': 'shawon10/ckplus'}


def fetch(name: str) -> pathlib.Path:
  """Downloads a data set, or finds the copy that was downloaded before.

  Args:
    name: of the data set, as prepare has it.

  Returns:
    The folder that kagglehub keeps it in.

  Raises:
    UserError: if Kaggle's copy of it is not known, or cannot be had; it says
      what to do instead.
  """
  if name not in HANDLES:
    raise UserError(
      f'--source={SOURCE}: fetches {" and ".join(HANDLES)}, not {name}; give'
      f' its path (./{SOURCE} if that is its name)'
    )
  page = f'kaggle.com/datasets/{HANDLES[name]}'
  by_hand = f'or download {page} in a browser, unpack it and give its path'
  try:
    import kagglehub
  except ImportError:
    raise UserError(
      f'--source={SOURCE}: pip install "ferjax[kaggle]", {by_hand}'
    ) from None
  try:
    return pathlib.Path(kagglehub.dataset_download(HANDLES[name]))
  except Exception as error:  # of its own, of requests, of the disk
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise UserError(
      f'--source={SOURCE}: cannot fetch {page} ({reason[:200]}); see that the'
      ' network is there and, if Kaggle asks who you are, set KAGGLE_API_TOKEN'
      f' (kaggle.com/settings/api); {by_hand}'
    ) from error
