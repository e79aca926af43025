"""Figures appear whole, for any history and any classes."""

import math
import threading

from matplotlib import figure as figures
import numpy as np
from PIL import Image
import pytest

from ferjax import plots, storage

NAMES = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
RECORDS = [
  {'step': 50, 'epoch': 0.5, 'train/loss': 1.9, 'train/accuracy': 0.2},
  {'step': 100, 'epoch': 1.0, 'train/loss': 1.5, 'train/accuracy': 0.4},
  {'step': 100, 'val/loss': 1.7, 'val/accuracy': 0.35},
  {'step': 200, 'epoch': 2.0, 'train/loss': 1.2, 'train/accuracy': 0.5},
  {'step': 200, 'val/loss': 1.6, 'val/accuracy': 0.45},
  {'step': 300, 'val/loss': 1.8, 'val/accuracy': 0.40},
]


def texts(axes):
  return [text.get_text() for text in axes.texts]


def test_curves_mark_the_best_validation(tmp_path, drawn):
  plots.plot_curves(RECORDS, tmp_path / 'new' / 'curves.png')
  loss, accuracy = drawn[0].axes
  assert accuracy.get_title(loc='right') == '○ best 45.0%, epoch 2'
  assert loss.get_title(loc='right') == '○ 1.600 at best accuracy'
  training, validation, best = accuracy.lines
  np.testing.assert_allclose(training.get_xydata()[:, 0], [0.5, 1, 2])
  np.testing.assert_allclose(
    validation.get_xydata(), [[1, 0.35], [2, 0.45], [3, 0.4]]
  )
  np.testing.assert_allclose(best.get_xydata(), [[2, 0.45]])
  with Image.open(tmp_path / 'new' / 'curves.png') as image:
    assert min(image.size) > 600


def test_curves_count_steps_without_epochs(tmp_path, drawn):
  history = [{'step': s, 'val/accuracy': s / 4000} for s in (1000, 2000)]
  plots.plot_curves(history, tmp_path / 'curves.png')
  loss, accuracy = drawn[0].axes
  assert accuracy.get_title(loc='right') == '○ best 50.0%, step 2,000'
  assert texts(loss) == ['nothing recorded']


@pytest.mark.parametrize(
  'history',
  [
    [],
    RECORDS[:1],
    RECORDS[2:3],
    [{'step': 1, 'val/accuracy': math.nan, 'val/loss': None}],
    [
      {'step': 1, 'train/loss': 2.0, 'val/accuracy': 0.3, 'val/loss': None},
      {'step': 2, 'train/loss': math.inf, 'val/accuracy': None},
      {'step': 3, 'train/loss': 1.0, 'epoch': 0.0},
    ],
  ],
)
def test_curves_take_any_history(tmp_path, history):
  plots.plot_curves(history, tmp_path / 'curves.png')
  with Image.open(tmp_path / 'curves.png') as image:
    image.verify()


def test_confusion_numbers(tmp_path, drawn):
  confusion = np.array([[1500, 500], [0, 48]])
  for normalized in (False, True):
    plots.plot_confusion(
      confusion, ('no', 'yes'), tmp_path / 'c.png', 'A title', normalized
    )
  counts, percents = (texts(figure.axes[0]) for figure in drawn)
  assert counts[:4] == ['1,500', '500', '0', '48']
  assert percents[:4] == ['75.0', '25.0', '0.0', '100.0']
  assert counts[4] == 'accuracy 75.6% of 2,048 · counts'
  axes = drawn[0].axes[0]
  assert axes.get_title(loc='left') == 'A title'
  assert (axes.get_xlabel(), axes.get_ylabel()) == ('predicted', 'true')
  labels = [label.get_text() for label in axes.get_yticklabels()]
  assert labels == ['no (2,000)', 'yes (48)']


def test_confusion_text_stands_out(tmp_path, drawn):
  confusion = np.outer(np.ones(10, int), np.arange(10)) * 10
  names = [str(i) for i in range(10)]
  plots.plot_confusion(confusion, names, tmp_path / 'c.png', '', False)
  cells = drawn[0].axes[0].texts[:10]
  colors = [cell.get_color() for cell in cells]
  assert colors[0] == plots.INK
  assert colors[-1] == 'white'
  assert colors == sorted(colors)  # '#...' before 'white': one change


@pytest.mark.parametrize('num_classes', [2, 10])
def test_confusion_with_long_names_and_empty_classes(tmp_path, num_classes):
  confusion = np.zeros((num_classes, num_classes), np.int64)
  names = ['$a_class that nobody \\meant to name so lengthily'] * num_classes
  for suffix in ('png', 'pdf'):
    plots.plot_confusion(
      confusion, names, tmp_path / f'c.{suffix}', 'a $title', True
    )
  assert {path.name for path in tmp_path.iterdir()} == {'c.png', 'c.pdf'}


