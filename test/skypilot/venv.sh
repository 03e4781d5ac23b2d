#!/usr/bin/env bash
# Prints the directory of a virtual environment with exactly the packages of a requirements file, and creates it if
# missing:
#   venv.sh REQUIREMENTS [NAME]
# It is in the user's cache, in a folder NAME (default: skypilot-test), under a hash of the file and of the Python version. Concurrent runs wait; an unfinished
# environment is recreated.
set -euo pipefail

find_python() {
  local candidate
  for candidate in "${SKYCTL_TEST_PYTHON:-python3}" /usr/bin/python3 python3.11 python3.12 python3.13; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "venv.sh: Python 3.11 or newer with venv is needed (Debian: python3-venv); SKYCTL_TEST_PYTHON may name one" >&2
  return 1
}

main() {
  local requirements=$1 python hash root dir
  python=$(find_python)
  hash=$({ cat "$requirements"; "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; } | sha256sum | cut -c1-16)
  root=${XDG_CACHE_HOME:-$HOME/.cache}/skyctl/${2:-skypilot-test}
  dir=$root/$hash
  mkdir -p "$root"
  exec 9>"$root/.$hash.lock"
  flock 9
  if [ ! -e "$dir/complete" ]; then
    echo "installing $requirements into $dir, once" >&2
    rm -rf "$dir"
    "$python" -m venv "$dir" >&2
    "$dir/bin/python" -m pip install -q --no-deps --disable-pip-version-check -r "$requirements" >&2
    "$dir/bin/python" -m pip check >&2
    touch "$dir/complete"
  fi
  echo "$dir"
}

main "$@"
