# How a training's log is followed; part of launch/gke.sh, which sets $name and
# $dry_run and has `run`.
# shellcheck shell=bash disable=SC2154

# What `log` asks; `pods` tells the name of each worker 0, the newest last, and
# its status once it has ended. A list may be empty: an index is then an error.
state() {
  run get jobset "$name" --output='jsonpath={.status.terminalState}'
}
pods() {
  local code='{.status.containerStatuses[*].state.terminated.exitCode}'
  run get pods --selector="$job,batch.kubernetes.io/job-completion-index=0" \
    --sort-by=.metadata.creationTimestamp \
    --output="jsonpath={range .items[*]}{.metadata.name} $code{'\n'}{end}"
}
codes() {
  run get pods --selector="$job" --output \
    'jsonpath={.items[*].status.containerStatuses[*].state.terminated.exitCode}'
}

# Prints the log of a pod from line $lines on; fails where it broke off.
show() {
  local line number whole=false
  while IFS= read -r line; do
    number=${line%%:*}
    if ((number == 0)); then
      whole=true
    elif ((number > lines)); then
      printf '%s\n' "${line#*:}"
      lines=$number
    fi
  done < <(run logs --follow "$1" |
    awk '{ print NR ":" $0; fflush() }' && echo 0:)
  $whole
}

follow() {
  local end list pod code last='' seen='' lines=0 misses=0
  local job="jobset.sigs.k8s.io/jobset-name=$name"
  if $dry_run; then
    state
    pods
    run logs --follow POD
    echo '# where it failed:'
    codes
    return
  fi
  state >/dev/null || exit 75
  while ((misses++ <= 20)); do
    # Asked before the log is read, so that no line after it is missed.
    if end=$(state) && list=$(pods); then
      read -r pod code <<<"${list##*$'\n'}"
      if [[ $pod != "$last" ]]; then last=$pod lines=0; fi
      if [[ -z $pod || $pod == "$seen" ]]; then
        if [[ -n $end ]]; then break; fi
      elif show "$pod" && [[ -n $code ]]; then
        seen=$pod
        continue
      fi
      if [[ -z $end ]]; then misses=0; fi
    fi
    sleep "${POLL:-10}"
  done
  case $end in
    Completed) return ;;
    Failed) echo "$name failed; kubectl describe jobset $name says more" >&2 ;;
    *) exit 75 ;;
  esac
  for code in $(codes); do
    case $code in 2 | 3) exit "$code" ;; esac
  done
  exit 1
}
