#!/usr/bin/env bash
# Removes what up.sh created: the cluster, skyd, the state directory, the Docker network and image, and the Docker engine
# if the set-up started it. Build results stay (make clean removes them).
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/demo/env.sh

if [ -e "$config" ] && grep -q "^# Written by make demo" "$config"; then
  code=0
  skyctl delete cluster "$cluster" --yes --wait || code=$?
  [ "$code" -eq 0 ] || [ "$code" -eq 4 ] || exit "$code" # 4: it does not exist
  others=$(skyctl get clusters -o json | grep -c '"uid"' || true)
  if [ "$others" -gt 0 ]; then
    echo "$others other clusters exist, so skyd and $SKYCONF_DIR stay. Delete the clusters and run this again." >&2
    exit 1
  fi
  skyctl server stop
  remove_state
fi
skyd host-image --remove || echo "The host image stays: other hosts use it." >&2
test/setup/docker-down.sh
