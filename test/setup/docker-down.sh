#!/usr/bin/env bash
# Stops the Docker engine if docker.sh started it and it is not in use; any other engine keeps running. Installed
# packages stay.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"
. "$here/state.sh"

# started_by_hand prints the id of the engine that docker.sh started, if it still runs. Ids are reused, so the process
# must have our file as an argument.
started_by_hand() {
  local pid
  pid=$(as_root cat "$pidfile" 2>/dev/null) || return 0
  if as_root grep -qzxF -- "$pidfile" "/proc/$pid/cmdline" 2>/dev/null; then echo "$pid"; fi
}

stop_by_hand() {
  local pid=$1 deadline=$((SECONDS + 60))
  as_root kill "$pid"
  while as_root test -d "/proc/$pid"; do
    if [ $SECONDS -ge $deadline ]; then
      echo "docker-down.sh: the Docker engine (process $pid) does not stop; see $log" >&2
      return 1
    fi
    sleep 0.2
  done
}

main() {
  local pid running
  pid=$(started_by_hand)
  if [ -z "$pid" ] && ! [ -e "$by_systemd" ]; then return; fi
  running=$(as_root docker ps --format '{{.Names}}' | tr '\n' ' ')
  if [ -n "$running" ]; then
    echo "The Docker engine stays: containers run on it: $running" >&2
    return
  fi
  echo "Stopping the Docker engine" >&2
  if [ -n "$pid" ]; then
    stop_by_hand "$pid"
  else
    as_root systemctl stop docker.socket docker.service
  fi
  as_root rm -f "$pidfile" "$ended" "$by_systemd"
}

main "$@"
