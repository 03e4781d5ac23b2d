#!/bin/sh
# Prints the version of the sources that are checked out: of the newest tag below, such as v1.2.3 or v1.2.3-5-g0123456789ab;
# without a tag, Go's pseudo-version of the commit. Changed files add -dirty.
set -eu
cd "$(dirname "$0")/.."

if version=$(git describe --tags --match 'v[0-9]*' --abbrev=12 --dirty 2>/dev/null); then
    echo "$version"
    exit 0
fi
if ! commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
    echo v0.0.0-unknown # no git, or an archive of the sources
    exit 0
fi
time=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S)
dirty=
[ -z "$(git status --porcelain --untracked-files=no)" ] || dirty=-dirty
echo "v0.0.0-$time-$commit$dirty"
