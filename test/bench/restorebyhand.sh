#!/usr/bin/env bash
# Brings a cluster back whose only server is gone, as fast as a script written by hand can: launches a host, installs RKE2,
# restores a snapshot with the token of its time, starts the server, and waits until the API serves what the snapshot
# has. It knows that the server is gone and which snapshot to take, and verifies nothing.
#
# Beside the variables of byhand_hosts.sh it needs SNAPSHOT (a file), TOKEN (a file with the server token), KUBECONFIG, and
# WANT: a path of the API that the restored cluster serves.
source "${BASH_SOURCE%/*}/byhand_hosts.sh"

restore="$prepare
head -c $(stat -c %s "$SNAPSHOT") >/var/lib/skyctl/snapshot
cat >/etc/rancher/rke2/config.yaml
/usr/local/bin/rke2 server --cluster-reset --cluster-reset-restore-path=/var/lib/skyctl/snapshot >/var/lib/skyctl/reset.log 2>&1 ||
  { tail -n 5 /var/lib/skyctl/reset.log >&2; exit 1; }
systemctl enable -q --no-reload rke2-server; systemctl start --no-block rke2-server"

make_network
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
