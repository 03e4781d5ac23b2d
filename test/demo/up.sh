#!/usr/bin/env bash
# Creates a cluster of three nodes on Docker hosts, runs a web server on a worker and fetches a page from it. It can be
# run again. The Makefile builds what it needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/demo/env.sh

if [ ! -e "$config" ]; then
  # The demo uses the kit, because RKE2 may not be downloadable here. This is a setting; skyctl never chooses it.
  mkdir -p -m 0700 "$SKYCONF_DIR"
  ls -A "$SKYCONF_DIR" >"$SKYCONF_DIR/$before"
  (umask 077 && set -C && demo_settings >"$config") # -C: do not overwrite a file that was written meanwhile
elif ! grep -q "^# Written by make demo" "$config"; then
  echo "$config is yours: the demo does not change it. Run it with another SKYCONF_DIR." >&2
  exit 2
fi

phase() { skyctl get cluster "$cluster" -o json 2>/dev/null | sed -n 's/^ *"phase": "\(READY\|PROVISIONING\|DELETING\)".*/\1/p' | head -n1; }
case $(phase) in
READY) echo "$cluster is there already" ;;
PROVISIONING | DELETING) # a demo was interrupted: the operation continued
  echo "$cluster is $(phase); waiting for that to end"
  for _ in $(seq 300); do
    case $(phase) in PROVISIONING | DELETING) sleep 1 ;; *) break ;; esac
  done
  exec "$0"
  ;;
*) skyctl create cluster "$cluster" --provision --cloud docker --cpus 2+ --memory 4 --num_nodes 3 --wait ;;
esac
skyctl get clusters

kubeconfig=$SKYCONF_DIR/clusters/$cluster/kubeconfig
k() { KUBECONFIG=$kubeconfig kubectl "$@"; }
k get nodes
worker=$(k get nodes -o name | grep "sky-$cluster-1-")
if ! k get pod hello >/dev/null 2>&1; then
  k run hello --image docker.io/skyctl/hello:kit --image-pull-policy Never --port 8080 \
    --overrides "{\"spec\":{\"nodeName\":\"${worker#node/}\"}}"
fi
k wait --for=condition=Ready --timeout=90s pod/hello >/dev/null
echo "A page from the pod on ${worker#node/}:"
docker exec "sky-$cluster-0" curl -sS --max-time 10 "http://$(k get pod hello -o 'jsonpath={.status.podIP}'):8080/"

cat <<TXT

Three nodes are yours. Every step of the create is in the Web UI: $(skyctl server status -o json | sed -n 's/.*"ui": *"\([^"]*\)".*/\1/p')
What to try next:
  export PATH=$PWD/bin:\$PATH${say_dir}
  export KUBECONFIG=$kubeconfig
  kubectl get nodes -o wide
  skyctl describe cluster $cluster
  make demo-down                # removes everything again
TXT
