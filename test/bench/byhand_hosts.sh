#!/usr/bin/env bash
# Hosts by hand, for scripts that source this file: they launch and prepare Docker hosts as fast as a script can, with the
# same image, limits and tarball as skyctl.
#
# Required environment variables: NAME (prefix of the hosts), NETWORK and LABEL (of all that it creates), IMAGE,
# PRIVILEGED (true or false), CPUS, MEMORY_GIB, TARBALL, SHA256, and WORK: an empty directory for the keys and the
# kubeconfig.
set -euo pipefail
umask 077

began=$(date +%s%N)
say() { if [ -n "${TRACE:-}" ]; then echo "by hand: $((($(date +%s%N) - began) / 1000000)) ms: $*" >&2; fi; }

size=$(stat -c %s "$TARBALL")
# The machine's resources beyond the host's limits are reserved from the kubelet.
milli=$(($(getconf _NPROCESSORS_ONLN) * 1000 - CPUS * 1000))
kib=$(($(awk '$1 == "MemTotal:" {print $2}' /proc/meminfo) - MEMORY_GIB * 1048576 - 102400))
reserved=memory=${kib}Ki
if [ $milli -gt 0 ]; then reserved=cpu=${milli}m,$reserved; fi

# launch creates and starts host $1, and sets ip.
launch() {
  local n=$1 keys=$WORK/$1 flags=() v
  if [ "$PRIVILEGED" = true ]; then
    flags+=(--privileged)
  else
    flags+=(--cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined --security-opt apparmor=unconfined
      --security-opt label=disable --security-opt systempaths=unconfined --device-cgroup-rule 'a *:* rwm')
  fi
  for v in rancher kubelet containerd; do flags+=(--mount "type=volume,target=/var/lib/$v"); done
  if [ -d /lib/modules ]; then flags+=(--mount type=bind,source=/lib/modules,target=/lib/modules,readonly); fi
  docker create --name "$NAME-$n" --hostname "$NAME-$n" --network "$NETWORK" --label "$LABEL" --env container=docker \
    --stop-signal SIGRTMIN+3 --tty --cgroupns private --log-driver json-file --log-opt max-size=1m \
    --tmpfs /run:exec,mode=755 --tmpfs /run/lock --cpus "$CPUS" --memory "${MEMORY_GIB}g" --memory-swap "${MEMORY_GIB}g" \
    "${flags[@]}" "$IMAGE" >/dev/null
  mkdir -p "$keys/etc/ssh" "$keys/home/sky/.ssh"
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$keys/etc/ssh/ssh_host_key"
  cp "$WORK/login.pub" "$keys/home/sky/.ssh/authorized_keys"
  tar -C "$keys" --owner 0 --group 0 -cf "$keys/keys.tar" etc/ssh/ssh_host_key
  tar -C "$keys" --owner 1000 --group 1000 -rf "$keys/keys.tar" home/sky/.ssh
  docker cp -q - "$NAME-$n:/" <"$keys/keys.tar"
  docker start "$NAME-$n" >/dev/null
  ip=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$NAME-$n")
  say "$n launched"
}

# await_ssh returns once host $1 at $ip sends its SSH banner.
await_ssh() {
  echo "$ip $(cut -d' ' -f1-2 "$WORK/$1/etc/ssh/ssh_host_key.pub")" >"$WORK/$1/known_hosts"
  until { exec 9<>"/dev/tcp/$ip/22" && read -r -t 2 -n 4 <&9; } 2>/dev/null; do sleep 0.02; done
  exec 9>&-
  say "$1 answers SSH"
}

# on runs a script as root on host $1; its standard input is the script's.
on() {
  ssh -F none -T -i "$WORK/login" -o UserKnownHostsFile="$WORK/$1/known_hosts" -o StrictHostKeyChecking=yes \
    -o BatchMode=yes -o LogLevel=ERROR -c aes128-gcm@openssh.com "sky@$ip" "sudo -n bash -c '$2'"
}

# Scripts for the hosts. They contain no single quotes and no secrets.
prepare="set -euo pipefail; umask 077
mkdir -p /var/lib/skyctl /etc/rancher/rke2; t=/var/lib/skyctl/rke2.tar.gz
got=\$(head -c $size | tee \$t | sha256sum | cut -c1-64)
[ \$got = $SHA256 ] || { echo \"wrong checksum: \$got\" >&2; exit 1; }
(umask 022; tar -xzf \$t -C /usr/local --no-same-owner); rm \$t
systemctl daemon-reload"

config() { # <n>
  printf 'node-name: %s-%s\nnode-ip: %s\nkubelet-arg:\n' "$NAME" "$1" "$ip"
  printf '%s\n' "- eviction-hard=memory.available<100Mi,nodefs.available<5%,imagefs.available<5%" "- system-reserved=$reserved" \
    "- fail-cgroupv1=false"
}

# ask_as sets ask: curl with the credentials of kubeconfig $1.
ask_as() {
  local f
  for f in certificate-authority-data client-certificate-data client-key-data; do
    sed -n "s/^ *$f: *//p" "$1" | base64 -d >"$WORK/$f"
  done
  ask=(curl -sS -N --fail --cacert "$WORK/certificate-authority-data" --cert "$WORK/client-certificate-data"
    --key "$WORK/client-key-data")
}

make_network() {
  docker network create --driver bridge --label "$LABEL" "$NETWORK" >/dev/null
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$WORK/login"
  say "network and key"
}
