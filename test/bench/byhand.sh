#!/usr/bin/env bash
# Creates a cluster of three Ready nodes on Docker hosts, as fast as a script written by hand can: each machine has its
# own shell and a single SSH session; conditions are polled 10 to 50 times a second, and nothing is stored for a retry.
# It takes the same steps as skyctl create, with the same image, limits, tarball and configuration, and is the baseline
# for it. byhand_hosts.sh says which environment variables it needs.
source "${BASH_SOURCE%/*}/byhand_hosts.sh"

serve="$prepare
{ cat; echo agent-token: \$(head -c 16 /dev/urandom | od -An -tx1 | tr -d \" \\n\"); } >/etc/rancher/rke2/config.yaml
systemctl enable -q --no-reload rke2-server; systemctl start --no-block rke2-server
at=/var/lib/rancher/rke2/server
until [ -s \$at/agent-token ] && curl -skf -m 1 -o /dev/null https://127.0.0.1:9345/ping; do sleep 0.05; done
echo \$(<\$at/agent-token)
until [ -s /etc/rancher/rke2/rke2.yaml ]; do sleep 0.05; done
cat /etc/rancher/rke2/rke2.yaml"

join="$prepare
read -r server; read -r token
{ cat; echo \"server: \$server\"; echo token-file: /etc/rancher/rke2/join-token; } >/etc/rancher/rke2/config.yaml
echo \$token >/etc/rancher/rke2/join-token
systemctl enable -q --no-reload rke2-agent; systemctl start --no-block rke2-agent"

head_of_all() {
  launch 0
  await_ssh 0
  echo "$ip" >"$WORK/head"
  { cat "$TARBALL"; config 0; printf 'advertise-address: %s\ntls-san: [%s, %s-0]\nwrite-kubeconfig-mode: "0600"\n' "$ip" "$ip" "$NAME"; } |
    on 0 "$serve" |
    {
      read -r token
      say "0 gave the token"
      echo "$token" >"$WORK/token.new"
      mv "$WORK/token.new" "$WORK/token"
      sed "s|server: https://127.0.0.1:6443|server: https://$ip:6443|" >"$WORK/kubeconfig.new"
      mv "$WORK/kubeconfig.new" "$WORK/kubeconfig"
      say "0 gave the kubeconfig"
    }
}

worker() { # <n>
  launch "$1"
  await_ssh "$1"
  {
    cat "$TARBALL"
    say "$1 is prepared"
    until [ -e "$WORK/token" ]; do sleep 0.02; done
    printf 'https://%s:9345\n%s\n' "$(<"$WORK/head")" "$(<"$WORK/token")"
    config "$1"
  } | on "$1" "$join"
  say "$1 joins"
}

# await_ready watches the API until three Nodes are Ready.
await_ready() {
  local f
  until [ -e "$WORK/kubeconfig" ]; do sleep 0.02; done
  ask_as "$WORK/kubeconfig"
  ask+=("https://$(<"$WORK/head"):6443")
  until [ "$("${ask[@]}/readyz" 2>/dev/null)" = ok ]; do sleep 0.1; done
  say "the API is ready"
  local -A ready=()
  while read -r line; do
    if [[ $line =~ \"metadata\":\{\"name\":\"([^\"]*) ]] && f=${BASH_REMATCH[1]} &&
      [[ $line == *'"reason":"KubeletReady"'* ]]; then
      [ -n "${ready[$f]:-}" ] || say "$f is Ready"
      ready[$f]=1
      [ ${#ready[@]} -lt 3 ] || return 0
    fi
  done < <("${ask[@]}/api/v1/nodes?watch=true&timeoutSeconds=120" 2>/dev/null)
  return 1
}

make_network
jobs=()
head_of_all & jobs+=($!)
worker 1 & jobs+=($!)
worker 2 & jobs+=($!)
trap 'kill "${jobs[@]}" 2>/dev/null || true' EXIT
await_ready & ready=$!
# A failed job ends the script; the last job to succeed is the wait for the Nodes.
while [ ${#jobs[@]} -gt 0 ]; do
  wait -n -p done "${jobs[@]}"
  for i in "${!jobs[@]}"; do if [ "${jobs[$i]}" = "$done" ]; then unset "jobs[$i]"; fi; done
done
wait $ready
