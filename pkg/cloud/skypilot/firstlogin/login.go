// Package firstlogin lets the cluster's key in to a new machine, with the key that SkyPilot put there.
package firstlogin

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

const (
	connectTimeout   = 10 * time.Second
	handshakeTimeout = 20 * time.Second
	commandTimeout   = time.Minute
	retryInterval    = time.Second
)

// authorizeScript adds a key to authorized_keys if it is missing, and starts the power-off timer if it does not run. It
// reads the key from standard input; its argument is the minutes of the timer, or 0 for none.
const authorizeScript = `set -eu
minutes=$1
if [ "$minutes" -gt 0 ] && ! systemctl is-active --quiet ` + cloud.BootPowerOffUnit + `.timer; then
    sudo -n systemd-run --quiet --collect --unit=` + cloud.BootPowerOffUnit +
	` --on-active="${minutes}min" systemctl poweroff
fi
umask 077
key=$(cat)
mkdir -p "$HOME/.ssh"
file=$HOME/.ssh/authorized_keys
touch "$file"
grep -qxF -- "$key" "$file" && exit 0
[ -z "$(tail -c 1 "$file")" ] || echo >> "$file"
printf '%s\n' "$key" >> "$file"
`

// Login is a machine that lets SkyPilot's key in.
type Login struct {
	machine       string
	address       string
	user          string
	signer        ssh.Signer
	connect       cloud.Route
	powerOffDelay time.Duration
}

// New returns the login to a machine with the credentials that SkyPilot has for it. It goes through the route, or is
// direct if that is nil. The machine powers itself off after a delay, if no timer does so already; 0 is never.
func New(m cloud.Machine, has *client.Credentials, route cloud.Route, powerOffDelay time.Duration) (Login, error) {
	if has == nil || has.Key == "" {
		return Login{}, &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"machine %s: the SkyPilot API server does not return the key to log in to it: its user must not be a "+
				"viewer",
			m.Name)}
	}
	if route == nil && has.ProxyCommand != "" && has.ProxyCommand != "None" {
		return Login{}, &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"machine %s: SkyPilot reaches it through a proxy (its setting ssh_proxy_command), and skyctl would not: "+
				"name the bastion with --ssh_proxy_jump or the setting ssh.proxyJump too", m.Name)}
	}
	signer, err := ssh.ParsePrivateKey([]byte(has.Key))
	if err != nil {
		return Login{}, &cloud.Error{Kind: cloud.Access,
			Message: fmt.Sprintf("machine %s: SkyPilot's key for it is invalid", m.Name)}
	}
	address := net.JoinHostPort(m.Address, strconv.Itoa(m.SSHPort))
	if route == nil {
		route = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", address)
		}
	}
	return Login{machine: m.Name, address: address, user: m.SSHUser, signer: signer, connect: route,
		powerOffDelay: powerOffDelay}, nil
}

// AuthorizeKey waits until the machine answers and lets the cluster's own key log in. It returns the machine's host key
// as this first contact showed it.
func (l Login) AuthorizeKey(ctx context.Context, authorizedKey string, progress func(string)) (string, error) {
	reported := false
	var hostKey string
	err := await.Success(ctx, retryInterval, func() error {
		var err error
		hostKey, err = l.tryAuthorizeKey(ctx, authorizedKey)
		if err != nil && ctx.Err() == nil && !reported {
			reported = true
			progress("waiting for SSH")
		}
		return err
	})
	if err != nil {
		return "", &cloud.Error{Kind: cloud.Transient, Cause: err,
			Message: fmt.Sprintf("machine %s does not answer over SSH at %s", l.machine, l.address)}
	}
	return hostKey, nil
}

func (l Login) tryAuthorizeKey(ctx context.Context, authorizedKey string) (string, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout+commandTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // it may ignore deadlines
	defer stop()
	var hostKey string
	c, channels, requests, err := ssh.NewClientConn(conn, l.address, &ssh.ClientConfig{
		User: l.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(l.signer)}, Timeout: handshakeTimeout,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			hostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
			return nil
		},
	})
	if err != nil {
		return "", err
	}
	connection := ssh.NewClient(c, channels, requests)
	defer connection.Close()
	session, err := connection.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	session.Stdin = strings.NewReader(authorizedKey)
	if out, err := session.CombinedOutput(fmt.Sprintf("sh -c %s skyctl %d", quoteForShell(authorizeScript),
		int(l.powerOffDelay.Minutes()))); err != nil {
		return "", fmt.Errorf("authorize the cluster's key: %w: %s", err,
			logtext.Shorten(strings.TrimSpace(string(out))))
	}
	return hostKey, nil
}

func quoteForShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
