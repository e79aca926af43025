#!/usr/bin/env bash
# Trains on GPU nodes, or on a TPU slice, of a GKE cluster, from this machine.

set -euo pipefail

usage() {
  cat <<'END'
Usage: launch/gke.sh [OPTIONS] NAME ACTION... [-- FLAGS...]

Does the actions to the training called NAME, in the order given:
  apply     start `python -m ferjax.main FLAGS...` on every node; all begin
            again when one fails, but not for status 2 (a mistake in FLAGS)
            or 3 (a loss that is not finite)
  log       follow worker 0's output to its end, over all restarts; ends with
            status 2, 3, or 1 if the training failed, with 75 if kubectl
            could not look at it
  delete    give the nodes back; the workdir stays

Options:
  --image=IMAGE        of launch/Dockerfile, where the cluster finds it; needed
                       by apply, as is --workdir in FLAGS
  --accelerator=TYPE   of the nodes, as nvidia-h100-80gb (nvidia-l4, or with
                       --topology tpu-v5-lite-podslice)
  --chips=N            GPUs (1) or TPU chips (4) of one node
  --nodes=N            GPU nodes (1)
  --topology=AxB       of a TPU slice, as 4x4: makes it a training on TPUs
  --restarts=N         how often all may begin again (20)
  --volume=CLAIM       persistent volume claim to mount at /shared
  --service_account=NAME  Kubernetes' own, with rights to the bucket (default)
  --namespace=NAME, --context=NAME  kubectl's, if not its own setting
  --dry_run            print the commands, run nothing

Environment:
  POLL                 seconds between looks at the training (10)

Example:
  launch/gke.sh --image=IMAGE --accelerator=nvidia-h100-80gb --chips=8 \
    --nodes=2 fer apply log delete -- \
    --config=configs/resnet.py --config.data.dir=gs://BUCKET/data \
    --workdir=gs://BUCKET/runs/resnet
The data comes there by
  python -m ferjax.prepare --dataset=fer2013 --source=fer2013.csv \
    --data_dir=gs://BUCKET/data
END
}

fail() {
  echo "launch/gke.sh: $1; see --help" >&2
  exit 2
}

kube() {
  kubectl ${context:+"--context=$context"} \
    ${namespace:+"--namespace=$namespace"} "$@"
}

# Runs kubectl, or prints how it would be called.
run() {
  if ! $dry_run; then
    kube "$@"
    return
  fi
  printf '%q ' kubectl ${context:+"--context=$context"} \
    ${namespace:+"--namespace=$namespace"} "$@"
  echo
}

# shellcheck source=launch/gke_log.sh
source "$(dirname "${BASH_SOURCE[0]}")/gke_log.sh"

