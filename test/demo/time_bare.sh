#!/usr/bin/env bash
# Times `make demo SKYCTL_DIST=…` on a computer without Docker: it removes what the demo installs, with ALL containers, images
# and volumes of the Docker engine, and everything that skyctl uninstall removes, such as keys, snapshots and host images. It
# runs the demo in a new clone. It refuses while clusters exist, as skyctl uninstall does. Only for computers that nobody
# needs. docs/benchmarks.md has what it measured. It keeps apt's lists of packages, curl and Debian's keyrings.
# Debian and Ubuntu, root. Usage: time_bare.sh --remove-docker-and-skyctl-with-all-data DIR|URL, which is a release.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/setup/state.sh

if [ "${1:-}" != --remove-docker-and-skyctl-with-all-data ] || [ -z "${2:-}" ] || [ "$(id -u)" -ne 0 ]; then
  sed -n '2,7s/^# //p' "$0" >&2
  exit 2
fi
dist=$2
if [ -d "$dist" ]; then dist=$(realpath "$dist"); fi

skyconf=${SKYCONF_DIR:-$HOME/.skyconf}
if [ -e "$skyconf" ]; then
  PATH=$PWD/bin:$PATH skyctl uninstall --yes || {
    echo "time_bare.sh: skyctl uninstall does not remove $skyconf, whose keys clusters may need: nothing was removed" >&2
    exit 1
  }
  if [ -e "$skyconf" ]; then
    echo "time_bare.sh: $skyconf has files that are not skyctl's: move them away" >&2
    exit 1
  fi
fi
test/setup/docker-down.sh # the engine that the demo has started
if pgrep -x dockerd >/dev/null; then
  echo "time_bare.sh: a Docker engine runs that the demo has not started: stop it first" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get purge -y -q docker.io containerd runc debootstrap pigz iptables
apt-get autoremove -y -q
apt-get clean
rm -rf /var/lib/docker /var/lib/containerd /run/docker "$state" "${XDG_STATE_HOME:-$HOME/.local/state}/skyctl" \
  "${XDG_CACHE_HOME:-$HOME/.cache}/skyctl/images"
sources=$(mktemp -d)
git clone -q . "$sources"
sync
echo "commit $(git rev-parse HEAD), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
cd "$sources"
# Without Go, which is not in these directories.
time PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin make demo SKYCTL_DIST="$dist" </dev/null
echo "The demo runs from $sources; make demo-down there removes it."
