#!/bin/sh
# Installs the pinned SkyPilot for skyctl:  skypilot.sh [CLOUD...]
# It installs to skyd's default location: $SKYCONF_DIR/skypilot/venv, by default ~/.skyconf/skypilot/venv.
set -eu
state=${SKYCONF_DIR:-$HOME/.skyconf}/skypilot
mkdir -p "$state"
chmod 700 "$state"
exec sh "$(dirname "$0")/../../pkg/cloud/skypilot/venv/setup/install.sh" "$state/venv" "$@"
