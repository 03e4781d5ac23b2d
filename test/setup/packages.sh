#!/usr/bin/env bash
# Installs the Debian packages for building and testing, and checks that Go is installed, which is up to you. Debian and
# Ubuntu; root, or sudo. Usage: packages.sh [demo], which leaves out what only tests need.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/apt.sh"

check_go() {
  local want have
  want=$(awk '$1 == "go" { print $2; exit }' "$here/../../go.mod")
  if ! command -v go >/dev/null; then
    echo "packages.sh: Go $want is needed, and there is no go in PATH: install it from your distribution or go.dev" >&2
    return 1
  fi
  # An older go fetches the toolchain that go.mod names, unless it was told not to.
  have=$(cd "$here/../.." && go env GOVERSION 2>/dev/null | sed 's/^go//') || true
  if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ]; then
    echo "packages.sh: Go $want is needed, this is $(GOTOOLCHAIN=local go version | cut -d' ' -f3): install a newer one" >&2
    return 1
  fi
}

# The tests start their own PostgreSQL servers, so none needs to run as a service.
keep_postgresql_quiet() {
  local config=/etc/postgresql-common/createcluster.conf
  if [ -e "$config" ] || [ -d /usr/lib/postgresql ]; then return; fi
  as_root mkdir -p "${config%/*}"
  echo "create_main_cluster = false" | as_root tee "$config" >/dev/null
}

# The tests start servers of OpenSSH of their own, so none that is installed for them needs to run as a service.
keep_sshd_quiet() {
  if [ -x /usr/sbin/sshd ] || [ -e /etc/ssh/sshd_not_to_be_run ]; then return; fi
  as_root mkdir -p /etc/ssh
  as_root touch /etc/ssh/sshd_not_to_be_run # ssh.service and the package's scripts look for it
}

main() {
  check_go
  install_missing ca-certificates curl git procps tar util-linux
  if [ "${1:-}" = demo ]; then return; fi
  keep_postgresql_quiet
  keep_sshd_quiet
  install_missing iproute2 netcat-openbsd openssh-client openssh-server postgresql python3-venv rsync shellcheck socat systemd wget
}

main "$@"
