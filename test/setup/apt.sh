# Functions that install missing Debian packages; the other scripts of this directory source it.

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "$0: this needs root, and there is no sudo: run it as root" >&2
    return 1
  fi
}

# quietly runs a command and shows its output only if it fails.
quietly() {
  local said
  if ! said=$("$@" 2>&1 </dev/null); then
    printf '%s\n' "$said" | tail -n 30 >&2
    return 1
  fi
}

# lists_are_fresh checks that apt's package lists exist and are at most a day old.
lists_are_fresh() {
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -1 -print -quit 2>/dev/null)" ]
}

# update_lists continues if a source is unreachable. If a package is missing because of that, its installation reports
# it.
update_lists() {
  quietly as_root apt-get -q update || echo "apt-get update failed in part; going on with what there is" >&2
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 \
    apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"
}

# install_missing installs the named packages that are missing.
install_missing() {
  local package missing=()
  for package; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  if ! command -v apt-get >/dev/null; then
    echo "$0: this machine has no apt-get; install by its own means what Debian calls: ${missing[*]}" >&2
    return 1
  fi
  echo "Installing ${missing[*]}" >&2
  if ! lists_are_fresh; then update_lists; fi
  if apt_install "${missing[@]}" >/dev/null 2>&1 </dev/null; then return; fi
  # Lists a day old may name files that are gone by now.
  update_lists
  quietly apt_install "${missing[@]}"
}
