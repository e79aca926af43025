#!/usr/bin/env bash
# Trains on a Cloud TPU VM, or on a pod slice of several, from this machine.

set -euo pipefail

usage() {
  cat <<'END'
Usage: launch/tpu_vm.sh [OPTIONS] NAME ACTION... [-- FLAGS...]

Does the actions to the TPU called NAME, in the order given:
  create    queue for the TPU and wait until it is there; reuse it if it is,
            however it was made
  copy      send this code (and --data) to every worker
  install   make a Python environment of it on every worker
  start     run `python -m ferjax.main FLAGS...` on every worker, again
            whenever it fails, as `launch/restart.sh --help` says
  log       follow worker 0's output to its end, over lost connections; ends
            with the training's status
  fetch     copy the --workdir of FLAGS, from worker 0 or gs://, into runs/
  delete    give the TPU back; until then it costs money
When the TPU is taken away before the end of `log`, all actions begin again if
the first is `create` and the --workdir of FLAGS is on gs://, where nothing is
lost. Otherwise the status is 75.

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
  POLL             seconds between looks at the TPU (30)

Example:
  python -m ferjax.prepare --dataset=fer2013 --source=fer2013.csv
  launch/tpu_vm.sh --zone=us-central2-b --data=~/ferjax_data fer \
    create copy install start log fetch delete -- \
    --config=configs/resnet.py --workdir=runs/resnet
END
}

fail() {
  echo "launch/tpu_vm.sh: $1; see --help" >&2
  exit 2
}

# shellcheck source=launch/tpu_machine.sh
source "$(dirname "${BASH_SOURCE[0]}")/tpu_machine.sh"

on_workers() {  # WHICH COMMAND
  # Where the machine vanishes nobody says so: ssh asks, and ends in 2 minutes.
  tpus tpu-vm ssh "$name" --worker="$1" --command="$2" \
    --ssh-flag=-oServerAliveInterval=30 --ssh-flag=-oServerAliveCountMax=4
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
    uv pip install --python=.venv/bin/python \
      --constraint=launch/constraints.txt -e ".[tpu,gcs]"'
}

start() {
  local loop
  # With the platform named, JAX ends where the TPU does not start. It would use
  # the CPU otherwise, and say nothing.
  loop=$(quote env JAX_PLATFORMS=tpu,cpu launch/restart.sh \
    .venv/bin/python -m ferjax.main "${flags[@]}" --distributed=auto)
  # A session of its own outlives the connection, and stops as a whole. All of
  # it holds the lock, so the lock is free once the last process has saved and
  # ended; one that hangs is killed.
  on_workers all "cd ferjax || exit
if [ -f train.pid ]; then
  kill -- -\$(cat train.pid) 2> /dev/null
  flock --timeout=120 train.lock true || kill -KILL -- -\$(cat train.pid)
fi
rm -f train.status
nohup setsid flock train.lock bash -c $(quote "$loop; echo \$? > train.status") \
  > train.log 2>&1 < /dev/null &
echo \$! > train.pid"
}

# Prints worker 0's log and then returns the training's status, or 75 when the
# TPU is no longer there.
log() {
  local number line status='' lines=0 misses=0 command
  # Each line comes with its number, as gcloud repeats a command whose
  # connection broke; 0 is the end.
  # shellcheck disable=SC2016
  command='cd ferjax && tail -n +1 -F --pid=$(cat train.pid) train.log |
    awk '\''{ print NR ":" $0; fflush() }'\'' &&
    echo "0:$(cat train.status 2> /dev/null || echo gone)"'
  if $dry_run; then
    on_workers 0 "$command"
    return
  fi
  while true; do
    while IFS= read -r line; do
      number=${line%%:*}
      if [[ ! $number =~ ^[0-9]+$ ]]; then
        continue
      elif ((number == 0)); then
        status=${line#*:}
      elif ((number > lines)); then
        printf '%s\n' "${line#*:}"
        lines=$number misses=0
      fi
    done < <(on_workers 0 "$command")
    case $status in
      0) return ;;
      gone)  # as from a machine that goes down
        if is_taken_away; then return 75; fi
        echo "$name: nothing trains any more, and it left no status" >&2
        return 1
        ;;
      ?*) # Why may be known to another worker alone.
        # shellcheck disable=SC2016
        on_workers all 'echo "$(hostname):"; tail -n 5 ferjax/train.log' >&2 ||
          true
        return "$status"
        ;;
    esac
    if is_taken_away; then return 75; fi
    if ((++misses > 20)); then return 1; fi
    echo "$name: connection lost, trying again" >&2
    sleep "${POLL:-30}"
  done
}

# Prints the --workdir of FLAGS; as for absl, the last one counts.
workdir() {
  local flag found=''
  for flag in "${flags[@]}"; do
    if [[ $flag == --workdir=* ]]; then found=${flag#*=}; fi
  done
  echo "$found"
}

fetch() {
  local from
  from=$(workdir)
  if [[ -z $from ]]; then fail 'fetch needs --workdir=DIR in FLAGS'; fi
  run mkdir -p runs
  if [[ $from == gs://* ]]; then
    run gcloud storage cp --recursive "$from" runs/ \
      ${project:+"--project=$project"}
    return
  fi
  if [[ $from != [/~]* ]]; then from="ferjax/$from"; fi
  tpus tpu-vm scp "$name:$from" runs/ --recurse --worker=0
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
    --zone=* | --project=* | --type=* | --runtime=* | --data=*)
      option=${1%%=*}
      printf -v "${option#--}" '%s' "${1#*=}"
      ;;
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

data=${data/#\~/$HOME}
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
i=0
while ((i < ${#actions[@]})); do
  action=${actions[i]}
  i=$((i + 1))
  set +e  # with `||` or `if` an action would go on after an error in it
  (
    set -e
    "$action"
  )
  status=$?
  set -e
  case $action in
    copy | install | start)
      if ((status)) && is_taken_away; then status=75; fi
      ;;
  esac
  if ((status == 75)) && [[ ${actions[0]} == create ]] &&
    ((${#flags[@]})) && [[ $(workdir) == gs://* ]]; then
    i=0
  elif ((status)); then
    exit "$status"
  fi
done
