#!/usr/bin/env bash
# Runs a pull-through mirror of Docker Hub in Docker and prints its address, at which all containers of this computer
# reach it. A mirror that runs already stays as it is. "mirror.sh down" removes it with what it has stored.
# MIRROR_IMAGE and MIRROR_PORT choose another image or port.
set -euo pipefail

name=skyctl-mirror
# The image of the CNCF's Distribution: https://distribution.github.io/distribution/recipes/mirror/
image=${MIRROR_IMAGE:-docker.io/library/registry:3.0.0@sha256:6c5666b861f3505b116bb9aa9b25175e71210414bd010d92035ff64018f9457e}
port=${MIRROR_PORT:-5000}

case ${1:-up} in
up) ;;
down)
  docker rm --force --volumes "$name" >/dev/null
  docker volume rm --force "$name" >/dev/null
  exit
  ;;
*)
  echo "usage: mirror.sh [up|down]" >&2
  exit 2
  ;;
esac

gateway=$(docker network inspect bridge --format '{{(index .IPAM.Config 0).Gateway}}')
address=http://$gateway:$port
answers() { curl -fsS --max-time 5 -o /dev/null "$address/v2/" 2>/dev/null; }

if ! answers; then
  docker rm --force "$name" >/dev/null 2>&1 || true
  # On the host's network: Docker drops what containers of other networks send to a published port of this one.
  docker run --detach --name "$name" --restart unless-stopped --network host --volume "$name:/var/lib/registry" \
    --env REGISTRY_PROXY_REMOTEURL=https://registry-1.docker.io --env "REGISTRY_HTTP_ADDR=$gateway:$port" \
    --env OTEL_TRACES_EXPORTER=none "$image" >/dev/null
  deadline=$((SECONDS + 30))
  until answers; do
    if [ $SECONDS -ge $deadline ]; then
      echo "mirror.sh: the mirror does not answer at $address. It said last:" >&2
      docker logs --tail 20 "$name" >&2
      exit 1
    fi
    sleep 0.2
  done
fi
echo "$address"
