#!/usr/bin/env bash
# Trains with several processes on this machine, joined over the loopback.

set -euo pipefail

usage() {
  cat <<'END'
Usage: launch/local.sh [--dry_run] N FLAGS...

Runs N processes of `python -m ferjax.main FLAGS...` that train together.
Process 0 writes to this terminal, the others to files that are named first.
When one fails the others are stopped, and its status is the script's.
Ctrl-C, TERM, USR1 and HUP stop all: they get TERM, save and end, and the
script's status is 128 and the signal's number. After GRACE seconds, or with a
second Ctrl-C, they get KILL, and the status is 137: not all was saved.

  --dry_run   print the commands, run nothing

Environment:
  PYTHON      the interpreter (python)
  GRACE       seconds between TERM and KILL (30)

Example:
  launch/local.sh 2 --config=configs/simple_cnn.py:dataset=synthetic \
    --workdir=/tmp/two_processes
END
}

# Prints a port that nobody listens on, below those that the system hands out.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# Sends a signal to every process that still runs.
signal_all() {
  local pid
  for pid in "${pids[@]}"; do
    kill -s "$1" "$pid" 2>/dev/null || true
  done
}

is_any_running() {
  local pid
  for pid in "${pids[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then return 0; fi
  done
  return 1
}

# Stops what still runs and exits with a status, 137 where a signal asked for
# that and some process did not follow.
finish() {
  local status=$1 killed=false deadline=$((SECONDS + ${GRACE:-30}))
  trap 'killed=true; signal_all KILL' INT TERM
  trap '' HUP USR1
  signal_all TERM
  while is_any_running && ((SECONDS < deadline)); do
    sleep 0.1
  done
  if is_any_running; then
    killed=true
    signal_all KILL
  fi
  wait || true
  if $killed && ((status > 128)); then status=137; fi
  exit "$status"
}

dry_run=false
if [[ ${1-} == --dry_run ]]; then
  dry_run=true
  shift
elif [[ ${1-} == --help ]]; then
  usage
  exit
fi
if [[ ! ${1-} =~ ^[1-9][0-9]*$ ]]; then
  echo 'launch/local.sh: say first how many processes; see --help' >&2
  exit 2
fi
count=$1
shift

port=$(free_port)
if ! $dry_run; then logs=$(mktemp -d "${TMPDIR:-/tmp}/ferjax-local.XXXXXX"); fi
pids=()
trap 'finish 129' HUP
trap 'finish 130' INT
trap 'finish 138' USR1
trap 'finish 143' TERM
for ((i = 0; i < count; i++)); do
  command=("${PYTHON:-python}" -m ferjax.main "$@"
    --coordinator_address="127.0.0.1:$port"
    --num_processes="$count" --process_id="$i")
  if $dry_run; then
    printf '%q ' "${command[@]}"
    echo
    continue
  elif ((i == 0)); then
    "${command[@]}" &
  else
    echo "process $i writes to $logs/$i.log" >&2
    "${command[@]}" >"$logs/$i.log" 2>&1 &
  fi
  pids[i]=$!
done

# Polled: `wait -n` is newer than the bash of macOS.
while ((${#pids[@]})); do
  for i in "${!pids[@]}"; do
    if kill -0 "${pids[i]}" 2>/dev/null; then continue; fi
    status=0
    wait "${pids[i]}" || status=$?
    if ((status)); then
      echo "process $i ended with status $status; stopping the others" >&2
      if ((i)); then tail -n 20 "$logs/$i.log" >&2; fi
      finish "$status"
    fi
    unset 'pids[i]'
  done
  sleep 0.2
done
