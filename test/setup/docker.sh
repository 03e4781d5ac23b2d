#!/usr/bin/env bash
# Makes sure that a Docker engine answers and that the host image can be built. It does not change an engine that
# already answers. Debian and Ubuntu; root, or sudo.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"
. "$here/state.sh"

# The socket that systemd holds for a failing engine accepts requests and never answers.
answers() { timeout 10 docker version >/dev/null 2>&1; }
answers_root() { as_root timeout 10 docker version >/dev/null 2>&1; }

# wait_for_engine waits until the engine answers; an engine started by hand reports its exit in a file.
wait_for_engine() {
  local deadline=$((SECONDS + 60))
  until answers_root; do
    if [ $SECONDS -ge $deadline ] || as_root test -e "$ended"; then
      echo "docker.sh: the Docker engine does not come up. It said last:" >&2
      if [ -e "$by_systemd" ]; then
        as_root journalctl -u docker -n 20 --no-pager >&2
      else
        as_root tail -n 20 "$log" >&2
      fi
      return 1
    fi
    sleep 0.2
  done
}

# systemd_runs checks the first process, because systemd's directories can exist without it.
systemd_runs() { [ "$(cat /proc/1/comm 2>/dev/null)" = systemd ]; }

start_by_systemd() {
  as_root touch "$by_systemd"
  as_root timeout 60 systemctl start docker || true # the wait tells why
  wait_for_engine
}

# forget_killed removes a killed engine's record of its containerd. The next engine would take any process with that id
# for it, even a zombie, and wait for it forever.
forget_killed() {
  local file=/run/docker/containerd/containerd.pid pid
  pid=$(as_root cat "$file" 2>/dev/null) || return 0
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = containerd ] && ! grep -q '^State:[[:space:]]*[ZX]' "/proc/$pid/status" 2>/dev/null; then
    return 0
  fi
  as_root rm -f "$file"
}

# start_by_hand is for machines without systemd, such as containers and micro-VMs. The engine outlives this shell.
start_by_hand() {
  as_root rm -f "$pidfile" "$ended" "$by_systemd"
  forget_killed
  as_root setsid --fork sh -c 'exec >>"$3" 2>&1 </dev/null; dockerd --pidfile "$1"; echo $? >"$2"' \
    sh "$pidfile" "$ended" "$log"
  wait_for_engine
}

main() {
  # pigz unpacks images on all cores; the keyring lets debootstrap check Debian's signatures on Ubuntu as well.
  install_missing iptables debootstrap debian-archive-keyring pigz tar
  if answers; then return; fi
  if [ -n "${DOCKER_HOST:-}" ]; then
    echo "docker.sh: no Docker engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST" >&2
    return 1
  fi
  as_root mkdir -p "$state"
  if ! command -v dockerd >/dev/null; then
    install_missing docker.io
    # Under systemd the package starts the engine, so it counts as started by us.
    if systemd_runs; then as_root touch "$by_systemd"; fi
  fi
  if ! answers_root; then
    local start=$SECONDS
    echo "Starting the Docker engine, for at most 60 s" >&2
    if systemd_runs; then start_by_systemd; else start_by_hand; fi
    echo "The Docker engine answers after $((SECONDS - start)) s" >&2
  fi
  if ! answers; then
    echo "docker.sh: the Docker engine runs, but $(id -un) may not use it: sudo usermod -aG docker $(id -un), then log in again" >&2
    return 1
  fi
}

main "$@"
