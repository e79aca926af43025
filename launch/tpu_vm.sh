#!/usr/bin/env bash
# Trains on a Cloud TPU VM, or on a pod slice of several, from this machine.

set -euo pipefail

usage() {
  cat <<'END'
Usage: launch/tpu_vm.sh [OPTIONS] NAME ACTION... [-- FLAGS...]

Does the actions to the TPU called NAME, in the order given:
  create    queue for the TPU and wait until it is there; reuse it if it is
  copy      send this code (and --data) to every worker
  install   make a Python environment of it on every worker
  start     run `python -m ferjax.main FLAGS...` on every worker, again
            whenever it fails, but not for status 2 (a mistake in FLAGS)
            or 3 (a loss that is not finite)
  log       follow worker 0's output to its end; fails if the training did
  fetch     copy the --workdir of FLAGS from worker 0 into runs/
  delete    give the TPU back; until then it costs money

Options:
  --zone=ZONE      where, as us-central2-b; needed
  --project=ID     whose, if not gcloud's own setting
  --type=TYPE      accelerator type (v4-8)
  --runtime=NAME   software of the VM (tpu-ubuntu2204-base; v5e takes
                   v2-alpha-tpuv5-lite, v5p v2-alpha-tpuv5, v6e v2-alpha-tpuv6e)
  --spot           cheaper, but taken away at any time
  --data=DIR       prepared data, sent by `copy` to ~/ferjax_data
  --dry_run        print the commands, run nothing

Environment:
  POLL             seconds between looks at the queue (30)

Example:
  launch/tpu_vm.sh --zone=us-central2-b fer \
    create copy install start log fetch delete -- \
    --config=configs/resnet.py --workdir=runs/resnet
END
}

fail() {
  echo "launch/tpu_vm.sh: $1; see --help" >&2
  exit 2
}

# Quotes words for a shell, and only those that need it.
quote() {
  local word
  local words=()
  for word in "$@"; do
    if [[ ! $word =~ ^[A-Za-z0-9_./:=,@%+~-]+$ ]]; then
      word="'${word//\'/\'\\\'\'}'"
    fi
    words+=("$word")
  done
  echo "${words[*]}"
}

# Runs a command, or prints it. Everything that acts goes through here.
run() {
  if $dry_run; then quote "$@"; else "$@"; fi
}

tpus() {  # GROUP COMMAND NAME FLAGS...
  run gcloud compute tpus "$@" --zone="$zone" ${project:+"--project=$project"}
}

on_workers() {  # WHICH COMMAND
  tpus tpu-vm ssh "$name" --worker="$1" --command="$2"
}

# Prints the state of the request for the TPU, nothing where there is none.
state() {
  tpus queued-resources describe "$name" --format='value(state.state)'
}

create() {
  local now=''
  if $dry_run; then state; else now=$(state 2>/dev/null) || true; fi
  if [[ $now == SUSPENDED || $now == FAILED ]]; then  # it was taken away
    delete
    now=''
  fi
  if [[ -z $now ]]; then
    tpus queued-resources create "$name" --node-id="$name" \
      --accelerator-type="$type" --runtime-version="$runtime" ${spot:+--spot}
  fi
  if $dry_run; then return; fi
  until [[ $now == ACTIVE ]]; do
    now=$(state)
    echo "$(date +%T) $name is $now" >&2
    case $now in
      ACTIVE) ;;
      FAILED | SUSPENDED | SUSPENDING) exit 1 ;;
      *) sleep "${POLL:-30}" ;;
    esac
  done
}

copy() {
  local root archive
  root=$(dirname "${BASH_SOURCE[0]}")/..
  archive="${TMPDIR:-/tmp}/ferjax-$name.tar.gz"
  run tar -czf "$archive" --exclude=./.git --exclude='./.venv*' \
    --exclude=./runs --exclude=__pycache__ -C "$root" .
  tpus tpu-vm scp "$archive" "$name:ferjax.tar.gz" --worker=all
  on_workers all 'mkdir -p ferjax && tar -xzf ferjax.tar.gz -C ferjax'
  if [[ -n $data ]]; then
    on_workers all 'rm -rf ferjax_data'
    tpus tpu-vm scp "$data" "$name:ferjax_data" --recurse --worker=all
  fi
}

