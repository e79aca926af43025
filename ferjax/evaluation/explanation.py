"""Pictures of what a network looked at, and of how it tells images apart."""

from collections.abc import Sequence

import numpy as np

from ferjax import plots
from ferjax.data.dataset import Split
from ferjax.errors import UserError
from ferjax.evaluation import insight, projection
from ferjax.evaluation.assessment import Result
from ferjax.inference import Classifier, Predictor
from ferjax.storage import Path

POINTS = 2000  # images that are projected at most


def check(
  classifier: Classifier, examples: Split, chosen: Sequence[int]
) -> None:
  """Refuses what cannot be explained before all of it is scored.

  Args:
    classifier: that is to be explained.
    examples: of the whole split.
    chosen: the `index` of each image.

  Raises:
    UserError: for an ensemble, and for an image that is not there.
  """
  if not isinstance(classifier, Predictor):
    raise UserError(
      '--explain: an ensemble has no heat maps; give a single --workdir'
    )
  _refuse_unknown(examples.index, chosen)


def choose(result: Result, chosen: Sequence[int] = ()) -> np.ndarray:
  """Returns the rows of the images to explain, int `[n]`.

  Args:
    result: of all images.
    chosen: the `index` of each; of none, the surest hit and the surest mistake
      of every class are chosen.

  Raises:
    UserError: if an image that was chosen is not there.
  """
  if chosen:
    _refuse_unknown(result.examples.index, chosen)
    places = {index: row for row, index in enumerate(result.examples.index)}
    return np.array([places[index] for index in chosen])
  probabilities = result.evaluation.probabilities
  guesses, labels = probabilities.argmax(1), result.examples.labels
  rows = []
  for label in range(probabilities.shape[1]):
    for kind in (guesses == labels, guesses != labels):
      own = np.flatnonzero(kind & (labels == label))
      if len(own):
        rows.append(own[probabilities[own].max(1).argmax()])
  return np.array(rows, int)


def draw_heat(
  predictor: Predictor, result: Result, rows: np.ndarray, folder: Path
) -> Path:
  """Draws where the network looked for the class that it guessed.

  Args:
    predictor: the network.
    result: its answers.
    rows: int `[n]`, the images.
    folder: gets grad_cam.png.

  Raises:
    UserError: if the network has no feature map.
  """
  examples, names = result.examples.take(rows), predictor.class_names
  probabilities = result.evaluation.probabilities[rows]
  guesses = probabilities.argmax(1)
  heat = insight.grad_cam(predictor, examples.images, guesses)
  captions = [
    f'{names[guess]} {share:.0%}, '
    + ('right' if guess == label else f'not {names[label]}')
    + f'\nindex {index}'
    for guess, share, label, index in zip(
      guesses,
      probabilities.max(1),
      examples.labels,
      examples.index,
      strict=True,
    )
  ]
  path = folder / 'grad_cam.png'
  plots.plot_overlays(examples.images, heat, captions, path)
  return path


def draw_features(predictor: Predictor, result: Result, folder: Path) -> Path:
  """Draws the principal components of the features, of a sample of images.

  Args:
    predictor: the network.
    result: its answers.
    folder: gets features.png.
  """
  examples = result.examples
  order = np.random.default_rng(0).permutation(len(examples))
  examples = examples.take(np.sort(order[:POINTS]))
  plane = projection.project(insight.features(predictor, examples.images))
  shares = zip(('first', 'second'), plane.explained, strict=True)
  path = folder / 'features.png'
  plots.plot_scatter(
    plane.points,
    examples.labels,
    predictor.class_names,
    path,
    f'Features of {len(examples):,} images, in two dimensions',
    tuple(f'{name} component ({share:.0%} of all)' for name, share in shares),
  )
  return path


def _refuse_unknown(index: np.ndarray, chosen: Sequence[int]) -> None:
  unknown = sorted(set(chosen) - set(index.tolist()))
  if unknown:
    raise UserError(
      f'--explain: no image with the index {unknown[0]} is scored; '
      f'they go from {index.min()} to {index.max()}'
    )
