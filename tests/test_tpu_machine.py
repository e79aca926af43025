"""launch/tpu_machine.sh: how a TPU is had, reused and given back."""

import pytest
import standins
from standins import calls_of, launch, say

TPU = ['--zone=us-central2-b', 'fer']


@pytest.fixture
def cloud(tmp_path):
  return standins.cloud(tmp_path)


@pytest.mark.parametrize(
  ('queued', 'vm', 'expected', 'status'),
  [
    (['ACTIVE'], ['READY'], [], 0),
    (['none'], ['READY'], [], 0),
    (['none'], ['STOPPED', 'STARTING', 'READY'], ['tpu-vm start'], 0),
    (
      ['none', 'none', 'none', 'ACTIVE'],
      ['PREEMPTED', 'PREEMPTED', 'none'],
      ['tpu-vm delete', 'queued-resources create'],
      0,
    ),
    (['none', 'FAILED'], ['none'], ['queued-resources create'], 1),
    (  # taken away before it was here
      [
        *('none', 'PROVISIONING', 'SUSPENDING', 'SUSPENDED', 'SUSPENDED'),
        *('none', 'ACTIVE'),
      ],
      ['none'],
      [f'queued-resources {act}' for act in ('create', 'delete', 'create')],
      0,
    ),
    (
      ['none', 'unavailable', 'ACTIVE'],
      ['none'],
      ['queued-resources create'],
      0,
    ),
    (['permission denied'], ['none'], [], 1),
  ],
  ids=str,
)
def test_create(tmp_path, cloud, queued, vm, expected, status):
  say(tmp_path, *queued, vm=vm)
  # With these flags a TPU that is taken away later is had again.
  flags = ['--config=c.py', '--workdir=gs://b/r']
  done = launch('tpu_vm.sh', *TPU, 'create', '--', *flags, **cloud)
  assert done.returncode == status, done.stderr
  assert calls_of(tmp_path) == expected
  if queued == ['permission denied']:  # waiting does not help
    assert len((tmp_path / 'calls').read_text().splitlines()) == 1
  for problem in {'unavailable', 'permission denied'} & set(queued):
    assert f'ERROR: {problem}' in done.stderr


@pytest.mark.parametrize(
  ('queued', 'vm', 'expected'),
  [
    ('ACTIVE', 'READY', ['queued-resources delete']),
    ('none', 'READY', ['tpu-vm delete']),
    ('none', 'none', []),
  ],
)
def test_delete(tmp_path, cloud, queued, vm, expected):
  say(tmp_path, queued, vm=[vm])
  done = launch('tpu_vm.sh', *TPU, 'delete', **cloud)
  assert done.returncode == 0, done.stderr
  assert calls_of(tmp_path) == expected
  assert ('there is no fer' in done.stderr) == (not expected)
