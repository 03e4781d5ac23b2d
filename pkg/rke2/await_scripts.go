package rke2

import (
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2/componentlog"
)

// kubeletExitWindow is the time, in seconds, in which the exits of the kubelet are counted.
const kubeletExitWindow = "90"

// kubeletUpAfter is how long ago, in seconds, the last exit of a kubelet is that runs again: RKE2 starts it after five.
const kubeletUpAfter = "20"

// stateScript sets $state to the unit's state as one line of KEY=VALUE, and $invocation.
const stateScript = `
read_state() {
  set -f
  set -- $(systemctl show -p LoadState -p ActiveState -p SubState -p NRestarts -p Result -p Job -p InvocationID "$unit")
  set +f
  state="$* "
  invocation=${state##*InvocationID=}; invocation=${invocation%% *}
}
`

// requestScript defines shell functions. request sends an HTTPS request to a port of the machine itself, and sets $why
// to the answer if it is not 200. request_as_admin sends it to the API server as administrator, because that does not
// answer anyone else; the administrator's certificate is extracted from the kubeconfig into a directory that only root
// can read. request_readyz asks whether the API server is ready.
const requestScript = `
umask 077
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT; trap 'exit 1' TERM HUP
kc=` + kubeconfig + `
nl='
'
request() {
  why=$(` + localCurl + ` -sS -m 3 -o "$tmp/body" -w %{http_code} "$@" 2>&1) || {
    why=${why#000}; why=${why%000}; why=${why%"$nl"}; return 1 # 000: no answer
  }
  [ "$why" = 200 ] && return 0
  why="$why $(grep -v '^\[+\]' "$tmp/body" | tr -s '\n\r\t ' ' ' | cut -c1-200)"; return 1
}
extract_field() { sed -n "s/^ *$1: *//p" $kc | head -n1 | base64 -d >"$tmp/$1" 2>/dev/null && [ -s "$tmp/$1" ]; }
request_as_admin() {
  [ -s "$tmp/client-key-data" ] ||
    { extract_field certificate-authority-data && extract_field client-certificate-data &&
      extract_field client-key-data; } || return 1
  request --cacert "$tmp/certificate-authority-data" --cert "$tmp/client-certificate-data" \
    --key "$tmp/client-key-data" "$@"
}
request_readyz() { request_as_admin https://127.0.0.1:6443/readyz; }
`

// troubleScript defines read_troubles, which prints how often the kubelet has exited lately in the run of the unit that
// read_state has found, the last lines of containerd about image pulls, and how components ended, all only if they
// changed. RKE2 starts a
// kubelet that exits again every five seconds (rancher/rke2 pkg/executor/staticpod, Kubelet); a kubelet that RKE2
// itself ends, ends by a signal, and exits do not count once it runs again. begin_troubles makes it leave out what was
// before, because its cause may be gone.
const troubleScript = `
containerd_log=` + containerdLog + `
pulls_from=1; exits_from=0; troubles=; ends_from=$(($(date +%s) - ` + componentEndWindow + `))
size_of_log() { stat -c %s $containerd_log 2>/dev/null || echo 0; }
begin_troubles() { ends_from=$(date +%s); pulls_from=$(($(size_of_log) + 1)); exits_from=$(date +%s); }
count_kubelet_exits() {
  since=$(($(date +%s) - $1)); [ $since -ge $exits_from ] || since=$exits_from
  journalctl -q --no-pager -o cat --since="@$since" "_SYSTEMD_INVOCATION_ID=$invocation" 2>/dev/null |
    grep 'Kubelet exited: ' | grep -vc 'signal: '
}
# Each run of a container has a log of its own, whose name is the number of restarts; a log of several runs counts them.
read_ends() {
  for pod in $components; do
    log=$(ls -t ` + podLogs + `$pod-*/$pod/*.log 2>/dev/null |
      while read -r one; do if [ -s "$one" ]; then echo "$one"; break; fi; done)
    [ -n "$log" ] && [ "$(stat -c %Y "$log")" -ge $ends_from ] || continue
    end=$(tail -n 3 "$log" | grep -E "$end_form" | tail -n 1 | cut -c1-2000)
    [ -n "$end" ] || continue
    restarts=${log##*/}; restarts=${restarts%.log}
    case $restarts in ''|*[!0-9]*) restarts=0;; esac
    printf 'component %s %s %s\n' $pod $((restarts + $(tail -c 262144 "$log" | grep -cE "$end_form"))) "$end"
  done
}
read_troubles() {
  exits=$(count_kubelet_exits ` + kubeletExitWindow + `)
  [ "$exits" = 0 ] || [ "$(count_kubelet_exits ` + kubeletUpAfter + `)" != 0 ] || exits=0
  [ "$(size_of_log)" -ge $((pulls_from - 1)) ] || pulls_from=1 # it was rotated
  pulls=$(tail -c "+$pulls_from" $containerd_log 2>/dev/null | tail -c 65536 |
    grep -E 'PullImage .*(failed|returns image reference)' | tail -n 10 | cut -c1-2000)
  ends=$(read_ends)
  [ "$exits $pulls $ends" != "$troubles" ] || return 0
  troubles="$exits $pulls $ends"
  echo "${mark}kubelet-exits=$exits"
  [ -z "$pulls" ] || printf '%s\n' "$pulls" | while IFS= read -r line; do printf '%s\n' "${mark}pull $line"; done
  [ -z "$ends" ] || printf '%s\n' "$ends" | while IFS= read -r line; do printf '%s\n' "$mark$line"; done
}
`

