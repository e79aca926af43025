"""Where a process finds its place among others, and how it joins them."""

import errno
import os
import pathlib
import signal
import socket
import types

import jax
import pytest

from ferjax import failures, gpus, parallel, peers, processes
from ferjax.errors import RetryError, UserError

SLURM = {
  'SLURM_JOB_ID': '4096',
  'SLURM_STEP_NODELIST': 'node[007,009-012]',
  'SLURM_NTASKS': '4',
  'SLURM_PROCID': '2',
  'SLURM_LOCALID': '0',
  'SLURM_STEP_NUM_NODES': '4',
  'SLURM_STEP_TASKS_PER_NODE': '1(x4)',
}


class Joined:
  """Stands in for a peer; notes what it is told."""

  def __init__(self):
    self.told = []

  def close(self):
    self.told.append('close')

  def note(self, step):
    self.told.append(('note', step))

  def agree(self, topic, facts):
    self.told.append((topic, facts))

  def report(self, figures):
    self.told.append(figures)

  def fail(self, message, status):
    self.told.append((message, status))

  def await_verdict(self, seconds):
    self.told.append('await')


class EndedError(Exception):
  """In place of the process."""


@pytest.fixture
def peer(monkeypatch):
  joined = Joined()

  def join(*args, **kwargs):
    joined.told.append(('join', *args[:4]))
    return joined

  def end(status):
    joined.told.append(('exit', status))
    raise EndedError

  monkeypatch.setattr(peers, 'join', join)
  monkeypatch.setattr(processes.os, '_exit', end)
  monkeypatch.setattr(
    jax.distributed,
    'initialize',
    lambda *args, **kwargs: joined.told.append(('jax', *args)),
  )
  return joined


EXPLICIT = 'host:1234', 2, 1


def test_one_process_joins_nobody(peer):
  with processes.joined():
    assert not processes.are_several()
    processes.note(3)
    processes.agree('data', {})
    processes.report(0.0, 0.0)
  assert peer.told == []


def test_several_join_before_jax_starts_and_leave_after_it(peer):
  with processes.joined(*EXPLICIT, facts={'seed': '0'}):
    assert processes.are_several()
    processes.note(3)
    processes.agree('data', {'train': 'ab'})
    processes.report(0.5, 0.01)
  assert peer.told == [
    ('join', *EXPLICIT, {'seed': '0'}),
    ('jax', *EXPLICIT, None),
    ('note', 3),
    ('data', {'train': 'ab'}),
    {'input_wait': 0.5, 'probe': 0.01},
    ('end', {}),
    'close',
  ]
  assert not processes.are_several()


@pytest.mark.parametrize(
  ('error', 'message', 'status'),
  [
    (UserError('no such file'), 'no such file', 2),
    (RetryError('disk full'), 'disk full', 4),
    (KeyboardInterrupt(), 'interrupted', 130),
    (KeyError('x'), "KeyError: 'x'", 1),
  ],
)
def test_a_failure_is_told_to_the_others(peer, capsys, error, message, status):
  with pytest.raises(EndedError), processes.joined(*EXPLICIT):
    raise error
  assert (message, status) in peer.told
  assert ('exit', status) in peer.told
  # What may come of another process's end waits for the word of that.
  assert ('await' in peer.told) == (status == 1)
  shown = capsys.readouterr().err
  assert ('Traceback' in shown) == (status == 1)
  assert (f'error: {message}' in shown) == (status in (2, 4))


def test_the_one_that_failed_speaks_first(peer, monkeypatch):
  # In the other process the block raised nothing.
  monkeypatch.setattr(parallel, 'max_over_processes', lambda status: 2)
  with (
    pytest.raises(EndedError),
    processes.joined(*EXPLICIT),
    parallel.together(pathlib.Path('run')),
  ):
    pass
  message = 'another process failed; it says why'
  assert peer.told.index('await') < peer.told.index((message, 2))


def test_a_failure_is_told_where_nobody_reads_standard_error(peer, monkeypatch):
  def write(text):
    raise OSError(errno.ENOSPC, 'No space left on device')

  stderr = types.SimpleNamespace(write=write)
  monkeypatch.setattr(failures.sys, 'stderr', stderr)
  for error in (RetryError('disk full'), KeyError('x')):
    with pytest.raises(EndedError), processes.joined(*EXPLICIT):
      raise error
  assert ('disk full', 4) in peer.told
  assert ("KeyError: 'x'", 1) in peer.told


