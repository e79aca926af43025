"""What is said of a data set that was just read: counts, notes, faults."""

import rich.box
import rich.markup
import rich.table

from ferjax.data.raw import Raw

_LISTED = 20  # bad rows that are named; all are kept in metadata.json


def counts_table(raw: Raw) -> rich.table.Table:
  """Returns the examples of every split and class.

  A count that is not the published one, if any is, has the difference beside
  it.
  """
  table = rich.table.Table('class', box=rich.box.SIMPLE_HEAD)
  columns = []
  for name, split in raw.dataset.splits.items():
    table.add_column(name, justify='right')
    counts = split.counts(raw.dataset.num_classes).tolist()
    surplus = _surplus(raw, name)
    columns.append(
      [
        f'{count:,} ({more:+,})' if more else f'{count:,}'
        for count, more in zip(
          [*counts, sum(counts)], [*surplus, sum(surplus)], strict=True
        )
      ]
    )
  names = [*raw.dataset.class_names, 'all']
  for name, *row in zip(names, *columns, strict=True):
    table.add_row(rich.markup.escape(name), *row)
  return table


def lines(raw: Raw) -> list[str]:
  """Returns what is to be said below the table, line by line."""
  said = [raw.dataset.source]
  differing = [name for name in raw.dataset.splits if any(_surplus(raw, name))]
  if differing:
    said[0] += (
      f': the counts of {", ".join(differing)} are not the published ones (more'
      ' or fewer in brackets)'
    )
  elif raw.published:
    said[0] += ': the counts are the published ones'
  said += [f'no {name} split: {why}' for name, why in raw.missing.items()]
  said += [f'note: {note}' for note in raw.dataset.notes]
  said += [f'left out: {line}' for line in raw.skipped[:_LISTED]]
  if len(raw.skipped) > _LISTED:
    more = len(raw.skipped) - _LISTED
    said.append(f'left out: {more:,} more, listed in metadata.json')
  return said


def _surplus(raw: Raw, split_name: str) -> list[int]:
  """Returns how many more examples each class has than were published."""
  counts = raw.dataset.splits[split_name].counts(raw.dataset.num_classes)
  return (counts - raw.published.get(split_name, counts)).tolist()