install() {
  # The VM's own Python is too old for today's JAX: uv brings one.
  # shellcheck disable=SC2016  # the workers expand it, here and below
  on_workers all 'curl -LsSf https://astral.sh/uv/install.sh | sh &&
    cd ferjax && PATH=$HOME/.local/bin:$PATH &&
    uv venv --allow-existing --python=3.12 .venv &&
    uv pip install --python=.venv/bin/python -e ".[tpu]"'
}

start() {
  local main loop
  main=$(quote .venv/bin/python -m ferjax.main "${flags[@]}" --distributed=auto)
  loop="status=0
until $main; do
  status=\$?
  case \$status in 2|3) break ;; esac
  echo \"ended with status \$status; starts again in 10 s\"
  sleep 10
  status=0
done
echo \$status > train.status"
  # A session of its own outlives the connection, and stops as a whole. All of
  # it holds the lock, so the lock is free once the last process has saved and
  # ended; one that hangs is killed.
  on_workers all "cd ferjax || exit
if [ -f train.pid ]; then
  kill -- -\$(cat train.pid) 2> /dev/null
  flock --timeout=120 train.lock true || kill -KILL -- -\$(cat train.pid)
fi
rm -f train.status
nohup setsid flock train.lock bash -c $(quote "$loop") > train.log 2>&1 < /dev/null &
echo \$! > train.pid"
}

follow() {
  # shellcheck disable=SC2016
  on_workers 0 'cd ferjax && tail -n +1 -F --pid=$(cat train.pid) train.log &&
    exit $(cat train.status)'
}

fetch() {
  local flag workdir=''  # as absl does, the last one counts
  for flag in "${flags[@]}"; do
    if [[ $flag == --workdir=* ]]; then workdir=${flag#*=}; fi
  done
  if [[ -z $workdir ]]; then fail 'fetch needs --workdir=DIR in FLAGS'; fi
  if [[ $workdir != [/~]* ]]; then workdir="ferjax/$workdir"; fi
  run mkdir -p runs
  tpus tpu-vm scp "$name:$workdir" runs/ --recurse --worker=0
}

delete() {
  tpus queued-resources delete "$name" --force --quiet
}

dry_run=false zone='' project='' type=v4-8 runtime=tpu-ubuntu2204-base
spot='' data='' name='' actions=() flags=()
while (($#)); do
  case $1 in
    --help)
      usage
      exit
      ;;
    --dry_run) dry_run=true ;;
    --spot) spot=yes ;;
    --zone=*) zone=${1#*=} ;;
    --project=*) project=${1#*=} ;;
    --type=*) type=${1#*=} ;;
    --runtime=*) runtime=${1#*=} ;;
    --data=*) data=${1#*=} data=${data/#\~/$HOME} ;;
    --)
      shift
      flags=("$@")
      break
      ;;
    -*) fail "there is no option $1" ;;
    *) if [[ -z $name ]]; then name=$1; else actions+=("$1"); fi ;;
  esac
  shift
done

if [[ -z $name ]]; then fail 'no NAME for the TPU'; fi
if [[ -z $zone ]]; then fail 'no --zone'; fi
if ((${#actions[@]} == 0)); then fail 'no ACTION'; fi
for action in "${actions[@]}"; do
  case $action in
    create | copy | install | log | delete) ;;
    start | fetch) ((${#flags[@]})) || fail "$action needs FLAGS" ;;
    *) fail "there is no action $action" ;;
  esac
done
for action in "${actions[@]}"; do
  case $action in
    log) follow ;;
    *) "$action" ;;
  esac
done
