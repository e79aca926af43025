# How a TPU is had and given back; part of launch/tpu_vm.sh, which sets $name,
# $zone, $project, $type, $runtime, $spot and $dry_run.
# shellcheck shell=bash disable=SC2154

kind=queued-resources now=''  # as `look` found them; a dry run looks at nothing

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

# Sets $now to the state of the TPU and $kind to what it was made as, both to
# nothing where there is none.
look() {
  local said format='value(state.state)'
  for kind in queued-resources tpu-vm; do
    if said=$(tpus "$kind" describe "$name" --format="$format" 2>&1); then
      now=${said##*$'\n'}
      return
    elif [[ $said != *NOT_FOUND* ]]; then
      echo "$said" >&2
      return 1
    fi
    format='value(state)'
  done
  kind='' now=''
}

request() {
  tpus queued-resources create "$name" --node-id="$name" \
    --accelerator-type="$type" --runtime-version="$runtime" ${spot:+--spot}
}

create() {
  local requested=false misses=20  # the first look must not fail
  if $dry_run; then
    tpus queued-resources describe "$name" --format='value(state.state)'
    request
    return
  fi
  while true; do
    if look; then
      misses=0
      case $now in
        '')
          if $requested; then exit 1; fi
          request
          requested=true
          ;;
        ACTIVE | READY) return ;;
        FAILED | SUSPENDED | PREEMPTED | TERMINATED)
          echo "$name is $now" >&2
          if $requested; then exit 1; fi
          delete
          continue
          ;;
        STOPPED) tpus tpu-vm start "$name" ;;
        *) echo "$(date +%T) $name is $now" >&2 ;;
      esac
    elif ((++misses > 20)); then
      exit 1
    fi
    sleep "${POLL:-30}"
  done
}

delete() {
  if ! $dry_run; then look; fi
  case $kind in
    queued-resources) tpus queued-resources delete "$name" --force --quiet ;;
    tpu-vm) tpus tpu-vm delete "$name" --quiet ;;
    *) echo "there is no $name" >&2 ;;
  esac
}
