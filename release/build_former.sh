#!/usr/bin/env bash
# Builds skyctl and skyd of the version before into a directory: of the newest tag below this commit, or while there is none of
# a commit before the first release. Usage: build_former.sh DIR. A clone that lacks that commit gets none, and a word why.
set -euo pipefail
cd "$(dirname "$0")/.."
to=$(cd "$1" && pwd)

before=$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null || echo 584f0139c706d067be47961d7cf747514497618b)
if ! git cat-file -e "$before^{commit}" 2>/dev/null; then
  echo "build_former.sh: this clone lacks $before, so the upgrade from the version before is NOT tested: git fetch --unshallow --tags" >&2
  exit 0
fi
version=$before
case $before in
v*) ;;
*) version=v0.0.0-$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S "$before")-${before:0:12} ;;
esac
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
git archive "$before" | tar -x -C "$sources"
echo "Building skyctl and skyd $version, for the upgrade from it" >&2
cd "$sources"
CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go build \
  -ldflags "-s -w -X github.com/sky-shift/skyctl/pkg/version.version=$version" -o "$to/" ./cmd/skyctl ./cmd/skyd
