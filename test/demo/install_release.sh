#!/usr/bin/env bash
# Gets the programs and the RKE2 kit of a release for the demo: skyctl and skyd into bin/, the kit into bin/rke2kit. It needs
# no Go. SKYCTL_DIST is the release: a directory, or the address of its files.
set -euo pipefail
cd "$(dirname "$0")/../.."

dist=${SKYCTL_DIST:?is the directory or the address of a release}
dist=${dist%/}
dist=${dist#file://}
kit=$PWD/bin/rke2kit

fail() {
  echo "install_release.sh: $1" >&2
  exit 1
}

# fetch gets a file of the release: fetch NAME FILE. On a terminal a bar shows how far an archive is.
fetch() {
  case $dist in
  http://* | https://*) download "$dist/$1" "$2" || fail "cannot get $dist/$1" ;;
  *) cp "$dist/$1" "$2" || fail "cannot read $dist/$1" ;;
  esac
}

# download gets an address with curl or wget: download URL FILE. As with install.sh, a redirect does not leave https; curl
# refuses such a one, and wget follows it, and says where it led.
download() {
  local bar=
  if [ -t 2 ] && [[ $1 != */checksums.txt ]]; then bar=-#; fi
  if command -v curl >/dev/null; then
    curl -fL "${bar:--sS}" --proto-redir "=${1%%:*},https" --connect-timeout 30 -o "$2" "$1"
  else
    wget -q -S -o "$scratch/responses" ${bar:+--show-progress} -T 60 -O "$2" "$1" && check_redirects "$1"
  fi
}

# check_redirects fails if wget has left https for an address.
check_redirects() {
  case $1 in http://*) return 0 ;; esac
  grep -q 'HTTP/' "$scratch/responses" || fail "this wget does not say where redirects lead: install curl"
  if grep -i '^ *location: *[a-z][a-z0-9+.-]*:' "$scratch/responses" | grep -iv '^ *location: *https:' >&2; then
    fail "$1 redirects to an address without https, whose content could be changed on the way"
  fi
}

# Programs that run are replaced as files, not written into.
install_programs() {
  SKYCTL_DIST=$dist ./install.sh --prefix "$PWD/bin/release" | { grep -E '^(Downloading|Verified|Installed|Replaced|skyctl )' || true; }
  for program in skyctl skyd; do ln -f "bin/release/bin/$program" "bin/$program"; done
}

# choose_kit sets the name of the kit's archive for this machine, and its checksum.
choose_kit() {
  local arch
  case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) fail "there is no kit for $(uname -m)" ;;
  esac
  fetch checksums.txt "$scratch/checksums.txt"
  read -r sum archive < <(grep -E "^[0-9a-f]{64} [ *]rke2kit_[A-Za-z0-9._+~-]+_linux_$arch\.tar\.gz$" "$scratch/checksums.txt" |
    tail -n 1) || fail "checksums.txt of $dist names no rke2kit_VERSION_linux_$arch.tar.gz"
  archive=${archive#\*}
}

install_kit() {
  local archive sum
  choose_kit
  if [ "$(cat "$kit/.archive" 2>/dev/null)" = "$sum" ]; then return; fi
  echo "Downloading $archive from $dist"
  fetch "$archive" "$scratch/$archive"
  (cd "$scratch" && echo "$sum  $archive" | sha256sum --check --quiet >&2) ||
    fail "$archive is incomplete or was changed: checksums.txt has another SHA-256"
  mkdir "$scratch/kit"
  tar -xzf "$scratch/$archive" -C "$scratch/kit"
  # Its files may be in a directory of the archive's name.
  unpacked=$(dirname "$(find "$scratch/kit" -maxdepth 2 -name version -type f | head -n 1)")
  [ -e "$unpacked/version" ] || fail "$archive is no RKE2 kit: it has no file named version"
  tar -xzOf "$unpacked"/rke2.linux-*.tar.gz share/rke2/bin/kube >"$scratch/kubectl" # it is kubectl where it is called that
  chmod +x "$scratch/kubectl"
  echo "$sum" >"$unpacked/.archive"
  rm -rf "$kit"
  mv "$unpacked" "$kit"
  mv "$scratch/kubectl" bin/kubectl
  echo "The kit is Kubernetes $(cat "$kit/version")."
}

mkdir -p bin
scratch=$(mktemp -d bin/.release-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
install_programs
install_kit
