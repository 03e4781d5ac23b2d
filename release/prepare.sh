#!/bin/sh
# Writes into a directory what a release needs beside the programs: man pages, completions, the licenses of what programs
# link, the Helm chart, the RKE2 kit in $SKYCTL_KIT and, for the image, the certificate authorities and a state directory.
# Usage: prepare.sh DIR VERSION
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$2
cd "$(dirname "$0")/.."
unset GOOS GOARCH
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

go run ./release/manpages -out "$out"
go run ./release/certificates >"$out/ca-certificates.crt"
mkdir -p "$out/state/skyd/snapshots"
chmod -R 700 "$out/state"

rm -rf "$out/kit" "$out/chart"
mkdir "$out/kit" "$out/chart"
cp -r "$SKYCTL_KIT"/* release/kit/README.md "$out/kit/" # without the hidden files of its build
cp -r release/chart/skyd-worker "$out/chart/"
sed -i.old "s/^\(version\|appVersion\): .*/\1: $version/" "$out/chart/skyd-worker/Chart.yaml"
rm "$out/chart/skyd-worker/Chart.yaml.old"

go run ./release/notices -out "$out/NOTICES.md" -platforms linux/amd64,linux/arm64,darwin/amd64,darwin/arm64 \
    ./cmd/skyctl ./cmd/skyd
go run ./release/notices -out "$out/kit/NOTICES.md" -dir test/rke2kit -platforms "linux/$(go env GOARCH)" ./cmd/...
