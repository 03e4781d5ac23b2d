#!/bin/sh
# Installs SkyPilot, pinned with hashes, into a virtual environment of its own:
#   install.sh DIR [CLOUD...]
# DIR is created when missing. CLOUD is one of aws, gcp, azure, lambda, do, oci, nebius; the default is aws and gcp. Installed
# packages stay, so that a cloud can be added later. PYTHON is an interpreter other than python3 (3.10 or newer).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: install.sh DIR [CLOUD...]" >&2; exit 2; }
dir=$1
shift
[ $# -gt 0 ] || set -- aws gcp

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "install.sh: $python is older than 3.10 or missing: install Python 3.10 or newer, or set PYTHON" >&2
    exit 1
}

for cloud; do
    [ -f "$here/$cloud.txt" ] || { echo "install.sh: unknown cloud $cloud; choose from: $(cd "$here" && printf '%s\n' *.txt | sed 's/\.txt$//' | grep -v '^base$' | tr '\n' ' ')" >&2; exit 2; }
done

# If the stamp matches these files, there is nothing to install.
stamp=$dir/skyctl-installed-$(for cloud; do printf '%s\n' "$cloud"; done | sort | tr '\n' '-')
sum=$({ cat "$here/base.txt"; for cloud; do cat "$here/$cloud.txt"; done; } | cksum)
if [ -x "$dir/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
    exit 0
fi

"$dir/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear "$dir"
for cloud; do # each becomes an option of pip
    set -- "$@" -r "$here/$cloud.txt"
    shift
done
# All dependencies are listed, so none have to be resolved.
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/base.txt" "$@"
"$dir/bin/python" -c 'import sky' >/dev/null
printf '%s\n' "$sum" > "$stamp"
