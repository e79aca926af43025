#!/usr/bin/env bash
# Runs a training again whenever it fails, until that is of no use.

set -uo pipefail

usage() {
  cat <<'END'
Usage: launch/restart.sh COMMAND...

Runs COMMAND until it ends with status 0, 2 (a mistake in its flags) or 3 (a
loss that is not finite), which is then the script's. After any other status it
starts again, and goes on from the last checkpoint: after 10 s, after twice
that each time it fails soon again, after 2 minutes at most. It gives up with
the last status when it has failed 8 times in a row within 10 minutes each. A
training that a signal stopped (130, 138, 143) has saved: that is no failure,
unless it had begun only just.
Ctrl-C, or TERM to both, ends the two once COMMAND has ended.

Environment:
  BEGUN    seconds after which a training has begun (60)
END
}

if [[ ${1-} == --help ]]; then
  usage
  exit
elif (($# == 0)); then
  echo 'launch/restart.sh: no COMMAND; see --help' >&2
  exit 2
fi

trap 'exit 130' INT
trap 'exit 143' TERM
failures=0
while true; do
  status=0
  began=$SECONDS
  "$@" || status=$?
  lived=$((SECONDS - began))
  case $status in
    0 | 2 | 3) exit "$status" ;;
    130 | 138 | 143) failures=$((lived > ${BEGUN:-60} ? 0 : failures + 1)) ;;
    *) failures=$((lived < 600 ? failures + 1 : 1)) ;;
  esac
  if ((failures == 8)); then
    echo "ended with status $status, the 8th time in a row: gives up"
    exit "$status"
  fi
  pause=$((10 << (failures > 1 ? failures - 1 : 0)))
  pause=$((pause < 120 ? pause : 120))
  echo "ended with status $status; starts again in $pause s"
  sleep "$pause"
done
