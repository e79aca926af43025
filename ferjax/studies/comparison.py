"""The comparison of finished runs as tables: columns, notes, CSV, Markdown."""

from collections.abc import Callable, Sequence
import csv
import io
import typing
from typing import Any

from ferjax import tables
from ferjax.studies.outcome import SPLITS, Score
from ferjax.studies.ranking import Groups, Row
from ferjax.tables import Cell, Column, si

if typing.TYPE_CHECKING:
  from ferjax import plots

ABSENT = '-'

NOTES = (
  'Accuracies in per cent, with the 95% interval that sampling leaves (Wilson);'
  ' macro-F1 of validation; gap: train - validation, in points.',
  'Validation chose each checkpoint, so its accuracy is a little high; that of'
  ' test is not.',
  'FLOPs: of one forward pass over one image, a multiply-add counted as two.',
)
TRAIN_NOTE = (
  'train accuracy: python -m ferjax.evaluate --workdir=DIR --split=train'
  ' measures it.'
)
RECORDED_NOTE = (
  'Images/s: as each run recorded them, at its own time and place; --time'
  ' measures all of them here, in turn.'
)


def title(rows: Sequence[Row], has_content: bool = False) -> str:
  """Returns what a group was trained and ranked on, for people.

  Args:
    rows: the group.
    has_content: whether hashes tell it from other groups.
  """
  dataset, validation = rows[0].outcome.dataset, rows[0].validation
  train = dataset['splits']['train']
  contents = ', '.join((content or 'unknown')[:8] for content in rows[0].data)
  return (
    f'{dataset["name"]}: {train["num_examples"]:,} train, '
    f'{validation.num_examples:,} validation'
    + (f' (content {contents})' if has_content else '')
  )


def titles(groups: Groups) -> list[str]:
  """Returns the title of each group."""
  return [title(rows, has_content=len(groups) > 1) for rows in groups]


def columns(rows: Sequence[Row]) -> list[Column]:
  """Returns the table of a group; `test` only where some run has it."""

  def column(
    name: str,
    value: Callable[[Row], str],
    detail_name: str = '',
    detail: Callable[[Row], str] = lambda row: '',
    is_number: bool = True,
  ) -> Column:
    cells = [Cell(value(row), detail(row)) for row in rows]
    return Column(name, cells, detail_name, is_number)

  scores = [row.outcome.scores for row in rows]
  has_labels = any(row.label for row in rows)
  has_seeds = len({row.outcome.config.seed for row in rows}) > 1
  return [
    Column('', [Cell(str(place)) for place in range(1, len(rows) + 1)]),
    column(
      'network',
      lambda r: r.network,
      'run' if has_labels else '',
      lambda r: r.label,
      is_number=False,
    ),
    column(
      'params',
      lambda r: si(r.counts.parameters),
      'FLOPs',
      lambda r: si(r.counts.flops),
    ),
    column(
      'train/s',
      lambda r: _speed(r.training),
      'infer/s',
      lambda r: _speed(r.inference),
    ),
    column(
      'epochs',
      lambda r: f'{r.outcome.epochs:.3g}',
      'seed' if has_seeds else '',
      lambda r: str(r.outcome.config.seed) if has_seeds else '',
    ),
    *(
      Column(split, [_accuracy(each.get(split)) for each in scores])
      for split in SPLITS
      if split != 'test' or any(split in each for each in scores)
    ),
    column(
      'macro-F1',
      lambda r: f'{r.validation.macro_f1:.3f}',
      'gap',
      lambda r: ABSENT if r.gap is None else f'{100 * r.gap:+.2f}',
    ),
  ]


def notes(groups: Groups, speed_note: str) -> list[str]:
  """Returns what a reader of the tables has to know, a line each.

  Args:
    groups: of `ranking.rank`.
    speed_note: how the images/s were measured.
  """
  rows = [row for group in groups for row in group]
  train = [TRAIN_NOTE] if any(row.gap is None for row in rows) else []
  of_data = {
    str(note) for row in rows for note in row.outcome.dataset.get('notes', ())
  }
  return [*NOTES, speed_note, *train, *sorted(of_data)]


def to_markdown(groups: Groups, remarks: Sequence[str]) -> str:
  """Returns a table for each group, and below them the remarks as a list."""
  parts = [
    f'**{heading}**\n\n{tables.to_markdown(columns(rows))}'
    for heading, rows in zip(titles(groups), groups, strict=True)
  ]
  parts.append(''.join(f'- {line}\n' for line in remarks))
  return '\n'.join(parts)


def to_csv(groups: Groups) -> str:
  """Returns the figures of the tables, unrounded, a line a run.

  What was not measured is empty.
  """
  records = [
    {'data_group': number, 'rank': place, **_record(row)}
    for number, rows in enumerate(groups, start=1)
    for place, row in enumerate(rows, start=1)
  ]
  text = io.StringIO()
  writer = csv.DictWriter(text, list(records[0]), lineterminator='\n')
  writer.writeheader()
  writer.writerows(records)
  return text.getvalue()


def bars(groups: Groups) -> 'list[tuple[str, list[plots.Bar]]]':
  """Returns what `plots.plot_comparison` draws."""
  return [
    (f'{heading}, ranked by validation', _bars(rows))
    for heading, rows in zip(titles(groups), groups, strict=True)
  ]


def _bars(rows: Sequence[Row]) -> 'list[plots.Bar]':
  from ferjax import plots  # matplotlib takes a second to import

  return [
    plots.Bar(
      row.network,
      f'{si(row.counts.parameters)} parameters, {si(row.counts.flops)} FLOPs'
      if row.title == row.network
      else row.label,
      {
        split: (score.accuracy, score.interval)
        for split, score in row.outcome.scores.items()
      },
    )
    for row in rows
  ]


def _record(row: Row) -> dict[str, Any]:
  run = row.outcome
  record = {
    'run': row.name,
    'workdir': str(run.workdir),
    'network': row.network,
    'dataset': run.dataset['name'],
    'train_content': row.data[0],
    'validation_content': row.data[1],
    'seed': run.config.seed,
    'parameters': row.counts.parameters,
    'flops': row.counts.flops,
    'training_images_per_second': row.training,
    'inference_images_per_second': row.inference,
    'images_per_second_are': 'timed' if row.is_timed else 'recorded',
    'epochs': run.epochs,
  }
  for split in SPLITS:
    score = run.scores.get(split)
    low, high = (score and score.interval) or (None, None)
    record[f'{split}_examples'] = score and score.num_examples
    record[f'{split}_accuracy'] = score and score.accuracy
    record[f'{split}_low'], record[f'{split}_high'] = low, high
  return record | {'macro_f1': row.validation.macro_f1, 'gap': row.gap}


def _accuracy(score: Score | None) -> Cell:
  if score is None:
    return Cell(ABSENT)
  low, high = score.interval
  return Cell(
    f'{100 * score.accuracy:.2f}', f'{100 * low:.1f}-{100 * high:.1f}'
  )


def _speed(images_per_second: float | None) -> str:
  return f'{images_per_second:,.0f}' if images_per_second else ABSENT
