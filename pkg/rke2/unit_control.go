package rke2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// startScript starts a unit without waiting for it to be up, which could take for ever, and enables it for the next
// boot; no reload is needed for that. $changed=1 makes a running one start anew. It does wait until the new run has
// begun, so that nobody takes the old run's state and journal for the new one's; a start that has to wait for its turn
// in the boot may take longer than that.
const startScript = `
show() { systemctl show -p "$1" --value "$unit"; }
state=$(show ActiveState); before=$(show InvocationID); begun=0; patience=100
case "$state" in
active|activating|reloading)
  if [ "$changed" = 1 ]; then systemctl restart --no-block "$unit"; patience=2000; else begun=1; fi;;
*)
  if [ "$state" = failed ]; then systemctl reset-failed "$unit" 2>/dev/null || true; fi
  systemctl start --no-block "$unit";;
esac
systemctl is-enabled -q "$unit" 2>/dev/null || systemctl enable -q --no-reload "$unit"
while [ $begun = 0 ]; do
  now=$(show InvocationID)
  if [ -n "$now" ] && [ "$now" != "$before" ]; then begun=1
  elif [ $patience -gt 0 ]; then patience=$((patience-1)); sleep 0.05
  elif [ "$(show ActiveState)" = inactive ]; then begun=1
  else echo "$unit does not stop, so that it can't start anew" >&2; exit 75; fi
done`

// StartServer writes a prepared head's configuration and starts its server, without waiting for it: AwaitSupervisor and
// AwaitServer say how far it is. A server that runs already goes on with the configuration that it has, unless
// Node.Anew says otherwise.
func StartServer(ctx context.Context, h *remote.Host, n Node) error {
	_, err := h.RunScriptWithAnswer(ctx, "starting the RKE2 server",
		"set -e\n"+factsScript+receiveConfigScript+renderProxyScript(n)+"changed=0\n"+renderRestartFlag(n)+startScript,
		func(line string) ([]byte, error) { return renderConfigFromFacts(h, n, line) })
	return err
}

func renderRestartFlag(n Node) string {
	if n.Anew {
		return "changed=1"
	}
	return ""
}

// JoinAgent gives a prepared worker the head's full agent token and starts its agent, without waiting for it. Where the
// agent runs already with the same token and configuration, nothing happens.
func JoinAgent(ctx context.Context, h *remote.Host, n Node, token string) error {
	if err := checkJoinToken(token); err != nil {
		return &Error{Kind: WrongToken, Machine: h.Name(), Message: "joining the cluster", Cause: err, Permanent: true}
	}
	_, err := h.RunScriptWithAnswer(ctx, "joining the cluster",
		"set -e\n"+factsScript+receiveTokenScript+receiveConfigScript+renderProxyScript(n)+renderRestartFlag(
			n)+joinScript, func(line string) ([]byte, error) {
			config, err := renderConfigFromFacts(h, n, line)
			if err != nil {
				return nil, err
			}
			return renderJoinAnswer(token, config), nil
		})
	return err
}

// RestartUnit starts a role's unit anew, whatever state it is in, without waiting for it to be up.
func RestartUnit(ctx context.Context, h *remote.Host, role api.Role) error {
	_, err := h.RunScript(ctx, "restarting RKE2", "set -e\nchanged=1; unit="+unitName(role)+startScript)
	return err
}

// receiveTokenScript takes the overall length and the token; receiveConfigScript then finds the configuration with a
// length of its own. printf is the shell's own, so that the token never is an argument of a program.
const receiveTokenScript = `
read -r all
read -r token
`

const joinScript = `
if [ "$(cat ` + joinTokenFile + ` 2>/dev/null)" != "$token" ]; then
  (umask 077; printf '%s\n' "$token" >` + joinTokenFile + `.new)
  mv -f ` + joinTokenFile + `.new ` + joinTokenFile + `; changed=1
fi` + startScript

func renderJoinAnswer(token string, config []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%d\n", token, len(config))
	b.Write(config)
	return b.Bytes()
}

// checkJoinToken takes only a token that pins the cluster's CA and that lets a worker do no more than join.
func checkJoinToken(token string) error {
	credentials, full := strings.CutPrefix(token, "K10")
	hash, credentials, ok := strings.Cut(credentials, "::")
	switch {
	case !full || !ok || !sha256Form.MatchString(hash) || credentials == "":
		return errors.New("the token is not in the full form K10<hash>::<user>:<password>, without which the head " +
			"can't be verified")
	case strings.HasPrefix(credentials, "server:"):
		return errors.New("the token is the server's, which would make every worker the cluster's administrator")
	case strings.ContainsAny(token, "\r\n"):
		return errors.New("the token has more than one line")
	}
	return nil
}

// StopUnit stops and disables a role's unit. One that isn't there is a success.
func StopUnit(ctx context.Context, h *remote.Host, role api.Role) error {
	_, err := h.RunScript(ctx, "stopping RKE2", "unit="+unitName(role)+`
[ "$(systemctl show -p LoadState --value "$unit")" = loaded ] || exit 0
systemctl disable --now -q "$unit"`)
	return err
}

// UninstallRelease stops RKE2 and removes it with all its state, by its own script. A machine without it is a success.
func UninstallRelease(ctx context.Context, h *remote.Host) error {
	_, err := h.RunScript(ctx, "uninstalling RKE2", `
for p in /usr/local /opt/rke2; do
  rm -f "$p/share/rke2/.skyctl"
  if [ -x "$p/bin/rke2-uninstall.sh" ]; then "$p/bin/rke2-uninstall.sh" >&2 || exit; fi
done
rm -rf `+stagingDir+` `+joinTokenFile+` `+configFile+` `+proxyEnvFile+` /etc/systemd/system/rke2-*.service.d/`+
		proxyDropIn)
	return err
}
