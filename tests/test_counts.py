"""The bars of the counts and the lines of the brightness are true."""

import numpy as np
import pytest

from ferjax import plots
from ferjax.plots import counts as counts_lib
from ferjax.plots import histogram


@pytest.fixture
def drawn(monkeypatch):
  """Collects the figures that would be saved."""
  saved = []
  for module in (counts_lib, histogram):
    monkeypatch.setattr(module, 'save', lambda figure, _: saved.append(figure))
  return saved


def test_bars_are_shares_and_say_counts(drawn):
  counts = {'train': np.array([1500, 500]), 'test': np.array([0, 4])}
  plots.plot_counts(counts, ['a $b', 'c'], 'unused')
  axes = drawn[0].axes[0]
  widths = [patch.get_width() for patch in axes.patches]
  assert widths == [0.75, 0.25, 0, 1]
  words = [text.get_text() for text in axes.texts]
  assert words == ['1,500', '500', '0', '4']
  legend = [text.get_text() for text in axes.get_legend().get_texts()]
  assert legend == ['train (2,000)', 'test (4)']
  middles = [patch.get_y() + patch.get_height() / 2 for patch in axes.patches]
  assert middles[0] + middles[2] == pytest.approx(0)
  assert middles[1] + middles[3] == pytest.approx(2)


def test_an_empty_split_is_drawn(drawn):
  counts = {'train': np.array([0, 0])}
  plots.plot_counts(counts, ['a', 'b'], 'unused')
  plots.plot_brightness({'train': np.zeros(0)}, 'unused')
  assert len(drawn) == 2


def test_brightness_is_a_histogram_of_shares(drawn):
  values = np.array([0, 7.9, 8, 255])
  plots.plot_brightness({'train': values, 'test': values[:1]}, 'unused')
  train, test = drawn[0].axes[0].patches
  shares, edges, _ = train.get_data()
  assert shares[:2].tolist() == [0.5, 0.25]
  assert shares[-1] == 0.25
  assert shares.sum() == 1
  assert (edges[0], edges[-1]) == (0, 256)
  assert train.get_label() == 'train, mean 68'
  assert test.get_label() == 'test, mean 0'
