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
  echo "Reading the lists of packages" >&2
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
  local start=$SECONDS
  if ! lists_are_fresh; then update_lists; fi
  echo "Installing ${missing[*]}$(describe_download "${missing[@]}")" >&2
  if ! apt_install "${missing[@]}" >/dev/null 2>&1 </dev/null; then
    # Lists a day old may name files that are gone by now.
    update_lists
    quietly apt_install "${missing[@]}"
  fi
  echo "Installed ${missing[*]} in $((SECONDS - start)) s" >&2
}

# describe_download says how many packages apt would install for the named ones, and how much it would download; nothing if
# that is unknown.
describe_download() {
  LC_ALL=C apt-get -q --print-uris -y --no-install-recommends install "$@" 2>/dev/null </dev/null |
    awk "/^'/ { n++; bytes += \$3 } END { if (n) printf \": %d packages, %.1f MB to download\", n, bytes / 1e6 }"
}
