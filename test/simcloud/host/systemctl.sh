#!/bin/sh
# systemd, as far as RKE2's units need it: each property of a unit is a file.
cd /run/systemd/system || exit 1
for unit; do :; done
rke2=/var/lib/rancher/rke2/server
becomes() {
  echo "$1" >"$unit.ActiveState"
  date -u '+%a %Y-%m-%d %H:%M:%S UTC' >"$unit.StateChangeTimestamp"
}
up() {
  cat /proc/sys/kernel/random/uuid >"$unit.InvocationID"
  if [ -e "/opt/fake/broken.$unit" ]; then
    echo "time=\"now\" level=fatal msg=\"$unit was broken by the test, token=$(cat /etc/rancher/rke2/join-token 2>/dev/null)\"" >>journal
    # A secret can be printed unlabelled and in any form.
    password=$(sed 's/.*://' /etc/rancher/rke2/join-token 2>/dev/null)
    echo "$password" >>journal
    printf 'agent:%s@head\n' "$password" | base64 -w0 >>journal
    printf '\n%s\n%s\n' "${password%????????????????}" "${password#????????????????}" >>journal
    cat /etc/rancher/rke2/registries.yaml "/etc/default/$unit" >>journal 2>/dev/null || true
    sed -n 's/.*password: //p' /etc/rancher/rke2/registries.yaml >>journal 2>/dev/null || true # unlabelled
    printf '\033[31mred\033[0m and \342\200\256reversed\n' >>journal
    echo exit-code >"$unit.Result"
    becomes failed
    return
  fi
  for why in refused rejected; do
    [ -e "/opt/fake/$why.$unit" ] || continue
    for i in 1 2 3; do cat "/opt/fake/$why.$unit" >>journal; done
    becomes activating
    return
  done
  # An agent waits for ever for a head that it can't reach.
  if [ "$unit" = rke2-agent ] && grep -Eqs '^(9345|6443) ' /opt/fake/closed; then
    becomes activating
    return
  fi
  if [ "$unit" = rke2-server ]; then
    # The server token: the configured one, that of an earlier start, or a new one. The datastore's authorities are sealed
    # with it.
    cat /etc/rancher/rke2/config.yaml /etc/rancher/rke2/config.yaml.d/*.yaml >/opt/fake/config 2>/dev/null
    token=$(sed -n 's/^token: *//p' /opt/fake/config | tail -n 1 | tr -d "\"'")
    file=$(sed -n 's/^token-file: *//p' /opt/fake/config | tail -n 1 | tr -d "\"'")
    [ -n "$token" ] || [ -z "$file" ] || token=$(cat "$file")
    [ -n "$token" ] || token=$(cat $rke2/token 2>/dev/null) || token=$(cat /opt/fake/server-password)
    password=${token##*:}
    sealed=$(printf %s "$password" | sha256sum | cut -c1-12)
    if [ "$(cat $rke2/db/etcd/member/sealed 2>/dev/null || echo "$sealed")" != "$sealed" ]; then
      echo 'time="now" level=fatal msg="Error: bootstrap data already found and encrypted with different token"' >>journal
      echo exit-code >"$unit.Result"
      becomes failed
      return
    fi
    # etcd is a member at the address of its first start or of its last reset (rancher/rke2#3176).
    address=$(sed -n 's/^node-ip: *//p' /opt/fake/config)
    peer=$(cat $rke2/db/etcd/member/peer 2>/dev/null || echo "$address")
    if [ "$peer" != "$address" ]; then
      echo "time=\"now\" level=info msg=\"Failed to test etcd connection: this server is a not a member of the etcd" \
        "cluster. Found [n=https://$peer:2380], expect: n=https://$address:2380\"" >>journal
      becomes activating
      return
    fi
    mkdir -p $rke2/db/etcd/member
    echo "$address" >$rke2/db/etcd/member/peer
    echo "$sealed" >$rke2/db/etcd/member/sealed
    [ -e $rke2/db/etcd/name ] || echo "$(sed -n 's/^node-name: *//p' /opt/fake/config)-$(date +%s)" >$rke2/db/etcd/name
    rm -f $rke2/db/reset-flag
    echo "$password" >/opt/fake/server-password
    hash=$(sha256sum </opt/fake/ca.pem | cut -c1-64)
    echo "K10$hash::server:$password" >$rke2/token
    echo "K10$hash::node:$(sed -n 's/^agent-token: *//p' /etc/rancher/rke2/config.yaml | tr -d '"')" >$rke2/agent-token
    # The first start finds the certificates that the machine was created with; each later one renews those that expire
    # soon.
    if [ -e /etc/rancher/rke2/rke2.yaml ]; then kubeconfig=renewed; else kubeconfig=kubeconfig; fi
    cp /opt/fake/$kubeconfig /etc/rancher/rke2/rke2.yaml
  fi
  becomes active
}
case "$1" in
start|restart) up;;
stop) becomes inactive;;
is-active) [ "$(cat "$unit.ActiveState" 2>/dev/null)" = active ];;
is-system-running) echo running;;
disable) rm -f "$unit.enabled"; case "$*" in *--now*) becomes inactive;; esac;;
enable) touch "$unit.enabled";;
is-enabled) [ -e "$unit.enabled" ];;
show)
  shift; value=
  for a; do [ "$a" != --value ] || value=1; done
  while [ "$1" = -p ]; do
    v=$(cat "$unit.$2" 2>/dev/null)
    case "$2$v$unit" in LoadStaterke2*) v=loaded;; LoadState*) v=${v:-not-found};; esac
    case "$2$v" in ActiveState) v=inactive;; NRestarts) v=0;; esac
    if [ -n "$value" ]; then echo "$v"; else echo "$2=$v"; fi
    shift 2
  done;;
esac
