#!/bin/sh
# Prints the section of a version in CHANGELOG.md, for the notes of its release. Usage: notes.sh v1.2.3
set -eu
version=${1#v}
notes=$(awk -v version="$version" '
    /^## / { inside = index($0, "## [" version "]") == 1; next }
    /^\[[^]]*\]: / { next }
    inside' "$(dirname "$0")/../CHANGELOG.md")
if [ -z "$(printf %s "$notes" | tr -d '[:space:]')" ]; then
    echo "CHANGELOG.md has no section for $version: give the one of Unreleased its version and date" >&2
    exit 1
fi
printf '%s\n' "$notes"
