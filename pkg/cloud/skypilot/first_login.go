package skypilot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	dialTimeout        = 10 * time.Second
	handshakeTimeout   = 20 * time.Second
	commandTimeout     = time.Minute
	loginRetryInterval = time.Second
)

// BootPowerOffUnit is the timer on a machine that ends it unless somebody stops it: "systemctl stop
// skyctl-deadman.timer".
const BootPowerOffUnit = "skyctl-deadman"

// authorizeScript lets a key in, once, and sets the dead man's switch where it is not set. It is given the key on its
// standard input and the minutes, 0 for none, as its argument.
const authorizeScript = `set -eu
minutes=$1
if [ "$minutes" -gt 0 ] && ! systemctl is-active --quiet ` + BootPowerOffUnit + `.timer; then
    sudo -n systemd-run --quiet --collect --unit=` + BootPowerOffUnit + ` --on-active="${minutes}min" systemctl poweroff
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

// firstLogin is a machine that lets SkyPilot's key in.
type firstLogin struct {
	machine string
	address string
	port    int
	user    string
	signer  ssh.Signer
	// powerOffDelay is when the machine ends itself; 0 is never.
	deadMan time.Duration
}

// authorizeKey lets the cluster's own key log in to a machine as soon as that answers, and returns the machine's host
// key, as this first contact showed it.
func (d firstLogin) authorizeKey(ctx context.Context, authorizedKey string, progress func(string)) (string, error) {
	said := ""
	for {
		hostKey, err := d.tryAuthorizeKey(ctx, authorizedKey)
		if err == nil {
			return hostKey, nil
		}
		if ctx.Err() != nil {
			return "", &cloud.Error{Kind: cloud.Transient, Cause: errors.Join(context.Cause(ctx), err),
				Message: fmt.Sprintf("machine %s does not answer over SSH at %s", d.machine, d.sshAddress())}
		}
		if say := "waiting for SSH"; said != say {
			said = say
			progress(say)
		}
		if err := sleepWithContext(ctx, loginRetryInterval); err != nil {
			continue // the next try says it with what was wrong
		}
	}
}

func (d firstLogin) sshAddress() string { return net.JoinHostPort(d.address, strconv.Itoa(d.port)) }

func (d firstLogin) tryAuthorizeKey(ctx context.Context, authorizedKey string) (string, error) {
	few, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(few, "tcp", d.sshAddress())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout + commandTimeout)); err != nil {
		return "", err
	}
	var hostKey string
	c, channels, requests, err := ssh.NewClientConn(conn, d.sshAddress(), &ssh.ClientConfig{
		User: d.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(d.signer)}, Timeout: handshakeTimeout,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			hostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
			return nil
		},
	})
	if err != nil {
		return "", err
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	session.Stdin = strings.NewReader(authorizedKey)
	if out, err := session.CombinedOutput(fmt.Sprintf("sh -c %s skyctl %d", quoteForShell(authorizeScript),
		int(d.deadMan.Minutes()))); err != nil {
		return "", fmt.Errorf("let the cluster's key in: %w: %s", err, shortenText(strings.TrimSpace(string(out))))
	}
	return hostKey, nil
}

func quoteForShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
