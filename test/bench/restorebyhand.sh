#!/usr/bin/env bash
# Brings a cluster back whose only server is gone, as fast as a script written by hand can. First it waits as skyd's rule
# for a lost server says: it looks twice. Then it launches a host, installs RKE2, restores a snapshot with the token of its
# time, starts the server, and waits until the API serves what the snapshot has. It knows which snapshot to take, and
# verifies nothing.
#
# Beside the variables of byhand_hosts.sh it needs SNAPSHOT (a file), TOKEN (a file with the server token), KUBECONFIG, WANT:
# a path of the API that the restored cluster serves, and LOST_FOR: the seconds between the two looks. It writes to
# WORK/waited how many milliseconds the looks and the time between them took.
source "${BASH_SOURCE%/*}/byhand_hosts.sh"

restore="$prepare
head -c $(stat -c %s "$SNAPSHOT") >/var/lib/skyctl/snapshot
cat >/etc/rancher/rke2/config.yaml
/usr/local/bin/rke2 server --cluster-reset --cluster-reset-restore-path=/var/lib/skyctl/snapshot >/var/lib/skyctl/reset.log 2>&1 ||
  { tail -n 5 /var/lib/skyctl/reset.log >&2; exit 1; }
systemctl enable -q --no-reload rke2-server; systemctl start --no-block rke2-server"

# look returns once the rule says that the server is missing: the engine does not list its host, its API has been silent
# for 10 s, and it does not answer SSH within 3 s. Nothing has the address, as after the loss of a host.
look() {
  local end=$(($(date +%s%N) / 1000000 + 10000)) now limit
  if docker inspect "$NAME-0" >/dev/null 2>&1; then echo "$NAME-0 exists" >&2; exit 1; fi
  while now=$(($(date +%s%N) / 1000000)) && [ $now -lt $end ]; do
    printf -v limit %d.%03d $(((end - now) / 1000)) $(((end - now) % 1000))
    if curl -sk -o /dev/null -m "$limit" "https://$lost:6443"; then echo "$lost answers" >&2; exit 1; fi
    sleep 0.05
  done
  if timeout 3 bash -c "exec 9<>/dev/tcp/$lost/22" 2>/dev/null; then echo "$lost answers SSH" >&2; exit 1; fi
}

make_network
subnet=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' "$NETWORK")
lost=${subnet%.*}.250
missed=$(date +%s%N)
look
say "the server is missing"
sleep "$LOST_FOR"
look
echo $((($(date +%s%N) - missed) / 1000000)) >"$WORK/waited"
say "the server is lost"
launch 0
await_ssh 0
{
  cat "$TARBALL" "$SNAPSHOT"
  config 0
  printf 'advertise-address: %s\ntls-san: [%s, %s-0]\nwrite-kubeconfig-mode: "0600"\ntoken: %s\n' "$ip" "$ip" "$NAME" "$(<"$TOKEN")"
} | on 0 "$restore"
say "0 is restored and starts"
ask_as "$KUBECONFIG"
until "${ask[@]}" -m 2 -o "$WORK/served" "https://$ip:6443$WANT" 2>/dev/null; do sleep 0.05; done
say "the API serves the state"
