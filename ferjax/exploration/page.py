"""The page of an exploration, and the figures on it."""

from collections.abc import Sequence

import numpy as np

from ferjax import plots
from ferjax.data import audit as audit_lib
from ferjax.data.audit import Audit
from ferjax.data.dataset import Dataset
from ferjax.exploration import contents as exploration
from ferjax.exploration.suspects import Suspects
from ferjax.pages import Page
from ferjax.storage import Path
from ferjax.tables import Column

SHOWN = 32  # images that a gallery shows at most
_SAMPLES = 10  # of each class


def write(
  dataset: Dataset,
  audit: Audit,
  suspects: Suspects | None,
  folder: Path,
) -> None:
  """Draws the figures and writes explore.html.

  Args:
    dataset: all its splits, of which the first is drawn most.
    audit: of these splits.
    suspects: the doubtful labels, if a network was asked.
    folder: an existing one; gets the figures as PNG files, too.

  Raises:
    OSError: when something cannot be written.
  """
  page = Page(f'{dataset.name}, explored')
  page.text(dataset.source)
  for note in dataset.notes:
    page.text(note)
  page.facts(_facts(dataset, audit, suspects))
  _add_classes(page, dataset, folder)
  _add_faces(page, dataset, folder)
  _add_audit(page, dataset, audit, folder)
  if suspects is not None:
    _add_suspects(page, suspects, folder)
  page.write(folder / 'explore.html')


def _facts(
  dataset: Dataset, audit: Audit, suspects: Suspects | None
) -> dict[str, object]:
  height, width, channels = dataset.image_shape
  facts = {
    'images': len(audit.split),
    'classes': dataset.num_classes,
    'pixels': f'{width} x {height}' + (' colour' if channels == 3 else ''),
    'unique images': audit.num_unique,
    'groups of copies with conflicting labels': audit.num_conflicts,
  }
  if suspects is not None:
    facts['labels in doubt'] = len(suspects.splits)
  return facts


def _add_classes(page: Page, dataset: Dataset, folder: Path) -> None:
  names, splits = dataset.class_names, dataset.splits
  page.section('Classes')
  _add_table(page, exploration.count_table(dataset))
  counts = {name: s.counts(dataset.num_classes) for name, s in splits.items()}
  plots.plot_counts(counts, names, folder / 'counts.png')
  _add_figure(
    page,
    folder / 'counts.png',
    'Bars: how many examples each class has in each split',
    'As shares, so that splits of different size compare.',
  )


def _add_faces(page: Page, dataset: Dataset, folder: Path) -> None:
  names, k = dataset.class_names, dataset.num_classes
  first, split = next(iter(dataset.splits.items()))
  page.section('Images')
  rows = exploration.spread(split.labels, k, _SAMPLES)
  plots.plot_samples(
    split.images[rows],
    split.labels[rows],
    names,
    folder / 'samples.png',
    _SAMPLES,
  )
  _add_figure(
    page,
    folder / 'samples.png',
    'Images of each class, one class a row',
    f'Of each class of {first}, evenly from its first image to its last.',
  )
  means, deviations = exploration.class_faces(split, k)
  counts = split.counts(k)
  captions = [f'{n}\n{c:,} images' for n, c in zip(names, counts, strict=True)]
  plots.plot_mean_faces(means, deviations, captions, folder / 'means.png')
  _add_figure(
    page,
    folder / 'means.png',
    'The mean image of each class and the deviation from it',
    f'The mean of each class of {first}, and below it the deviation: the'
    ' brighter, the more its images differ there.',
  )
  values = {n: exploration.brightness(s) for n, s in dataset.splits.items()}
  plots.plot_brightness(values, folder / 'brightness.png')
  _add_figure(
    page,
    folder / 'brightness.png',
    'Histogram of the brightness of the images of each split',
    'How bright the images are.',
  )


