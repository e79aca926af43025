"""Pages are one file that says what it was given, whatever that is."""

import html.parser
import io

import numpy as np
from PIL import Image
import pytest

from ferjax.pages import Image as PageImage
from ferjax.pages import Page


def png(width=20, height=10):
  file = io.BytesIO()
  Image.new('L', (width, height)).save(file, 'PNG')
  return file.getvalue()


class Reader(html.parser.HTMLParser):
  """Reads a page as a browser does; every element must be closed."""

  VOID = ('meta', 'link', 'img')

  def __init__(self, page):
    super().__init__()
    self.open, self.found, self.words = [], [], []
    self.feed(str(page))
    self.close()
    assert self.open == []

  def handle_starttag(self, tag, attributes):
    self.found.append((tag, dict(attributes)))
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if data.strip() and 'style' not in self.open:
      self.words.append(data.strip())

  def all(self, tag):
    return [attributes for name, attributes in self.found if name == tag]


def test_everything_is_escaped():
  evil = '<script>&"\'</script>'
  page = Page(evil).section(evil).text(evil).facts({evil: evil})
  page.table([evil], [[evil]], evil).image(png(), evil, evil)
  reader = Reader(page)
  assert not reader.all('script')
  assert reader.words.count(evil) == 11  # and the contents, once more
  assert reader.all('img')[0]['alt'] == evil


def test_nothing_is_loaded():
  page = Page('t').section('s').image(png(), 'a').text('https://example.org')
  reader = Reader(page)
  addresses = [
    value
    for _, attributes in reader.found
    for name, value in attributes.items()
    if name in ('src', 'href')
  ]
  assert {a[:5] for a in addresses} == {'data:', '#s'}
  assert 'url(' not in str(page)
  assert '@import' not in str(page)


def test_contents_lead_to_sections_of_equal_names():
  reader = Reader(Page('t').section('A b!').section('a B').section('?'))
  anchors = [a['id'] for a in reader.all('h2')]
  assert anchors == ['a-b', 'a-b-2', 'section']
  assert [a['href'] for a in reader.all('a')] == [f'#{a}' for a in anchors]


def test_numbers_stand_at_the_right():
  rows = [
    ['a', 1, '12.5%', 0.123456, '1', np.int64(12345)],
    ['b', 20, '-', np.float32(2), 'x', 1],
  ]
  reader = Reader(Page('t').table(list('nabcde'), rows))
  cells = reader.all('td')[:5]
  kinds = [cell.get('class') for cell in cells]
  assert kinds == ['number', 'number', 'number', None, 'number']
  assert {'0.1235', '12,345', '2', '-'} <= set(reader.words)
  assert reader.all('th')[-1] == {'scope': 'row'}


def test_rows_must_fit_the_header():
  with pytest.raises(ValueError, match='shorter'):
    Page('t').table(['a', 'b'], [[1, 2], [1]])


def test_images_tell_their_size():
  reader = Reader(Page('t').images([PageImage(png(300, 40), 'a')] * 2))
  first, _ = reader.all('img')
  assert (first['width'], first['height']) == ('300', '40')
  assert first['style'].startswith('width:150px')
  with pytest.raises(ValueError, match='not a PNG'):
    Page('t').image(b'GIF89a', 'a')


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
  path = tmp_path / 'page.html'
  Page('first \udcff').write(path)
  assert 'first \\udcff' in path.read_text()

  def fail(self, target):
    raise OSError('disk full')

  monkeypatch.setattr(type(path), 'replace', fail)
  with pytest.raises(OSError, match='disk full'):
    Page('second').write(path)
  assert [p.name for p in tmp_path.iterdir()] == ['page.html']
  assert 'first' in path.read_text()
