#!/usr/bin/env bash
# Installs curl if neither curl nor wget is there. Debian and Ubuntu; root, or sudo.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

if ! command -v curl >/dev/null && ! command -v wget >/dev/null; then install_missing ca-certificates curl; fi
