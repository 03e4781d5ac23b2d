#!/bin/sh
# Builds the release directory, unless it was built from these sources already, and
# prints its path. Usage: build.sh [--without-helm] [OUTDIR]
# Without Helm, which only HelmCharts need, it compiles a seventh less.
set -eu

tags=grpcnotrace
if [ "${1:-}" = --without-helm ]; then
    tags=$tags,nohelm
    shift
fi

here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
arch=$(go env GOARCH)
kube=$(awk '$1 == "k8s.io/kubernetes" {print $2; exit}' go.mod)
version="$kube+rke2r1-kit"

# What goes into the hash is what goes into the release: hash_sources TAGS.
hash_sources() {
    {
        go env GOVERSION GOARCH
        echo "$1"
        find build.sh go.mod go.sum cmd internal files -type f ! -name '*_test.go' | LC_ALL=C sort | xargs sha256sum
    } | sha256sum | cut -c1-40
}
hash=$(hash_sources "$tags")

cache=${XDG_CACHE_HOME:-$HOME/.cache}/skyctl/rke2kit
if [ "$tags" != grpcnotrace ] && [ -z "${1:-}" ]; then # a kit with Helm that is there does as well
    full=$(hash_sources grpcnotrace)
    if [ "$(cat "$cache/$full/.sources" 2>/dev/null)" = "$full" ]; then hash=$full; fi
fi
out=${1:-$cache/$hash}
mkdir -p "$out"
touch "$out"
out=$(cd "$out" && pwd)

# One build at a time; the others find it done.
exec 9>"$out/.lock"
flock 9
if [ "$(cat "$out/.sources" 2>/dev/null)" = "$hash" ]; then
    echo "$out"
    exit 0
fi

echo "Building the RKE2 kit $version ($arch): upstream Kubernetes, compiled once" >&2
rm -f "$out/.sources"
tmp=$(mktemp -d "$out/.build-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=readonly"
k8s=k8s.io/component-base/version
flags="-s -w -X main.version=$version -X main.commit=$hash
 -X $k8s.gitVersion=$version -X $k8s.gitMajor=1 -X $k8s.gitMinor=$(echo "$kube" | cut -d. -f2)
 -X $k8s.gitCommit=$hash -X $k8s.gitTreeState=clean"
../setup/compile.sh "RKE2 kit" -trimpath -buildvcs=false -tags="$tags" -ldflags "$flags" -o "$tmp/" -- \
    ./cmd/kube ./cmd/rke2 ./cmd/pause ./cmd/hello ./cmd/gpukit ./cmd/mkrelease >&2
"$tmp/mkrelease" -binaries "$tmp" -files files -arch "$arch" -version "$version" -out "$out"
echo "$hash" >"$out/.sources"
# Releases that were not used for a month are of older sources.
[ ! -d "$cache" ] || find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
echo "$out"
