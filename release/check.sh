#!/usr/bin/env bash
# Makes a release as goreleaser would, without publishing it, signed with a key that is thrown away, and inspects all of it:
# test/release says what is checked. `make release-check` builds the tools and the kit for it.
set -euo pipefail
cd "$(dirname "$0")/.."
begun=$SECONDS
for tool in dpkg-deb rpm docker; do
  command -v "$tool" >/dev/null || { echo "release-check needs $tool: install it" >&2; exit 1; }
done

keys=$(mktemp -d)
former=$(mktemp -d)
image=ghcr.io/sky-shift/skyd:$(release/version.sh | sed 's/^v//')
clean_up() {
  rm -rf "$keys" "$former"
  docker image rm "$image-amd64" "$image-arm64" >/dev/null 2>&1 || true
}
trap clean_up EXIT
(cd "$keys" && COSIGN_PASSWORD='' cosign generate-key-pair 2>/dev/null)
export SKYCTL_COSIGN_KEY=$keys/cosign.key COSIGN_PASSWORD=''

goreleaser check
release/run.sh --snapshot
echo "built in $((SECONDS - begun)) seconds"
if ! docker image ls --quiet --filter reference=skyctl-host | grep -q .; then
  go run ./test/setup/hostimage # the package is installed there
fi
SKYCTL_TEST_FRESH_CACHE=yes SKYCTL_TEST_RELEASE=$PWD/bin/dist SKYCTL_TEST_COSIGN_PUBLIC_KEY=$keys/cosign.pub \
  go test -count=1 -v -timeout 60m -tags release_check ./test/release # it compiles all twice, without a cache
# A person without Go and make installs the version before and then this one, and removes everything.
release/build_former.sh "$former"
if [ -e "$former/skyd" ]; then export SKYCTL_TEST_FORMER=$former; fi
SKYCTL_TEST_DIST=$PWD/bin/dist SKYCTL_TEST_BIN=$PWD/bin SKYCTL_TEST_RKE2=$SKYCTL_KIT \
  go test -count=1 -v -timeout 30m -run '^TestReleaseIsInstalledUpgradedAndRemoved$' ./test/e2e
echo "checked in $((SECONDS - begun)) seconds"
