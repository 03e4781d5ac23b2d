package access

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// connectTimeout bounds a login to a machine, including one through a bastion.
const connectTimeout = 30 * time.Second

// Login logs in to machines.
type Login struct {
	Store *store.Store
	Pool  *remote.Pool
}

// Connect logs in to a machine, with the recorded host key. The connection belongs to the pool.
func (l *Login) Connect(ctx context.Context, t Target) (*remote.Host, error) {
	if err := t.CheckReachable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout,
		fmt.Errorf("no login within %s", connectTimeout))
	defer cancel()
	key, err := l.Store.ReadSecret(ctx, t.Cluster.Ref(), store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	return l.Pool.GetHost(ctx, sshtarget.Of(t.Cluster, &t.Machine), key)
}

// ReasonAccessed is the reason of the events that say who used a machine.
const ReasonAccessed = "MachineAccessed"

// RecordAccess records that a person did something on a machine, or on several of the cluster if machine is empty.
// did says what, without anything that can be secret.
func (l *Login) RecordAccess(ctx context.Context, c *api.Cluster, machine, did string) error {
	return l.Store.RecordEvent(ctx, api.Event{Cluster: c.Metadata.Name, UID: c.Metadata.UID, Machine: machine,
		Type: api.EventNormal, Reason: ReasonAccessed, Message: redact.Text(describePerson() + " " + did)})
}

// describePerson names the user of this process and the computer.
func describePerson() string {
	name, host := "somebody", "an unknown computer"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// programName matches words that are certainly the name of a program, and no secret.
var programName = lazyregexp.New(`^[A-Za-z0-9._+/-]{1,64}$`)

// DescribeCommand names the program that a command starts. Arguments can be secret, and so can assignments before the
// program.
func DescribeCommand(args []string) string {
	if len(args) == 0 {
		return "a shell"
	}
	word := firstWord(args[0])
	if !programName.MatchString(word) {
		return "a command"
	}
	return word
}

func firstWord(line string) string {
	for i, r := range line {
		if r == ' ' || r == '\t' || r == '\n' || r == ';' || r == '|' || r == '&' {
			return line[:i]
		}
	}
	return line
}