def test_sigterm_is_not_left_to_jax(peer, monkeypatch):
  heard = []
  before = signal.signal(signal.SIGTERM, lambda *_: heard.append('ours'))
  swallow = lambda *_: heard.append('jax')  # noqa: E731
  monkeypatch.setattr(
    jax.distributed,
    'initialize',
    lambda *_, **__: signal.signal(signal.SIGTERM, swallow),
  )
  try:
    with processes.joined(*EXPLICIT):
      os.kill(os.getpid(), signal.SIGTERM)
  finally:
    signal.signal(signal.SIGTERM, before)
  assert heard == ['ours']


def test_an_exit_status_is_left_alone(peer):
  with pytest.raises(SystemExit), processes.joined(*EXPLICIT):
    raise SystemExit(143)
  assert 'close' in peer.told


@pytest.mark.parametrize(
  ('given', 'words'),
  [
    (('host:1', None, None), 'together, or --distributed=auto alone'),
    (('host:1', 2, 0, 'auto'), 'together, or --distributed=auto alone'),
    ((None, None, None, 'mpi'), '--distributed=mpi is unknown'),
  ],
)
def test_half_a_place_is_refused(peer, given, words):
  with pytest.raises(UserError, match=words), processes.joined(*given):
    pass
  assert peer.told == []


@pytest.mark.parametrize(
  ('given', 'words'),
  [
    (('localhost', 1, 0), 'localhost is not host:port'),
    ((':80', 2, 0), ':80 is not host:port'),
    (('localhost:0', 2, 0), 'localhost:0 is not host:port'),
    (('localhost:99999', 1, 0), 'localhost:99999 is not host:port'),
    (('localhost:1', 0, 0), '--num_processes=0: there is at least one'),
    (('localhost:1', -3, 0), '--num_processes=-3: there is at least one'),
    (('localhost:1', 1, 1), '--process_id=1 is none of 1: 0 to 0'),
    (('localhost:1', 2, -1), '--process_id=-1 is none of 2: 0 to 1'),
  ],
)
def test_a_place_that_cannot_be_is_refused(peer, given, words):
  with pytest.raises(UserError, match=words), processes.joined(*given):
    pass
  assert peer.told == []


def test_a_port_in_use_is_refused_or_may_be_free_later(monkeypatch):
  with socket.create_server(('', 0)) as server:
    address = f'127.0.0.1:{server.getsockname()[1]}'
    words = f'process 0 cannot listen at {address} .*'
    with (
      pytest.raises(UserError, match=words + 'give another'),
      processes.joined(address, 2, 0),
    ):
      pass
    place = address, 2, 0, None
    monkeypatch.setattr(processes, '_detect', lambda timeout: place)
    with (
      pytest.raises(RetryError, match=words + 'another try'),
      processes.joined(distributed='auto'),
    ):
      pass


def test_a_failure_of_one_process_alone_is_left_as_it_is(peer):
  with pytest.raises(KeyError), processes.joined('localhost:1', 1, 0):
    raise KeyError('x')


@pytest.fixture
def no_cluster(monkeypatch):
  for name in ('SLURM_', 'OMPI_', 'KUBERNETES_', 'TPU_', 'JAX_COORDINATOR'):
    for variable in list(processes.os.environ):
      if variable.startswith(name):
        monkeypatch.delenv(variable)


def test_slurm_gives_each_process_its_place(peer, monkeypatch, no_cluster):
  for name, value in SLURM.items():
    monkeypatch.setenv(name, value)
  address, count, process, devices = processes._detect(5.0)
  assert (address, count, process) == ('node007:61440', 4, 2)
  assert devices is None  # all of them: it is alone on its node
  assert gpus.is_alone(SLURM)
  monkeypatch.setenv('JAX_COORDINATOR_ADDRESS', 'other:99')
  assert processes._detect(5.0)[0] == 'other:99'


def test_without_a_cluster_one_line_says_so(peer, no_cluster):
  with pytest.raises(UserError, match='--distributed=auto found no cluster'):
    processes._detect(5.0)
