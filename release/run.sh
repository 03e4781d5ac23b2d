#!/usr/bin/env bash
# Runs goreleaser on the sources: `run.sh --snapshot` publishes nothing; without it, the tag of this commit becomes a draft
# of a release. $SKYCTL_COSIGN_KEY signs it, if it is set; $SKYCTL_KIT is the RKE2 kit.
set -euo pipefail
cd "$(dirname "$0")/.."
SKYCTL_VERSION=$(release/version.sh)
SKYCTL_KIT_ARCH=$(go env GOARCH)
export SKYCTL_VERSION SKYCTL_KIT_ARCH
: "${SKYCTL_KIT:?names no RKE2 kit}"
options=(release --clean --parallelism 2 "$@")
if [ -z "${SKYCTL_COSIGN_KEY:-}" ]; then
  options+=(--skip=sign)
  echo "SKYCTL_COSIGN_KEY is not set: checksums.txt is not signed" >&2
fi
if [ "${1:-}" != --snapshot ]; then
  notes=$(mktemp)
  trap 'rm -f "$notes"' EXIT
  release/notes.sh "$SKYCTL_VERSION" >"$notes"
  options+=(--release-notes "$notes")
fi
goreleaser "${options[@]}"
cp install.sh bin/dist/ # a release publishes it too: the directory has all that install.sh --from needs