def _add_audit(
  page: Page, dataset: Dataset, audit: Audit, folder: Path
) -> None:
  page.section('Audit')
  if 'test' in dataset.splits:
    page.text(
      'The test split is read here for this audit of its pixels alone; no'
      ' network sees it.'
    )
  _add_table(page, exploration.audit_table(audit))
  page.text(
    'A near-constant image has pixels that deviate by less than'
    f' {audit_lib.FLAT_DEVIATION:g} of 255 grey levels. An exact copy equals'
    ' another image pixel by pixel. Near copies are not exact ones; their'
    f' perceptual hashes differ in at most {audit_lib.NEAR_DISTANCE} of 64 bits'
    f' and their pixels correlate with {audit_lib.NEAR_CORRELATION:g} or more.'
    ' audit.csv and audit.json list each image by split and index.'
  )
  for title, name, rows, alt in (
    ('Near-constant images', 'flat', np.flatnonzero(audit.is_flat), ''),
    (
      'Copies with conflicting labels',
      'conflicts',
      _some_conflicts(audit),
      ', two of each image',
    ),
    (
      'Near copies in different splits',
      'near',
      _some_near(audit),
      ', each followed by the one that it resembles',
    ),
  ):
    if not len(rows):
      continue
    page.section(title)
    path = folder / f'{name}.png'
    _draw(dataset, audit, rows[:SHOWN], path)
    _add_figure(
      page, path, title + alt, 'Below each: its class, split and index.'
    )


def _add_suspects(page: Page, suspects: Suspects, folder: Path) -> None:
  page.section('Labels in doubt')
  page.text(
    f'By confident learning (arXiv 1911.00068) from {suspects.origin}: a class'
    ' other than the given one has a probability above its mean over its own'
    f' examples. {len(suspects.splits):,} were found; the surest come first.'
  )
  captions = [
    f'{given} →\n{suggested}\n{split} {index}'
    for given, suggested, split, index in zip(
      suspects.given,
      suspects.suggested,
      suspects.splits,
      suspects.index,
      strict=True,
    )
  ]
  path = folder / 'labels.png'
  plots.plot_gallery(suspects.images[:SHOWN], captions[:SHOWN], path)
  _add_figure(
    page, path, 'Images with doubtful labels', 'Given → suggested class.'
  )
  _add_table(page, exploration.joint_table(suspects))


def _some_conflicts(audit: Audit) -> np.ndarray:
  """Returns positions: of each group two images with different labels."""
  found = []
  for group in np.unique(audit.groups[audit.is_conflicting]):
    rows = np.flatnonzero(audit.groups == group)
    is_other = audit.labels[rows] != audit.labels[rows[0]]
    found += [rows[0], rows[is_other.argmax()]]
  return np.array(found, int)


def _some_near(audit: Audit) -> np.ndarray:
  """Returns positions: of each two near copies the held-out one first."""
  rows = np.flatnonzero(audit.nearest >= 0)
  rows = rows[audit.split[rows] > audit.split[audit.nearest[rows]]]
  rows = rows[np.argsort(-audit.correlation[rows], kind='stable')]
  return np.stack([rows, audit.nearest[rows]], axis=1).reshape(-1)


def _draw(dataset: Dataset, audit: Audit, rows: np.ndarray, path: Path) -> None:
  """Draws images by their positions in the audit."""
  sizes = [len(dataset.splits[name]) for name in audit.split_names]
  starts = np.cumsum([0, *sizes])
  images, captions = [], []
  for row in rows:
    place = audit.split[row]
    name = audit.split_names[place]
    images.append(dataset.splits[name].images[row - starts[place]])
    label = dataset.class_names[audit.labels[row]]
    captions.append(f'{label}\n{name} {audit.index[row]}')
  plots.plot_gallery(np.stack(images), captions, path)


def _add_table(page: Page, columns: Sequence[Column]) -> None:
  cells = [[cell.value for cell in column.cells] for column in columns]
  rows = zip(*cells, strict=True)
  page.table([column.title for column in columns], rows)


def _add_figure(page: Page, path: Path, alt: str, caption: str) -> None:
  page.image(path.read_bytes(), alt, caption)
