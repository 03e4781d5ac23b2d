#!/usr/bin/env bash
# Prints the file of an image for the pods that run SkyPilot's tasks, and builds it where it is missing: the Docker
# hosts' image with Debian and Python packages. It is in the user's cache, under a hash of what it is built from.
# Concurrent runs wait.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
certificates=/etc/ssl/certs/ca-certificates.crt
cache=${XDG_CACHE_HOME:-$HOME/.cache}/skyctl/taskimage

# list_environment prints the variables with which a person configures proxies and package indexes.
list_environment() {
  local name
  compgen -e | while read -r name; do
    case ${name,,} in
    http_proxy | https_proxy | no_proxy | pip_*index_url | pip_default_timeout)
      printf -- '--env %s ' "$name"
      ;;
    esac
  done
}

# install_packages changes the container. Of the computer it keeps only the certificates; the settings of pip go with
# /taskimage, and docker commit keeps no variable of docker exec.
install_packages() {
  local container=$1
  docker cp -q "$here/." "$container:/taskimage"
  docker cp -q -L "$certificates" "$container:$certificates"
  if [ -e /etc/pip.conf ]; then docker cp -q -L /etc/pip.conf "$container:/taskimage/pip.conf"; fi
  # shellcheck disable=SC2046 # options
  docker exec $(list_environment) --env PIP_CONFIG_FILE=/taskimage/pip.conf --env "PIP_CERT=$certificates" \
    "$container" sh /taskimage/install.sh >&2
  docker exec "$container" rm -rf /taskimage
}

remove_leftovers() {
  docker rm --force "$1" >/dev/null
  docker rmi --force "$2" >/dev/null 2>&1 || true # it may not exist yet
  rm -f "$3"
}

main() {
  local base hash
  base=$(cd "$here" && go run ../hostimage -name)
  hash=$({ echo "$base"; cat "$here"/install.sh "$here"/*.txt "$certificates"; } | sha256sum | cut -c1-16)
  file=$cache/$hash.tar.gz
  image=skyctl-taskimage:$hash
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9
  if [ ! -e "$file" ]; then
    echo "building the image for SkyPilot's pods into $file, once" >&2
    # The trap runs after main, so what it removes is not local.
    container=$(docker run --detach --network host --entrypoint sleep "$base" infinity 9>&-)
    trap 'remove_leftovers "$container" "$image" "$file.new"' EXIT
    install_packages "$container"
    docker commit --change 'ENTRYPOINT ["/bin/bash"]' --change 'CMD []' "$container" "$image" >/dev/null
    docker save "$image" | gzip -1 >"$file.new"
    find "$cache" -name '*.tar.gz' -delete # of other hashes: each takes half a gigabyte
    mv "$file.new" "$file"
  fi
  echo "$file"
}

main "$@"
