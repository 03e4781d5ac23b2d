package rke2

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// startScript starts a unit without waiting until it is up, which could take forever, and enables it for the next boot;
// that needs no reload. $changed=1 restarts a running unit. The script does wait until the new run has started, so that
// callers do not read the state and journal of the old run. A start job that is queued during boot may take longer than
// that wait.
const startScript = `
read_property() { systemctl show -p "$1" --value "$unit"; }
state=$(read_property ActiveState); before=$(read_property InvocationID); started=0; attempts=100
case "$state" in
active|activating|reloading)
  if [ "$changed" = 1 ]; then
    systemctl reset-failed "$unit" 2>/dev/null || true # the count of its crashes, which were with the old configuration
    systemctl restart --no-block "$unit"; attempts=2000
  else started=1; fi;;
*)
  if [ "$state" = failed ]; then systemctl reset-failed "$unit" 2>/dev/null || true; fi
  systemctl start --no-block "$unit";;
esac
systemctl is-enabled -q "$unit" 2>/dev/null || systemctl enable -q --no-reload "$unit"
while [ $started = 0 ]; do
  now=$(read_property InvocationID)
  if [ -n "$now" ] && [ "$now" != "$before" ]; then started=1
  elif [ $attempts -gt 0 ]; then attempts=$((attempts-1)); sleep 0.05
  elif [ "$(read_property ActiveState)" = inactive ]; then started=1
  else echo "$unit does not stop and cannot be restarted" >&2; exit 75; fi
done`

// StartServer writes the configuration of a prepared head and starts its server without waiting for it: see
// AwaitSupervisor and AwaitServer. A server that is up keeps its configuration unless Node.Restart is set. One that is
// starting, and may never be up with the configuration that it has, is restarted if the configuration or a file
// changed.
func StartServer(ctx context.Context, h *remote.Host, n Node) error {
	_, err := h.RunScriptWithAnswer(ctx, "starting the RKE2 server",
		"set -e\n"+FactsScript+receiveTotalScript+receiveConfigScript+renderReceiveFiles(n)+renderProxyScript(n)+
			keepIfUpScript+renderRestartFlag(n)+startScript,
		func(line string) ([]byte, error) { return renderAnswer(h, n, nil, line) })
	return err
}

// keepIfUpScript keeps a server that is up from a restart. RKE2's unit is active once its API server has been ready
// (k3s pkg/cli/server), and activating until then.
const keepIfUpScript = `
case "$(systemctl show -p ActiveState --value "$unit")" in active|reloading) changed=0;; esac
`

// receiveTotalScript reads the length of the whole answer. Each part then has its own.
const receiveTotalScript = `
read -r all
`

// renderAnswer renders what a script receives: what it reads first, the configuration, and the files of the machine.
func renderAnswer(h *remote.Host, n Node, first []byte, facts string) ([]byte, error) {
	f, err := parseFacts(h.Name(), facts)
	if err != nil {
		return nil, err
	}
	config, err := RenderConfig(n, f)
	if err != nil {
		return nil, err
	}
	files, err := renderMachineFiles(n, f)
	if err != nil {
		return nil, err
	}
	return appendFiles(append(fmt.Appendf(first, "%d\n", len(config)), config...), files), nil
}

// WriteConfig writes the configuration of a node that runs, and leaves its unit alone: RKE2 reads it when it starts.
func WriteConfig(ctx context.Context, h *remote.Host, n Node) error {
	_, err := h.RunScriptWithAnswer(ctx, "writing the RKE2 configuration", "set -e\n"+FactsScript+receiveConfigScript,
		func(line string) ([]byte, error) { return renderConfigFromFacts(h, n, line) })
	return err
}

func renderRestartFlag(n Node) string {
	if n.Restart {
		return "changed=1"
	}
	return ""
}

// JoinAgent gives a prepared worker the head's full agent token and starts its agent without waiting for it. It does
// nothing if the agent already runs with the same token and configuration.
func JoinAgent(ctx context.Context, h *remote.Host, n Node, token string) error {
	if err := checkJoinToken(token); err != nil {
		return &Error{Kind: WrongToken, Machine: h.Name(), Message: "joining the cluster", Cause: err, Permanent: true}
	}
	_, err := h.RunScriptWithAnswer(ctx, "joining the cluster",
		"set -e\n"+FactsScript+receiveTotalScript+receiveTokenScript+receiveConfigScript+renderReceiveFiles(n)+
			renderProxyScript(n)+renderRestartFlag(n)+joinScript,
		func(line string) ([]byte, error) { return renderAnswer(h, n, []byte(token+"\n"), line) })
	return err
}

// RestartUnit restarts the unit of a role, whatever its state, without waiting until it is up.
func RestartUnit(ctx context.Context, h *remote.Host, role api.Role) error {
	_, err := h.RunScript(ctx, "restarting RKE2", "set -e\nchanged=1; unit="+unitName(role)+startScript)
	return err
}

// receiveTokenScript reads the token. printf is a shell builtin, so the token is never an argument of a program.
const receiveTokenScript = `
read -r token
`

const joinScript = `
if [ "$(cat ` + joinTokenFile + ` 2>/dev/null)" != "$token" ]; then
  (umask 077; printf '%s\n' "$token" >` + joinTokenFile + `.new)
  mv -f ` + joinTokenFile + `.new ` + joinTokenFile + `; changed=1
fi` + startScript

// checkJoinToken accepts only a token that pins the cluster's CA and allows a worker nothing but to join.
func checkJoinToken(token string) error {
	credentials, full := strings.CutPrefix(token, "K10")
	hash, credentials, ok := strings.Cut(credentials, "::")
	switch {
	case !full || !ok || !sha256Form.MatchString(hash) || credentials == "":
		return errors.New("the token is not in the full form K10<hash>::<user>:<password>, which is needed to verify " +
			"the head")
	case strings.HasPrefix(credentials, "server:"):
		return errors.New("the token is the server token, which would make every worker a cluster administrator")
	case strings.ContainsAny(token, "\r\n"):
		return errors.New("the token has more than one line")
	}
	return nil
}

// StopUnit stops and disables the unit of a role. A missing unit is not an error.
func StopUnit(ctx context.Context, h *remote.Host, role api.Role) error {
	_, err := h.RunScript(ctx, "stopping RKE2", "unit="+unitName(role)+`
[ "$(systemctl show -p LoadState --value "$unit")" = loaded ] || exit 0
systemctl disable --now -q "$unit"`)
	return err
}

// UninstallRelease stops RKE2 and removes it with all its state, using RKE2's own script. It succeeds if RKE2 is not
// installed.
func UninstallRelease(ctx context.Context, h *remote.Host) error {
	_, err := h.RunScript(ctx, "uninstalling RKE2", `
for p in /usr/local /opt/rke2; do
  rm -f "$p/share/rke2/.skyctl"
  if [ -x "$p/bin/rke2-uninstall.sh" ]; then "$p/bin/rke2-uninstall.sh" >&2 || exit; fi
done
rm -rf `+stagingDir+` `+restoreDir+` `+etcdAddressFile+`* `+joinTokenFile+` `+configFile+` `+tokenDropIn+` `+
		proxyEnvFile+` /etc/systemd/system/rke2-*.service.d/`+proxyDropIn+removeMachineFiles)
	return err
}
