"""A page of HTML that is one file: no network, no scripts, all escaped."""

import base64
from collections.abc import Iterable, Mapping, Sequence
import html
import numbers
import pathlib
import re
from typing import NamedTuple, Self

from ferjax import storage
from ferjax.pages.stylesheet import STYLE

_PNG = b'\x89PNG\r\n\x1a\n'
_DENSITY = 2  # pixels of an image to a CSS pixel: sharp on dense screens
# Of an image's own size; smaller, its words could not be read, so it scrolls.
_SMALLEST = 0.75
# Text that stands at the right of its column: 12, 1,234, 93.2%, +0.4, 12 k.
_NUMBER = re.compile(r'[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( ?[%kMGT]| m?s)?')


class Image(NamedTuple):
  """An image of a page.

  Attributes:
    png: the file's content.
    alt: what it shows, for those who do not see it.
    caption: what stands below it.
  """

  png: bytes
  alt: str
  caption: str = ''


class Page:
  """Sections of text, tables and images, written as one HTML file.

  What comes before the first section stands below the title. Methods return
  the page, so that calls can be chained.
  """

  def __init__(self, title: str) -> None:
    self._title = title
    self._sections: dict[str, str] = {}  # titles by id
    self._parts: list[str] = []

  def section(self, title: str) -> Self:
    """Begins a section, which the table of contents names."""
    name = re.sub(r'\W+', '-', title.lower()).strip('-') or 'section'
    anchor, number = name, 1
    while anchor in self._sections:
      number += 1
      anchor = f'{name}-{number}'
    self._sections[anchor] = title
    self._parts.append(f'<h2 id="{anchor}">{html.escape(title)}</h2>')
    return self

  def text(self, line: str) -> Self:
    """Adds a paragraph."""
    self._parts.append(f'<p>{html.escape(line)}</p>')
    return self

  def facts(self, values: Mapping[str, object]) -> Self:
    """Adds the few figures that matter most, large, each above its name."""
    items = ''.join(
      f'<div><dt>{html.escape(name)}</dt>'
      f'<dd>{html.escape(_show(value))}</dd></div>'
      for name, value in values.items()
    )
    self._parts.append(f'<dl class="facts">{items}</dl>')
    return self

  def table(
    self,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    caption: str = '',
  ) -> Self:
    """Adds a table; on a screen too narrow for it, it scrolls.

    Columns of numbers stand at the right. Whole numbers get commas, floats
    four digits, text stays as it is. The first column names the rows.

    Args:
      header: the titles of the columns.
      rows: as many values each.
      caption: what stands above it.

    Raises:
      ValueError: when a row has more or fewer values than the header.
    """
    shown = [[_show(value) for value in row] for row in rows]
    columns = zip(header, *shown, strict=True)
    kinds = [
      ' class="number"' if _is_numeric(values) else '' for _, *values in columns
    ]
    head = ''.join(
      f'<th scope="col"{kind}>{html.escape(title)}</th>'
      for title, kind in zip(header, kinds, strict=True)
    )
    body = ''.join(_row(values, kinds) for values in shown)
    self._parts.append(
      f'<figure class="table">{_caption(caption)}'
      '<div class="scroll"><table>'
      f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
      '</table></div></figure>'
    )
    return self

  def image(self, png: bytes, alt: str, caption: str = '') -> Self:
    """Adds an image, see `Image`, as wide as its pixels are at most.

    Raises:
      ValueError: when it is not a PNG.
    """
    self._parts.append(_figure(Image(png, alt, caption)))
    return self

  def images(self, images: Iterable[Image]) -> Self:
    """Adds images side by side where there is room.

    Raises:
      ValueError: when one is not a PNG.
    """
    figures = ''.join(map(_figure, images))
    self._parts.append(f'<div class="beside">{figures}</div>')
    return self

  def write(self, path: str | storage.Path) -> None:
    """Writes the file whole, or not at all.

    Raises:
      OSError: when it cannot be written.
    """
    path = pathlib.Path(path) if isinstance(path, str) else path
    # A name of a file, which a page may show, can be no text at all.
    storage.write_text(path, str(self), errors='backslashreplace')

  def __str__(self) -> str:
    contents = ''.join(
      f'<li><a href="#{anchor}">{html.escape(title)}</a></li>'
      for anchor, title in self._sections.items()
    )
    nav = f'<nav aria-label="Contents"><ol>{contents}</ol></nav>'
    return _DOCUMENT.format(
      title=html.escape(self._title),
      style=STYLE,
      contents=nav if contents else '',
      body='\n'.join(self._parts),
    )


def _row(values: Sequence[str], kinds: Sequence[str]) -> str:
  cells = [
    f'<td{kind}>{html.escape(value)}</td>'
    for value, kind in zip(values, kinds, strict=True)
  ]
  if values:
    cells[0] = f'<th scope="row"{kinds[0]}>{html.escape(values[0])}</th>'
  return f'<tr>{"".join(cells)}</tr>'


def _show(value: object) -> str:
  if isinstance(value, numbers.Integral) and not isinstance(value, bool):
    return f'{int(value):,}'
  if isinstance(value, numbers.Real) and not isinstance(value, bool):
    return f'{float(value):.4g}'
  return str(value)


def _is_numeric(values: Sequence[str]) -> bool:
  """Whether a column is of numbers alone, some of which may be missing."""
  known = [value for value in values if value not in ('', '-')]
  return bool(known) and all(map(_NUMBER.fullmatch, known))


def _figure(image: Image) -> str:
  if not image.png.startswith(_PNG):
    raise ValueError(f'not a PNG: {image.png[:8]!r}')
  # The size stands in the first chunk; given, nothing jumps while it loads.
  width, height = (
    int.from_bytes(image.png[at : at + 4], 'big') for at in (16, 20)
  )
  wide = width / _DENSITY
  data = base64.b64encode(image.png).decode()
  return (
    '<figure><div class="scroll">'
    f'<img src="data:image/png;base64,{data}" alt="{html.escape(image.alt)}"'
    f' width="{width}" height="{height}" style="width:{wide:.0f}px;'
    f'min-width:{_SMALLEST * wide:.0f}px"></div>'
    f'{_caption(image.caption)}</figure>'
  )


def _caption(text: str) -> str:
  return f'<figcaption>{html.escape(text)}</figcaption>' if text else ''


_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1></header>
{contents}
<main>
{body}
</main>
</body>
</html>
"""
