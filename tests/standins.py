"""Launch scripts under test, and the programs that stand in for others."""

import os
import pathlib
import shutil
import subprocess
import sysconfig

LAUNCH = pathlib.Path(__file__).parents[1] / 'launch'
# Where pip puts the programs of packages, such as linters.
SCRIPTS = pathlib.Path(sysconfig.get_path('scripts'))


# Stands in for gcloud: the one worker is a folder of this machine. What
# `describe` says next stands in a file for each kind: a state, `none`, or
# anything else for an error; the last line stays. What a connection says before
# it breaks stands in the file `cut`.
GCLOUD = """#!/usr/bin/env bash
kind=$3
printf '%s\\n' "$3 $4" >> "$NOTES/calls"
if [[ $1 == storage ]]; then
  printf '%s\\n' "$*" >> "$NOTES/calls"
  exit
fi
shift 3
case $1 in
  describe)
    said=$(head -n 1 "$NOTES/$kind" 2> /dev/null || echo none)
    if (($(wc -l < "$NOTES/$kind") > 1)); then sed -i 1d "$NOTES/$kind"; fi
    case $said in
      none) echo "ERROR: NOT_FOUND: Resource was not found" >&2; exit 1 ;;
      [A-Z]*) echo "WARNING: of something" >&2; echo "$said" ;;
      *) echo "ERROR: $said" >&2; exit 1 ;;
    esac ;;
  ssh)
    for flag in "$@"; do
      case $flag in --command=*) command=${flag#*=} ;; esac
    done
    echo 'SSH: connecting' >&2
    if [[ $command == *tail*-F* && -e $NOTES/cut ]]; then
      cat "$NOTES/cut"
      rm "$NOTES/cut"
      exit 255
    fi
    cd "$WORKER" && bash -c "$command" ;;
  scp) cp -r "${2/#fer:/$WORKER/}" "${3/#fer:/$WORKER/}" ;;
esac
"""


def program(path, text):
  """Writes an executable file and returns its path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(0o755)
  return str(path)


def launch(script, *args, timeout=100, **environment):
  """Runs a script of `launch/` to its end, at most `timeout` seconds."""
  return subprocess.run(
    [LAUNCH / script, *args],
    env=os.environ | environment,
    capture_output=True,
    text=True,
    timeout=timeout,
  )


def cloud(folder):
  """Returns an environment whose `gcloud` owns one worker, a folder."""
  program(folder / 'bin' / 'gcloud', GCLOUD)
  program(folder / 'bin' / 'sleep', '#!/bin/sh\n')  # nobody waits
  (folder / 'worker' / 'ferjax' / 'launch').mkdir(parents=True)
  shutil.copy(LAUNCH / 'restart.sh', folder / 'worker/ferjax/launch')
  return {
    'PATH': f'{folder / "bin"}:{os.environ["PATH"]}',
    'NOTES': str(folder),
    'TMPDIR': str(folder),
    'WORKER': str(folder / 'worker'),
  }


def say(folder, *queued, vm=('none',)):
  """Sets the states that `describe` tells, one after another."""
  for name, states in (('queued-resources', queued), ('tpu-vm', vm)):
    (folder / name).write_text(''.join(f'{state}\n' for state in states))


def calls_of(folder):
  """Returns what was called but looks: `queued-resources create`, ..."""
  calls = (folder / 'calls').read_text().splitlines()
  return [call for call in calls if not call.endswith(' describe')]
