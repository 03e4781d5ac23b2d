#!/usr/bin/env bash
# Takes away what up.sh made: the cluster, skyd, the state directory, the Docker network and image, and the Docker engine
# if the set-up started it. What was built stays (make clean).
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/demo/env.sh

if [ -e "$config" ] && grep -q "^# Written by make demo" "$config"; then
  code=0
  skyctl delete cluster "$cluster" --yes --wait || code=$?
  [ "$code" -eq 0 ] || [ "$code" -eq 4 ] || exit "$code" # 4: it is gone already
  others=$(skyctl get clusters -o json | grep -c '"uid"' || true)
  if [ "$others" -gt 0 ]; then
    echo "There are $others other clusters: skyd and $SKYCONF_DIR stay. Delete them, then run this again." >&2
    exit 1
  fi
  skyctl server stop
  remove_state
fi
go run ./test/setup/hostimage -remove || echo "The host image stays: other hosts use it." >&2
test/setup/docker-down.sh
