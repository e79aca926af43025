"""The comparison of finished runs as tables: columns, notes, CSV, Markdown."""

from collections.abc import Callable, Sequence
import csv
import io
import typing
from typing import Any

from ferjax import tables
from ferjax.outcome import SPLITS, Score
from ferjax.ranking import Groups, Row
from ferjax.tables import Cell, Column, si

if typing.TYPE_CHECKING:
  from ferjax import plots

ABSENT = '-'
RUNNING = '†'  # marks what is not measured as the rest is

NOTES = (
  'Accuracies in per cent, with the 95% interval that sampling leaves (Wilson);'
  ' macro-F1 of validation; gap: train - validation, in points.',
  'FLOPs: of one forward pass over one image, a multiply-add counted as two.',
)
RUNNING_NOTE = (
  f'{RUNNING} Running accuracy of the last epoch: of augmented images, while'
  ' the weights moved. python -m ferjax.evaluate --split=train measures it.'
)
RECORDED_NOTE = (
  'images/s: as each run recorded them, at its own time and place; --time'
  ' measures all of them here, in turn.'
)


def title(rows: Sequence[Row]) -> str:
  """Returns what a group was trained and ranked on, for people."""
  dataset, validation = rows[0].outcome.dataset, rows[0].validation
  train = dataset['splits']['train']
  contents = ', '.join((content or 'unknown')[:8] for content in rows[0].data)
  return (
    f'{dataset["name"]}: {train["num_examples"]:,} train, '
    f'{validation.num_examples:,} validation (content {contents})'
  )


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
  return [
    Column('', [Cell(str(place)) for place in range(1, len(rows) + 1)]),
    column(
      'network', lambda r: r.network, 'run', lambda r: r.name, is_number=False
    ),
    column(
      'parameters',
      lambda r: si(r.counts.parameters),
      'FLOPs',
      lambda r: si(r.counts.flops),
    ),
    column(
      'images/s, training',
      lambda r: _speed(r.training),
      'inference',
      lambda r: _speed(r.inference),
    ),
    column(
      'epochs',
      lambda r: f'{r.outcome.epochs:.4g}',
      'seed',
      lambda r: str(r.outcome.config.seed),
    ),
    *(
      Column(split, [_accuracy(each.get(split)) for each in scores])
      for split in SPLITS
      if any(split in each for each in scores)
    ),
    column('macro-F1', lambda r: f'{r.validation.macro_f1:.3f}'),
    column('gap', lambda r: f'{100 * r.gap:+.1f}' + _mark(r)),
  ]


def notes(groups: Groups, speed_note: str) -> list[str]:
  """Returns what a reader of the tables has to know, a line each.

  Args:
    groups: of `ranking.rank`.
    speed_note: how the images/s were measured.
  """
  rows = [row for group in groups for row in group]
  running = [RUNNING_NOTE] if any(_mark(row) for row in rows) else []
  of_data = {n for row in rows for n in row.outcome.dataset.get('notes', ())}
  return [*NOTES, speed_note, *running, *sorted(of_data)]


def to_markdown(groups: Groups, remarks: Sequence[str]) -> str:
  """Returns a table for each group, and below them the remarks as a list."""
  parts = [
    f'**{title(rows)}**\n\n{tables.to_markdown(columns(rows))}'
    for rows in groups
  ]
  parts.append(''.join(f'- {line}\n' for line in remarks))
  return '\n'.join(parts)


def to_csv(groups: Groups) -> str:
  """Returns all figures of all runs, unrounded, a line each."""
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
  return [(title(rows), _bars(rows)) for rows in groups]


def _bars(rows: Sequence[Row]) -> 'list[plots.Bar]':
  from ferjax import plots  # matplotlib takes a second to import

  is_network_enough = len({row.network for row in rows}) == len(rows)
  return [
    plots.Bar(
      row.network,
      f'{si(row.counts.parameters)} parameters, {si(row.counts.flops)} FLOPs'
      if is_network_enough
      else row.name,
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
    'epochs': run.epochs,
  }
  for split in SPLITS:
    score = run.scores.get(split)
    low, high = (score and score.interval) or (None, None)
    record[f'{split}_accuracy'] = score and score.accuracy
    record[f'{split}_low'], record[f'{split}_high'] = low, high
  record['train_is_running'] = run.scores['train'].is_running
  return record | {'macro_f1': row.validation.macro_f1, 'gap': row.gap}


def _accuracy(score: Score | None) -> Cell:
  if score is None:
    return Cell(ABSENT)
  if score.interval is None:
    return Cell(f'{100 * score.accuracy:.1f}{RUNNING}')
  low, high = score.interval
  return Cell(
    f'{100 * score.accuracy:.2f}', f'{100 * low:.1f} to {100 * high:.1f}'
  )


def _mark(row: Row) -> str:
  return RUNNING if row.outcome.scores['train'].is_running else ''


def _speed(images_per_second: float | None) -> str:
  return f'{images_per_second:,.0f}' if images_per_second else ABSENT
