"""launch/gke.sh, with a stand-in for kubectl."""

import os
import pathlib
import shlex

from jobsets import FLAGS, GPU, TPU, filled
import pytest
from standins import launch, program
import yaml

# Stands in for kubectl: what it says next stands in files, the last line stays.
# `!` is an error, `;` ends a line. As of the real one, an index into an empty
# list is an error.
KUBECTL = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$NOTES/calls"
next() {
  said=$(head -n 1 "$NOTES/$1")
  if (($(wc -l < "$NOTES/$1") > 1)); then sed -i 1d "$NOTES/$1"; fi
  if [[ $said == '!' ]]; then
    echo 'Unable to connect to the server: net/http: timeout' >&2
    exit 1
  fi
  echo "${said//;/$'\n'}"
}
case "$*" in
  apply*) cat > "$NOTES/applied" ;;
  'get jobset'*) next states ;;
  'get pods'*'items[*].status'*) cat "$NOTES/codes" ;;
  'get pods'*)
    said=$(next pods) || exit 1
    if [[ -z $said && $* == *'[-1:]'* ]]; then
      echo 'array index out of bounds: index -1, length 0' >&2
      exit 1
    fi
    echo "$said" ;;
  logs*)
    if [[ -e $NOTES/cut-${!#} ]]; then
      cat "$NOTES/cut-${!#}"
      rm "$NOTES/cut-${!#}"
      exit "$CUT"
    fi
    cat "$NOTES/log-${!#}" ;;
esac
"""


@pytest.mark.parametrize(
  ('args', 'message'),
  [
    ([], 'no NAME'),
    (['fer'], 'no ACTION'),
    (['Fer', 'log'], 'NAME Fer'),
    (['fer', 'aply'], 'there is no action aply'),
    (['--spot', 'fer', 'log'], 'there is no option --spot'),
    (['fer', 'apply', '--', *FLAGS], 'apply needs --image'),
    ([*GPU, 'apply'], 'apply needs FLAGS'),
    ([*GPU, 'apply', '--', '--config=c.py'], 'apply needs --workdir'),
    ([*GPU, 'apply', '--', '--workdir=/shared/r'], 'apply needs --workdir'),
    ([*GPU, 'apply', '--', *FLAGS, '--workdir=r'], 'apply needs --workdir'),
    (['--chips=x', *GPU, 'apply', '--', *FLAGS], '--chips=x cannot'),
    (['--topology=4', *GPU, 'apply', '--', *FLAGS], '--topology=4 cannot'),
    (['--chips=3', *TPU, 'apply', '--', *FLAGS], 'does not divide'),
    (['--nodes=3', *TPU, 'apply', '--', *FLAGS], 'follow --topology'),
  ],
  ids=str,
)
def test_mistakes(args, message):
  done = launch('gke.sh', '--dry_run', *args)
  assert (done.returncode, done.stdout) == (2, '')
  assert message in done.stderr
  assert 'see --help' in done.stderr


@pytest.fixture
def cluster(tmp_path):
  """An environment whose `kubectl` takes its answers from files."""
  program(tmp_path / 'bin' / 'kubectl', KUBECTL)
  program(tmp_path / 'bin' / 'sleep', '#!/bin/sh\n')  # nobody waits
  path = f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}'
  return {'PATH': path, 'NOTES': str(tmp_path)}


def test_apply_log_delete(tmp_path, cluster):
  # No pod is there at first; the second is there besides the first, then alone.
  write(tmp_path, states=['', '', '', '', '', 'Completed'])
  write(tmp_path, pods=['', 'a', 'a 1', 'a 1;b', 'b 0'])
  write(tmp_path, **{'log-a': ['step 1'], 'log-b': ['step 1', 'step 2']})
  done = launch(
    *('gke.sh', '--context=c', '--namespace=n', *GPU),
    *('apply', 'log', 'delete', '--', *FLAGS),
    **cluster | {'PATH': without_options(cluster)},
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == ['step 1', 'step 1', 'step 2']
  applied = yaml.safe_load((tmp_path / 'applied').read_text())
  assert applied == filled(*GPU)
  calls = (tmp_path / 'calls').read_text().splitlines()
  assert calls[0] == 'apply --filename=-'
  assert calls[-1] == 'delete jobset fer'
  assert all('jobset-name=fer' in c for c in calls if 'get pods' in c)


@pytest.mark.parametrize(
  ('codes', 'status'), [('143 2', 2), ('3', 3), ('1 137', 1), ('', 1)]
)
def test_log_of_a_failed_training(tmp_path, cluster, codes, status):
  write(tmp_path, states=['', 'Failed'], pods=['a 1'], codes=[codes])
  write(tmp_path, **{'log-a': ['error: no such network']})
  done = launch('gke.sh', *GPU, 'log', 'delete', **cluster)
  assert done.returncode == status
  assert done.stdout == 'error: no such network\n'
  assert 'fer failed' in done.stderr
  assert 'delete' not in (tmp_path / 'calls').read_text()  # to look at


def test_log_of_what_is_not_there(tmp_path, cluster):
  program(tmp_path / 'bin' / 'kubectl', '#!/bin/sh\necho NotFound >&2; exit 1')
  done = launch('gke.sh', *GPU, 'log', **cluster)
  assert (done.returncode, done.stderr) == (75, 'NotFound\n')


# kubectl ends with 0 where the server closes the connection.
@pytest.mark.parametrize('status', [0, 1])
def test_log_goes_on_after_a_lost_connection(tmp_path, cluster, status):
  write(
    tmp_path, states=['', '!', '', 'Completed'], pods=['a', '!', 'a', 'a 0']
  )
  write(tmp_path, **{'cut-a': ['1', ' 2'], 'log-a': ['1', ' 2', '', '3: c:']})
  done = launch('gke.sh', *GPU, 'log', **cluster, CUT=str(status))
  assert done.returncode == 0, done.stderr
  assert done.stdout == '1\n 2\n\n3: c:\n'


@pytest.mark.parametrize('status', [0, 1])
def test_log_of_an_ended_training_is_whole(tmp_path, cluster, status):
  # It ended while the log was followed, and the connection broke then.
  write(tmp_path, states=['', '', 'Completed'], pods=['a', 'a 0'])
  write(tmp_path, **{'cut-a': ['1'], 'log-a': ['1', '2']})
  done = launch('gke.sh', *GPU, 'log', **cluster, CUT=str(status))
  assert (done.returncode, done.stdout) == (0, '1\n2\n')


def test_log_of_a_cluster_that_is_gone(tmp_path, cluster):
  write(tmp_path, states=['', '', '!'], pods=['a'], **{'log-a': ['1']})
  done = launch('gke.sh', *GPU, 'log', **cluster)
  assert (done.returncode, done.stdout) == (75, '1\n')


def test_dry_run_of_log_prints_what_is_run(tmp_path, cluster):
  write(tmp_path, states=['', 'Failed'], pods=['POD 1'], codes=['1'])
  write(tmp_path, **{'log-POD': ['1']})
  launch('gke.sh', *GPU, 'log', **cluster)
  done = launch('gke.sh', '--dry_run', *GPU, 'log', **cluster)
  lines = [line for line in done.stdout.splitlines() if line[0] != '#']
  printed = {' '.join(shlex.split(line)[1:]) for line in lines}
  assert printed == set((tmp_path / 'calls').read_text().splitlines())


def write(folder, **files):
  for name, lines in files.items():
    (folder / name).write_text(''.join(f'{line}\n' for line in lines))


def without_options(cluster):
  """Returns a PATH whose kubectl checks and drops --context, --namespace."""
  inner = pathlib.Path(cluster['NOTES']) / 'bin' / 'kubectl'
  outer = pathlib.Path(cluster['NOTES']) / 'outer' / 'kubectl'
  program(
    outer,
    '#!/bin/sh\n[ "$1 $2" = "--context=c --namespace=n" ] || exit 9\n'
    f'shift 2\nexec "{inner}" "$@"\n',
  )
  return f'{outer.parent}{os.pathsep}{cluster["PATH"]}'