@pytest.mark.parametrize('channels', [1, 3])
def test_samples_stand_in_their_class_row(tmp_path, drawn, channels):
  labels = np.array([6, 0, 6, 6])
  images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.full(
    (4, 32, 32, channels), 60, np.uint8
  )
  plots.plot_samples(images, labels, NAMES, tmp_path / 's.png', columns=2)
  sheet = np.asarray(drawn[0].axes[0].images[0].get_array())
  assert sheet.shape == (7 * 34 - 2, 2 * 34 - 2, 3)
  first, last = sheet[:32], sheet[-32:]
  assert (first[:, :32] == 60).all()
  assert (first[:, 34:] == 255).all()  # angry has one image
  assert (last[:, :32] == 0).all()
  assert (last[:, 34:] == 120).all()  # the fourth image finds no place
  with Image.open(tmp_path / 's.png') as image:
    image.verify()


def test_a_failed_write_leaves_the_old_figure(tmp_path, monkeypatch):
  path = tmp_path / 'curves.png'
  path.write_bytes(b'old')

  def fail(_, partial, **__):
    partial.write(b'half')
    raise OSError('disk full')

  monkeypatch.setattr(figures.Figure, 'savefig', fail)
  with pytest.raises(OSError, match='disk full'):
    plots.plot_curves(RECORDS, path)
  assert [p.name for p in tmp_path.iterdir()] == ['curves.png']
  assert path.read_bytes() == b'old'


def test_a_figure_in_a_bucket_is_the_same(store, tmp_path):
  plots.plot_curves(RECORDS, tmp_path / 'curves.png')
  plots.plot_curves(RECORDS, storage.path('s3://ferjax/a/curves.png'))
  drawn = (tmp_path / 'curves.png').read_bytes()
  assert store.objects == {'ferjax/a/curves.png': drawn}


def test_figures_may_be_drawn_in_a_thread(tmp_path):
  thread = threading.Thread(
    target=plots.plot_curves, args=(RECORDS, tmp_path / 'curves.png')
  )
  thread.start()
  thread.join()
  assert (tmp_path / 'curves.png').exists()


def draw_comparison(tmp_path, drawn):
  bar = plots.Bar(
    'a $name',
    'a detail that is far too long to stand beside a bar',
    {
      'train': (0.9, (0.85, 0.94)),
      'validation': (0.6, (0.55, 0.64)),
      'test': (0.5, (0.45, 0.54)),
    },
  )
  only = plots.Bar('b', '', {'validation': (0.3, (0.2, 0.4))})
  plots.plot_comparison(
    [('first', [bar, only]), ('second', [only])], tmp_path / 'c.png'
  )
  with Image.open(tmp_path / 'c.png') as image:
    image.verify()
  return drawn[0].axes


def test_comparison_draws_bars_with_their_intervals(tmp_path, drawn):
  first, second = draw_comparison(tmp_path, drawn)
  assert [patch.get_width() for patch in first.patches] == [0.6, 0.5, 0.3]
  lines = [tuple(line.get_xdata()) for line in first.lines]
  assert lines == [(0.55, 0.64), (0.45, 0.54), (0.9, 0.9), (0.2, 0.4)]
  assert len(second.patches) == 1


def test_comparison_says_what_it_shows(tmp_path, drawn):
  first, second = draw_comparison(tmp_path, drawn)
  assert first.get_title(loc='left') == 'first'
  words = texts(first)
  assert words[:3] == ['train', 'validation', 'test']
  assert words[5:8] == ['90.0%', '60.0%', '50.0%']
  assert words[10:] == ['-', '30.0%', '-']
  assert words[4] == 'a detail that is f…tand beside a bar'
  figures = first.texts[5:8]
  assert {text.get_verticalalignment() for text in figures} == {'center'}
  bar = first.patches[0]
  middle = bar.get_y() + bar.get_height() / 2
  assert [text.xy[1] for text in figures] == pytest.approx([middle] * 3)
  assert first.get_xlabel() == ''
  assert second.get_xlabel() == (
    'bar: validation; black line: 95% interval; thin bar: test; '
    'blue mark: train'
  )


def test_comparison_has_room_for_the_ends_of_intervals(tmp_path, drawn):
  bars = [
    plots.Bar('a', '', {'validation': (0.6, (0.4, 0.78))}),
    plots.Bar('b', '', {'validation': (0.3, (0.2, 0.4))}),
  ]
  plots.plot_comparison([('few', bars)], tmp_path / 'c.png')
  plots.plot_comparison([('fewer', bars[1:])], tmp_path / 'c.png')
  for figure, end in zip(drawn, (0.9, 0.5), strict=True):
    assert figure.axes[0].get_xlim() == (0, pytest.approx(end))