// componentEndWindow is the time, in seconds, within which the end of a component matters if nobody waits since
// earlier: longer than the kubelet waits before it starts a container again, which is at most five minutes.
const componentEndWindow = "600"

// watchedComponents are RKE2's static pods on the machines of a role, whose ends matter; see reportedPods.
var watchedComponents = map[api.Role]string{
	api.RoleHead:   "etcd kube-apiserver kube-controller-manager kube-scheduler cloud-controller-manager kube-proxy",
	api.RoleWorker: "kube-proxy",
}

// newTroubleScript returns troubleScript for the machines of a role.
func newTroubleScript(role api.Role) string {
	return "components=" + remote.QuoteShell(watchedComponents[role]) + "\nend_form=" +
		remote.QuoteShell(componentlog.EndForm) + "\n" + troubleScript
}

// serverScript checks the progress of the server ten times a second, and its unit once a second, and prints each
// change: the unit's state, the number of serverStages that are met, and the answer for the next one. It exits when
// $until stages are met. More frequent checks would slow the server down on shared machines.
const serverScript = `
unit=rke2-server; stage=0; why=; last=; polls=0
begin_troubles
command -v curl >/dev/null || exit 72
` + requestScript + `
is_met() {
  why=
  case $stage in
  0) request -k https://127.0.0.1:9345/ping;;
  1) request -kf https://127.0.0.1:9345/cacerts;;
  2) [ -s ` + serverDir + `/token ] && [ -s ` + serverDir + `/agent-token ];;
  3) [ -s $kc ];;
  4) request_readyz;;
  esac
}
while :; do
  [ $((polls % 10)) -ne 0 ] || read_state
  while [ $stage -lt $until ] && is_met; do stage=$((stage+1)); done
  polls=$((polls+1))
  line="$state stage=$stage why=$why"
  [ "$line" = "$last" ] && [ $((polls % 50)) -ne 0 ] || echo "$mark$line"
  last=$line
  [ $stage -lt $until ] || exit 0
  [ $((polls % 50)) -ne 10 ] || read_troubles
  sleep 0.1
done`

// serverStages are the conditions of serverScript, in the order in which they become true.
var serverStages = []string{
	"the supervisor to answer on port 9345",
	"the supervisor to show its CA",
	"the join tokens to be written",
	"the kubeconfig to be written",
	"the API server to be ready",
}

// joinStages is the number of stages after which agents can join.
const joinStages = 4

// agentScript prints each change of the unit's state and new lines of its journal; earlier lines may be about an old
// token or a problem that was fixed. If the unit starts a new run meanwhile, it prints that run's whole journal. It
// exits when the agent is active.
const agentScript = `
unit=rke2-agent; last=; polls=0; seen=; follower=; from=--since=-3s
trap '[ -z "$follower" ] || kill -9 $follower' EXIT
begin_troubles
while :; do
  read_state
  case "$state" in
    *ActiveState=active*) echo "$mark$state"; exit 0;;
    *ActiveState=inactive*|*ActiveState=deactivating*) invocation=;;
  esac
  if [ -n "$invocation" ] && [ "$invocation" != "$seen" ]; then
    [ -z "$follower" ] || { kill -9 $follower; from=--lines=200; }
    seen=$invocation
    journalctl -q -f $from -o cat _SYSTEMD_INVOCATION_ID=$seen + INVOCATION_ID=$seen 2>/dev/null &
    follower=$!
  fi
  polls=$((polls+1))
  [ "$state" = "$last" ] && [ $((polls % 25)) -ne 0 ] || echo "$mark$state"
  last=$state
  [ $((polls % 25)) -ne 5 ] || read_troubles
  sleep 0.2
done`
