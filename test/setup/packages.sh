#!/usr/bin/env bash
# Installs the Debian packages for building and testing, and checks that Go is installed, which is up to you. Debian and
# Ubuntu; root, or sudo.
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

main() {
  check_go
  keep_postgresql_quiet
  install_missing ca-certificates curl git iproute2 openssh-client postgresql procps python3-venv rsync tar util-linux
}

main "$@"
