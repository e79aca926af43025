"""The page of an evaluation: it shows what metrics.json says."""

import base64
import csv
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from ferjax import inference, models, parallel, steps
from ferjax.data import synthetic
from ferjax.data.dataset import Dataset
from ferjax.errors import UserError
from ferjax.evaluation import assessment, ensemble, explanation, report
from ferjax.evaluation import page as evaluation_page

# One white pixel.
PNG = base64.b64decode(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsZcY'
  'ZgAAAABJRU5ErkJggg=='
)
CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')


@pytest.fixture(scope='module')
def answered(make_config):
  """An untrained network, asked about 60 drawn faces."""
  config = make_config()
  config.loss.label_smoothing = 0.125
  names = ('a <b>', 'happy', 'sad')
  model = models.from_config(config.model, len(names))
  weights = models.init(model, (48, 48, 1), seed=3)
  params = weights.pop('params')
  # Before training, the classes are nearly equal.
  params['classifier']['kernel'] = 20 * params['classifier']['kernel']
  described = {'class_names': list(names), 'image_shape': [48, 48, 1]}
  predictor = inference.Predictor(
    config,
    described,
    30,
    parallel.replicate({'params': params, 'model_state': weights}),
    steps.make_eval_step(config, model),
    temperature=1.5,
  )
  faces = synthetic.load(('validation',), 0).splits['validation']
  faces = faces.take(np.flatnonzero(faces.labels < 3)[:60])
  dataset = Dataset('drawn', names, {'validation': faces}, 'drawn', ('a & b',))
  return predictor, assessment.assess(predictor, dataset, 'validation')


@pytest.fixture(scope='module')
def page(answered, tmp_path_factory):
  predictor, result = answered
  folder = tmp_path_factory.mktemp('run') / 'eval' / 'validation'
  report.write(result, folder)
  return evaluation_page.write(
    predictor, result, [folder.parent.parent], folder
  )


def words(text):
  """Returns the text of a page without its tags, blanks made one."""
  body = re.sub(r'<(style|title).*?</\1>', ' ', text, flags=re.DOTALL)
  return ' '.join(html.unescape(re.sub('<[^>]+>', ' ', body)).split())


def check_figures(text, figures):
  low, high = figures['accuracy_interval']
  interval = f'95% interval {low:.2%} to {high:.2%}'
  assert f'accuracy ({interval}) {figures["accuracy"]:.2%}' in text
  assert f'{figures["macro_f1"]:.4f}' in text
  assert f'{figures["calibrated"]["temperature"]:.3f}' in text
  for name, scores in figures['classes'].items():
    area = figures['roc_auc']['classes'][name]
    assert (
      f'{name} {scores["num_examples"]} {scores["precision"]:.3f} '
      f'{scores["recall"]:.3f} {scores["f1"]:.3f} {area:.3f}'
    ) in text


def test_page_shows_the_figures_and_settings(page):
  figures = json.loads((page.parent / 'metrics.json').read_text())
  text = words(page.read_text())
  check_figures(text, figures)
  assert 'note: a & b' in text
  assert 'loss.label_smoothing 0.125 0' in text
  for section in ('Confidence', 'Surest mistakes', 'Where it looked'):
    assert section in text
  assert page.read_text().count('<img') == 7


def test_page_needs_no_network(page):
  text = page.read_text()
  assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
  assert '://' not in re.sub(r'data:[^"]*', '', text)


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium')
@pytest.mark.slow
def test_browser_shows_the_same(page, tmp_path):
  figures = json.loads((page.parent / 'metrics.json').read_text())
  done = subprocess.run(
    [
      CHROMIUM,
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      f'--user-data-dir={tmp_path}',
      '--dump-dom',
      page.as_uri(),
    ],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
  )
  check_figures(words(done.stdout), figures)


def test_images_can_be_chosen(answered):
  _, result = answered
  index = result.examples.index
  chosen = [int(index[5]), int(index[2])]
  np.testing.assert_array_equal(explanation.choose(result, chosen), [5, 2])
  with pytest.raises(UserError, match='index -1 is scored'):
    explanation.choose(result, [-1])


def test_what_cannot_be_explained_is_refused_beforehand(answered):
  predictor, result = answered
  explanation.check(predictor, result.examples, [int(result.examples.index[3])])
  with pytest.raises(UserError, match='index 10000000 is scored'):
    explanation.check(predictor, result.examples, [10_000_000])
  both = ensemble.Ensemble((predictor, predictor), ('a', 'b'))
  with pytest.raises(UserError, match='an ensemble has no heat maps'):
    explanation.check(both, result.examples, [0])


def test_page_of_a_workdir_of_seeds_shows_each(answered, tmp_path):
  predictor, _ = answered
  names = ('member_0', 'member_1')
  seeds = ensemble.Ensemble((predictor, predictor), names)
  faces = synthetic.load(('validation',), 0).splits['validation']
  faces = faces.take(np.flatnonzero(faces.labels < 3)[:20])
  own = predictor.class_names
  dataset = Dataset('drawn', own, {'validation': faces}, 'drawn')
  for name in names:
    (tmp_path / name).mkdir()
    (tmp_path / name / 'curves.png').write_bytes(PNG)
  result = assessment.assess(seeds, dataset, 'validation')
  folder = tmp_path / 'eval' / 'validation'
  report.write(result, folder)
  page = evaluation_page.write(seeds, result, [tmp_path], folder)
  text = page.read_text()
  for name in names:
    assert f'alt="Curves of the training of {name}"' in text
    assert f'{name}: what is not at its default' in words(text)


def test_predictions_lose_no_digit(answered, page):
  _, result = answered
  with (page.parent / 'predictions.csv').open() as file:
    lines = list(csv.DictReader(file))
  values = [
    [line[name] for name in ('a <b>', 'happy', 'sad')] for line in lines
  ]
  np.testing.assert_array_equal(
    np.array(values).astype(np.float32), result.evaluation.probabilities
  )


def test_surest_hit_and_mistake_of_each_class_are_chosen(answered):
  _, result = answered
  probabilities = result.evaluation.probabilities
  labels, expected = result.examples.labels, []
  for label in range(3):
    for is_hit in (True, False):
      own = [
        (probabilities[i].max(), i)
        for i in range(len(labels))
        if labels[i] == label and (probabilities[i].argmax() == label) == is_hit
      ]
      expected += [max(own)[1]] if own else []
  assert len(expected) >= 4
  np.testing.assert_array_equal(explanation.choose(result), expected)
