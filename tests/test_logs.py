"""What a run tells reads back, survives a kill and stays plain in a pipe."""

import io
import json
import math
import pathlib
import re
import struct
import time

import numpy as np
import pytest
from rich.console import Console
from tensorboardX.proto import event_pb2

from ferjax import logs
from ferjax.errors import UserError

METRICS = {
  'train/learning_rate': 0.0871,
  'epoch': 1.0,
  'train/loss': 1.5316,
  'train/accuracy': 0.4121,
  'images_per_second': 1234.4,
  'input_wait': 0.0042,
}


def strict(line):
  """Parses JSON as strict readers do."""

  def refuse(constant):
    raise ValueError(constant)

  return json.loads(line, parse_constant=refuse)


def events(workdir):
  """Reads TensorBoard's event files: length, checksum, event, checksum."""
  found = []
  for path in sorted(pathlib.Path(workdir, 'tensorboard').iterdir()):
    data = path.read_bytes()
    while data:
      (length,) = struct.unpack('<Q', data[:8])
      found.append(event_pb2.Event.FromString(data[12 : 12 + length]))
      data = data[16 + length :]
  return found


def test_records_read_back(tmp_path):
  workdir = tmp_path / 'runs' / 'a'
  with logs.MetricLogger(workdir) as logger:
    logger.write(50, {'train/loss': np.float32(1.5), 'epoch': 0.5})
    # Flushed: it is there before the log is closed.
    assert logs.read_metrics(workdir)[0] == {
      'step': 50,
      'train/loss': 1.5,
      'epoch': 0.5,
    }
    logger.write(
      np.int64(100), {'val/loss': math.nan, 'val/accuracy': math.inf}
    )
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  assert strict(lines[1]) == {
    'step': 100,
    'val/loss': None,
    'val/accuracy': None,
  }
  assert math.isnan(logs.read_metrics(workdir)[1]['val/loss'])


def test_tensorboard_gets_scalars_and_the_step_to_purge(tmp_path):
  with logs.MetricLogger(tmp_path, start_step=100) as logger:
    logger.write(150, {'train/loss': 1.5})
  found = events(tmp_path)
  scalars = [
    (event.step, value.tag, value.simple_value)
    for event in found
    for value in event.summary.value
  ]
  assert scalars == [(150, 'train/loss', 1.5)]
  starts = [e.step for e in found if e.HasField('session_log')]
  assert starts == [101]


def test_in_a_bucket_both_logs_are_whole_at_the_end(store, tmp_path):
  for start, steps in ((0, (50, 100)), (50, (75,))):
    with logs.MetricLogger('gs://ferjax/a', start_step=start) as logger:
      for step in steps:
        logger.write(step, {'train/loss': step / 100})
    time.sleep(1.1)  # an event file is named after its second
  found = logs.read_metrics('gs://ferjax/a')
  assert [r['train/loss'] for r in found] == [0.5, 0.75]
  for name, content in store.objects.items():
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  values = {
    (event.step, value.simple_value)
    for event in events(tmp_path / 'ferjax' / 'a')
    for value in event.summary.value
  }
  assert values == {(50, 0.5), (100, 1.0), (75, 0.75)}


def test_in_a_bucket_a_validation_is_there_at_once(store):
  with logs.MetricLogger('gs://ferjax/a', tensorboard=False) as logger:
    logger.write(1, {'train/loss': 1.0})
    assert logs.read_metrics('gs://ferjax/a') == []
    logger.write(2, {'val/accuracy': 0.5})
    assert [r['step'] for r in logs.read_metrics('gs://ferjax/a')] == [1, 2]


def test_resuming_forgets_what_came_after(tmp_path):
  with logs.MetricLogger(tmp_path, tensorboard=False) as logger:
    for step in (50, 100, 150):
      logger.write(step, {'train/loss': 1.0})
  path = tmp_path / 'metrics.jsonl'
  with path.open('a') as file:
    file.write('{"step": 60, "train/l')  # killed while writing
  assert [r['step'] for r in logs.read_metrics(tmp_path)] == [50, 100, 150]
  with logs.MetricLogger(tmp_path, 100, tensorboard=False) as logger:
    logger.write(120, {'train/loss': 2.0})
  assert [r['step'] for r in logs.read_metrics(tmp_path)] == [50, 100, 120]
  assert [p.name for p in tmp_path.iterdir()] == ['metrics.jsonl']
  logs.MetricLogger(tmp_path, tensorboard=False).close()
  assert logs.read_metrics(tmp_path) == []


def test_a_broken_record_is_named(tmp_path):
  (tmp_path / 'metrics.jsonl').write_text('{"step": 1}\n{"loss": 1}\n')
  with pytest.raises(UserError, match=r'metrics\.jsonl:2: not a record'):
    logs.read_metrics(tmp_path)


def test_no_metrics_yet(tmp_path):
  assert logs.read_metrics(tmp_path) == []


