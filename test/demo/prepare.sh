#!/usr/bin/env bash
# Gets what the demo needs: a Docker engine, the image of its hosts, skyctl, skyd and the RKE2 kit. SKYCTL_DIST names the
# release that the programs and the kit are from; without it they are built from these sources. Each long step says how far
# it is. The host image, which waits for the network, is made beside the other steps.
set -euo pipefail
cd "$(dirname "$0")/../.."

image_log=
image_pid=

explain() {
  cat >&2 <<TXT
This creates three Docker hosts on this machine, and a cluster on them. Kubernetes is the kit: the upstream programs behind
the interface of RKE2, because RKE2 itself may not be downloadable here.
TXT
  if [ -n "${SKYCTL_DIST:-}" ]; then
    echo "skyctl, skyd and the kit come from $SKYCTL_DIST." >&2
  else
    echo "skyctl, skyd and the kit are built from source with Go, on $(nproc) cores: about 11 minutes on two the first time." >&2
    echo "With SKYCTL_DIST=DIR or URL of a release it takes 1 to 2, without Go." >&2
  fi
}

# start_image builds the host image in the background: start_image COMMAND...
start_image() {
  image_log=$(mktemp)
  trap 'rm -f "$image_log"' EXIT
  "$@" >"$image_log" 2>&1 &
  image_pid=$!
}

# await_image waits for the host image and says what is being done. On a terminal that is one line that changes.
await_image() {
  local said='' now start=$SECONDS
  while kill -0 "$image_pid" 2>/dev/null; do
    now="host image: $(sed '/^time=/d' "$image_log" | tail -n 1)" # the log may be empty
    if [ -t 2 ]; then
      printf '\r\033[K%s, %s s' "$now" $((SECONDS - start)) >&2
    elif [ "$now" != "$said" ]; then
      echo "$now" >&2
    fi
    said=$now
    sleep 1
  done
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
  wait "$image_pid" || {
    echo "The image of the Docker hosts cannot be built:" >&2
    tail -n 20 "$image_log" >&2
    exit 1
  }
}

explain
if [ -n "${SKYCTL_DIST:-}" ]; then
  case $SKYCTL_DIST in http*) test/setup/downloader.sh ;; esac # before docker.sh, which installs packages too
  test/setup/docker.sh &
  engine=$!
  test/demo/install_release.sh
  wait $engine
  start_image bin/skyd host-image
else
  rm -rf bin/rke2kit
  test/setup/packages.sh demo
  test/setup/docker.sh
  # First, and alone, because skyd needs its packages too; two builds at once would compile them twice.
  test/setup/compile.sh "builder of the host image" -o bin/ -- ./test/setup/hostimage
  start_image bin/hostimage
  make --no-print-directory build kit KIT_OPTIONS=--without-helm
fi
await_image
