"""launch/restart.sh: what it starts again, and when it gives up."""

import os
import signal
import subprocess
import time

import pytest
from standins import LAUNCH, launch, program

# Ends with the next of the statuses, the last of them for ever.
COMMAND = """#!/usr/bin/env bash
read -r -a statuses < "$NOTES/statuses"
echo "try $*"
if ((${#statuses[@]} > 1)); then
  echo "${statuses[@]:1}" > "$NOTES/statuses"
fi
exit "${statuses[0]}"
"""


@pytest.fixture
def restart(tmp_path):
  """A function that runs statuses and returns (status, lines, pauses)."""
  command = program(tmp_path / 'command', COMMAND)
  program(
    tmp_path / 'bin' / 'sleep', '#!/bin/sh\necho "$1" >> "$NOTES/pauses"\n'
  )
  path = f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}'

  def run(*statuses, **environment):
    (tmp_path / 'statuses').write_text(' '.join(map(str, statuses)) + '\n')
    (tmp_path / 'pauses').write_text('')
    done = launch(
      *('restart.sh', command, 'a b', 'c'),
      **{'PATH': path, 'NOTES': str(tmp_path)} | environment,
    )
    pauses = [int(p) for p in (tmp_path / 'pauses').read_text().split()]
    return done.returncode, done.stdout.splitlines(), pauses

  return run


@pytest.mark.parametrize('status', [0, 2, 3])
def test_ends_where_another_try_is_of_no_use(restart, status):
  assert restart(status) == (status, ['try a b c'], [])


@pytest.mark.parametrize('status', [1, 4, 134, 137, 143])
def test_starts_again_after_a_failure(restart, status):
  ended, lines, pauses = restart(status, 2)
  assert (ended, pauses) == (2, [10])
  again = f'ended with status {status}; starts again in 10 s'
  assert lines == ['try a b c', again, 'try a b c']


def test_gives_up_on_what_only_fails(restart):
  ended, lines, pauses = restart(1, 4)
  assert ended == 4
  assert lines.count('try a b c') == 8
  assert lines[-1] == 'ended with status 4, the 8th time in a row: gives up'
  assert pauses == [10, 20, 40, 80, 120, 120, 120]


@pytest.mark.parametrize('status', [130, 138, 143])
def test_stopped_by_a_signal_is_no_failure(restart, status):
  statuses = [*[1] * 7, status, *[1] * 7, *[status] * 9, 0]
  ended, lines, pauses = restart(*statuses, BEGUN='-1')
  assert ended == 0
  assert lines.count('try a b c') == 25
  assert pauses[7:9] == [10, 10]


@pytest.mark.parametrize('status', [130, 138, 143])
def test_stopped_as_it_begins_is_a_failure(restart, status):
  ended, lines, pauses = restart(1, status)
  assert ended == status
  assert lines.count('try a b c') == 8
  assert pauses[:3] == [10, 20, 40]


@pytest.mark.parametrize(
  ('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_ends_with_the_command_when_both_are_told_to(tmp_path, number, status):
  ready = tmp_path / 'ready'
  command = program(
    tmp_path / 'command',
    '#!/usr/bin/env bash\n'
    f'trap "sleep 0.3; echo saved; exit {status}" INT TERM\n'
    f'echo > "{ready}"\n'
    'while :; do sleep 0.05; done\n',
  )
  process = subprocess.Popen(
    [LAUNCH / 'restart.sh', command],
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  try:
    deadline = time.monotonic() + 60
    while not ready.exists():
      assert time.monotonic() < deadline
      time.sleep(0.02)
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=60)
  except BaseException:
    os.killpg(process.pid, signal.SIGKILL)
    raise
  assert (process.returncode, said) == (status, 'saved\n')