def test_disabled_ones_do_nothing(tmp_path, capsys):
  with logs.MetricLogger(tmp_path / 'a', enabled=False) as logger:
    logger.write(1, {'train/loss': 1.0})
  assert not (tmp_path / 'a').exists()
  with logs.Progress(10, enabled=False) as progress:
    progress.update(5, METRICS)
    progress.line('validation')
  logs.print_header('run', {'a': 'b'}, logs.make_console(enabled=False))
  assert capsys.readouterr() == ('', '')


def test_progress_in_a_pipe_is_one_short_line_an_event():
  out = io.StringIO()
  with logs.Progress(44800, 400, Console(file=out, width=100)) as progress:
    progress.update(410)
    progress.update(450, METRICS)
    progress.line('validation [1/2] done')
    progress.update(44800, {'epoch': 60.0, 'grad_norm': 0.25})
  first, validation, last = out.getvalue().splitlines()
  expected = (
    'step   450/44800  epoch  1.00  loss 1.532  acc 0.412  lr 0.0871  '
    '1234 images/s  input 0.4%  eta '
  )
  assert first.startswith(expected)
  assert re.fullmatch(r'\d+s|\d+m|\d+h\d\dm', first.removeprefix(expected))
  assert len(first) <= 100
  assert validation == 'validation [1/2] done'
  assert last == 'step 44800/44800  epoch 60.00  eta 0s'


def test_eta_follows_the_pace_of_this_process(monkeypatch):
  clock = iter([1000.0, 1010.0, 1010.0])
  monkeypatch.setattr(logs.time, 'monotonic', lambda: next(clock))
  out = io.StringIO()
  progress = logs.Progress(10_000, 1000, Console(file=out, width=100))
  progress.update(1010, {'epoch': 1.0})
  progress.update(1020, {'epoch': 1.0})  # a second a step; 8980 are left
  lines = out.getvalue().splitlines()
  assert lines[0].endswith('eta -')
  assert lines[1].endswith('eta 2h29m')


def test_progress_on_a_terminal_is_a_bar():
  out = io.StringIO()
  console = Console(file=out, width=100, force_terminal=True, color_system=None)
  with logs.Progress(4480, 400, console) as progress:
    progress.update(450, METRICS)
    progress.line('validation  acc 0.500')
  shown = out.getvalue()
  assert '━' in shown
  assert 'step 450/4480' in shown
  assert 'loss 1.532  acc 0.412' in shown
  assert 'validation  acc 0.500\n' in shown
  assert shown.index('validation') < shown.rindex('step 450/4480')
  assert shown.endswith('\x1b[?25h')  # the cursor is back


def test_header_is_plain_and_aligned(capsys):
  rows = {'network': 'simple_cnn', 'data': 'fer2013 [28,709]'}
  logs.print_header('a run', rows, logs.make_console())
  lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
  assert lines == [
    'a run',
    '  network  simple_cnn',
    '  data     fer2013 [28,709]',
    '',
  ]


def test_confusion_of_eight_classes_fits():
  names = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
  names = (*names, 'contempt')
  confusion = np.arange(64).reshape(8, 8) * 20
  scores = dict.fromkeys(('precision', 'recall', 'f1'), np.linspace(0, 1, 8))
  out = io.StringIO()
  logs.print_confusion(confusion, names, scores, Console(file=out, width=100))
  lines = out.getvalue().splitlines()
  assert max(map(len, lines)) <= 100
  assert lines[1].split() == [*names, *scores]
  for name, counts, share, line in zip(
    names, confusion, scores['recall'], lines[2:], strict=True
  ):
    assert line.split() == [name, *map(str, counts), *[f'{share:.1%}'] * 3]


def test_confusion_cuts_names_and_never_counts():
  names = ['[b] a name that goes on and on'] * 8
  confusion = np.full((8, 8), 12345)
  out = io.StringIO()
  console = Console(file=out, width=80)
  logs.print_confusion(confusion, names, {'recall': np.ones(8)}, console)
  lines = out.getvalue().splitlines()
  assert len(lines) == 10
  assert all(line.count('12345') == 8 for line in lines[2:])
  assert all(line.startswith('[b] a') for line in lines[2:])
  assert '\x1b' not in out.getvalue()


@pytest.mark.parametrize('end', ['\x0c', '\x1c', '\x85', '\u2028'])
def test_no_record_is_lost_behind_an_odd_character(tmp_path, end):
  """Of all that Python ends a line at, only a line feed ends a record."""
  path = tmp_path / 'metrics.jsonl'
  text = f'{{"step": 1}}\n{{"step": 2}}{end}\n{{"step": 3}}\n'
  path.write_text(text, encoding='utf-8')
  with pytest.raises(UserError, match=r'metrics\.jsonl:2: not a record'):
    logs.read_metrics(tmp_path)
  with pytest.raises(UserError, match='not a record'):
    logs.MetricLogger(tmp_path, start_step=2)
  assert path.read_text(encoding='utf-8') == text


@pytest.mark.parametrize('line', ['[' * 100_000, '{"step": "1"}', '[1]'])
def test_what_is_no_record_is_named(tmp_path, line):
  (tmp_path / 'metrics.jsonl').write_text(f'{line}\n')
  with pytest.raises(UserError, match=r'metrics\.jsonl:1: not a record'):
    logs.read_metrics(tmp_path)