# Writes a word as YAML and JSON do, and keeps Kubernetes from expanding it.
quoted() {
  local word=$1
  word=${word//\\/\\\\}
  word=${word//\"/\\\"}
  word=${word//$'\n'/\\n}
  word=${word//$'\t'/\\t}
  word=${word//'$'/'$$'}
  echo "\"$word\""
}

# Prints the JobSet with everything filled in.
# shellcheck disable=SC2016  # the placeholders are not this shell's
manifest() {
  local line flag file=gke_jobset.yaml
  local shared='{"name": "shared", "emptyDir": {}}'
  if [[ -n $topology ]]; then file=gke_jobset_tpu.yaml; fi
  if [[ -n $volume ]]; then
    shared='{"name": "shared", "persistentVolumeClaim":'
    shared+=" {\"claimName\": \"$volume\"}}"
  fi
  while IFS= read -r line; do
    if [[ $line == *'- ${FLAGS}' ]]; then
      for flag in "${flags[@]}"; do
        echo "${line%'${FLAGS}'}$(quoted "$flag")"
      done
      continue
    elif [[ $line == \#* ]]; then  # what it says of the template is done
      continue
    fi
    line=${line//'${NAME}'/$name}
    line=${line//'${IMAGE}'/$image}
    line=${line//'${ACCELERATOR}'/$accelerator}
    line=${line//'${TOPOLOGY}'/$topology}
    line=${line//'${CHIPS}'/$chips}
    line=${line//'${NODES}'/$nodes}
    line=${line//'${RESTARTS}'/$restarts}
    line=${line//'${SERVICE_ACCOUNT}'/$service_account}
    line=${line//'${SHARED}'/$shared}
    echo "$line"
  done <"$(dirname "${BASH_SOURCE[0]}")/$file"
}

apply() {
  if $dry_run; then
    echo "$(run apply --filename=-)<<'END'"
    manifest
    echo END
  else
    manifest | run apply --filename=-
  fi
}

# Ends where a run would lose what it writes: a pod's own disk goes with it.
check_workdir() {
  local flag workdir=''  # as absl does, the last one counts
  for flag in "${flags[@]}"; do
    if [[ $flag == --workdir=* ]]; then workdir=${flag#*=}; fi
  done
  case $workdir in
    gs://?*) return ;;
    /shared/*) if [[ -n $volume ]]; then return; fi ;;
  esac
  fail "apply needs --workdir=gs://... or, with --volume, /shared/... in FLAGS"
}

# Sets $nodes and the defaults that depend on the kind of node.
count_nodes() {
  local size chips_in_all=1
  if [[ -z $topology ]]; then
    accelerator=${accelerator:-nvidia-l4} chips=${chips:-1} nodes=${nodes:-1}
    return
  fi
  if [[ -n $nodes ]]; then fail 'the nodes of a TPU slice follow --topology'; fi
  accelerator=${accelerator:-tpu-v5-lite-podslice} chips=${chips:-4}
  for size in ${topology//x/ }; do
    chips_in_all=$((chips_in_all * size))
  done
  if ((chips_in_all % chips)); then
    fail "--chips=$chips does not divide --topology=$topology"
  fi
  nodes=$((chips_in_all / chips))
}

check() {  # OPTION VALUE PATTERN
  if [[ ! $2 =~ ^($3)$ ]]; then fail "--$1=$2 cannot be used"; fi
}

shopt -u patsub_replacement 2>/dev/null || true  # & is just that, as of old
dry_run=false image='' accelerator='' chips='' nodes='' topology=''
restarts=20 volume='' service_account=default namespace='' context=''
name='' actions=() flags=()
while (($#)); do
  case $1 in
    --help)
      usage
      exit
      ;;
    --dry_run) dry_run=true ;;
    --image=* | --accelerator=* | --chips=* | --nodes=* | --topology=* | \
      --restarts=* | --volume=* | --service_account=* | --namespace=* | \
      --context=*)
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

if [[ -z $name ]]; then fail 'no NAME for the training'; fi
# Its pods' host names may have 63 characters.
if [[ ! $name =~ ^[a-z]([-a-z0-9]{0,43}[a-z0-9])?$ ]]; then
  fail "NAME $name is not of up to 45 small letters, digits and inner hyphens"
fi
if ((${#actions[@]} == 0)); then fail 'no ACTION'; fi
for action in "${actions[@]}"; do
  case $action in
    apply)
      if [[ -z $image ]]; then fail 'apply needs --image'; fi
      if ((${#flags[@]} == 0)); then fail 'apply needs FLAGS'; fi
      check image "$image" '[A-Za-z0-9._/:@-]+'
      check accelerator "$accelerator" '[a-z0-9-]*'
      check topology "$topology" '([1-9][0-9]*(x[1-9][0-9]*)+)?'
      check chips "$chips" '([1-9][0-9]*)?'
      check nodes "$nodes" '([1-9][0-9]*)?'
      check restarts "$restarts" '0|[1-9][0-9]*'
      check volume "$volume" '[a-z0-9.-]*'
      check service_account "$service_account" '[a-z0-9.-]+'
      check_workdir
      count_nodes
      ;;
    log | delete) ;;
    *) fail "there is no action $action" ;;
  esac
done
for action in "${actions[@]}"; do
  case $action in
    apply) apply ;;
    log) follow ;;
    delete) run delete jobset "$name" ;;
  esac
done
