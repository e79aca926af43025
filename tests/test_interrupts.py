"""Signals: the first asks, the second SIGINT ends at once."""

import os
import signal
import subprocess
import sys

import pytest

from ferjax import interrupts

# A training whose step never ends, and one that looks after each.
BUSY = """
import time
from ferjax.interrupts import StopSignals
with StopSignals() as signals:
  print('ready', flush=True)
  said = None
  while True:
    time.sleep(0.01)
    if signals.received != said:
      said = signals.received
      print(said.name, flush=True)
"""


@pytest.fixture
def busy():
  with subprocess.Popen(
    [sys.executable, '-c', BUSY],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    assert process.stdout.readline() == 'ready\n'
    yield process
    process.kill()


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1', 'SIGINT'])
def test_a_signal_is_noted(busy, name):
  busy.send_signal(signal.Signals[name])
  assert busy.stdout.readline() == f'{name}\n'
  assert busy.poll() is None


def test_the_second_sigint_ends_at_once(busy):
  busy.send_signal(signal.SIGINT)
  assert busy.stdout.readline() == 'SIGINT\n'
  busy.send_signal(signal.SIGINT)
  assert busy.wait(10) == 130
  assert 'error: interrupted; what was saved before is whole' in (
    busy.stderr.read()
  )


@pytest.mark.parametrize('message', ['gone', 'no text: \udcff'])
@pytest.mark.parametrize('is_full', [False, True])
def test_a_process_ends_whatever_it_would_say(message, is_full):
  code = f'from ferjax import interrupts; interrupts.end({message!r}, 4)'
  with open('/dev/full', 'w') as full:
    done = subprocess.run(
      [sys.executable, '-c', code],
      stderr=full if is_full else subprocess.PIPE,
      check=False,
    )
  assert done.returncode == 4
  if not is_full:
    assert done.stderr.startswith(b'\nerror: ')
    assert b'Traceback' not in done.stderr


@pytest.fixture
def signalled(monkeypatch):
  """As if no signal had come to this process, during the test and after it."""
  monkeypatch.setattr(interrupts, '_pending', None)
  monkeypatch.setattr(interrupts, '_last', signal.SIGTERM)


def test_handlers_come_back_and_the_status_tells_the_signal(signalled):
  before = signal.getsignal(signal.SIGUSR1)
  with interrupts.StopSignals() as signals:
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signals.received == signal.SIGUSR1
    interrupts.stop(signals.received)
  assert signal.getsignal(signal.SIGUSR1) is before
  assert interrupts.status() == 128 + signal.SIGUSR1
  assert interrupts.status() in interrupts.STOPPED


def test_a_signal_is_noted_until_a_training_has_stopped(signalled):
  with interrupts.StopSignals():
    os.kill(os.getpid(), signal.SIGUSR1)
  with interrupts.StopSignals() as signals:
    assert signals.received == signal.SIGUSR1
    interrupts.stop(signal.SIGTERM)  # that came to another process
    assert signals.received is None
  assert interrupts.status() == 128 + signal.SIGTERM
