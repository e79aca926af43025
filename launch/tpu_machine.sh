# How a TPU is had and given back; part of launch/tpu_vm.sh, which sets $name,
# $zone, $project, $type, $runtime, $spot and $dry_run.
# shellcheck shell=bash disable=SC2154

kind='' now=''  # as `look` found them

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
    if $dry_run; then
      tpus "$kind" describe "$name" --format="$format"
    elif said=$(tpus "$kind" describe "$name" --format="$format" 2>&1); then
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

# Says whether the TPU is no longer there.
is_taken_away() {
  if ! look; then return 1; fi
  case $now in
    '' | FAILED | SUSPEND* | PREEMPTED | TERMINATED | STOPP* | DELETING)
      echo "$name was taken away: it is ${now:-no more}" >&2
      ;;
    *) return 1 ;;
  esac
}

create() {
  local requested=false misses=20  # the first look must not fail
  if $dry_run; then
    look
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
          if $requested && [[ $now == FAILED ]]; then exit 1; fi
          requested=false  # a Spot machine may go before it was here
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
  look
  if $dry_run; then
    kind='queued-resources tpu-vm'
    echo '# one of these, as it was made:'
  fi
  if [[ $kind == *queued-resources* ]]; then
    tpus queued-resources delete "$name" --force --quiet
  fi
  if [[ $kind == *tpu-vm* ]]; then tpus tpu-vm delete "$name" --quiet; fi
  if [[ -z $kind ]]; then echo "there is no $name" >&2; fi
}
