package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/gateway"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// withLogin calls use with the way to machines, which is closed afterwards.
func (a *app) withLogin(ctx context.Context, doing string, use func(*access.Login) error) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	s, err := ops.OpenSecretStore(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer func() { _ = s.Close() }() // its writes have ended
	routes, err := connect.NewMemberRoutes(a.cfg, s)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	pool := remote.NewPool(0)
	defer pool.Close()
	pool.SetRoutes(routes)
	return use(&access.Login{Store: s, Pool: pool})
}

// findTarget returns the machine that a name means: itself, or the head of the cluster.
func findTarget(ctx context.Context, login *access.Login, name string) (access.Target, error) {
	c, m, err := access.FindCluster(ctx, login.Store, name)
	if err != nil {
		return access.Target{}, err
	}
	if m != nil {
		return access.Target{Cluster: c, Machine: *m}, nil
	}
	targets, err := access.SelectTargets(c, access.Selection{})
	if err != nil {
		return access.Target{}, err
	}
	return targets[0], nil
}

// recordAccess records what a person does on a machine, or on machines of the cluster if machine is empty. If etcd does
// not take the record, it says so and goes on: the machine may be what has to be repaired.
func (a *app) recordAccess(ctx context.Context, login *access.Login, c *api.Cluster, machine, did string) {
	if err := login.RecordAccess(ctx, c, machine, did); err != nil && ctx.Err() == nil {
		fmt.Fprintln(a.env.Err, "Warning: the access was not recorded as an event:", printable.Line(err.Error()))
	}
}

// refuseUser refuses USER@MACHINE.
func refuseUser(name string) error {
	if _, machine, found := strings.Cut(name, "@"); found {
		return usageErrorf("%s names a user, but skyctl logs in as the one that the machine's image has, who can use "+
			"sudo. To be root: skyctl ssh %s -t -- sudo -i; exec and cp have --root", name, machine)
	}
	return nil
}

// splitCommand takes the arguments apart at --, which is required before a command.
func splitCommand(cmd *cobra.Command, args []string) (names, command []string, err error) {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0 && len(args) > 1:
		return nil, nil, usageErrorf("%[1]s needs -- before the command: %[1]s %[2]s -- %[3]s …", cmd.CommandPath(),
			args[0], args[1])
	case dash < 0:
		return args, nil, nil
	}
	return args[:dash], args[dash:], nil
}

// commandTimeoutValue is --timeout of a command that runs something on machines.
type commandTimeoutValue struct{ durationValue }

func (t *commandTimeoutValue) bindFlag(cmd *cobra.Command, usual time.Duration, what string) {
	t.value = usual
	cmd.Flags().Var(t, "timeout", what)
}

// withDeadline returns a context that ends after the timeout, with a cause that says so.
func (t *commandTimeoutValue) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, t.value, &commandTimeoutError{t.value})
}

// commandTimeoutError says that --timeout passed.
type commandTimeoutError struct{ after time.Duration }

func (e *commandTimeoutError) Error() string {
	return fmt.Sprintf("it took longer than --timeout %s, and was ended", e.after)
}

// remoteExitError ends skyctl with the exit code of a command on a machine, which has said itself what is wrong.
type remoteExitError struct{ code int }

func (e *remoteExitError) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", e.code)
}

// accessExitCode returns the exit code for an error of reaching a machine; ok is false if it is about something else.
func accessExitCode(err error) (code int, ok bool) {
	var ended *remoteExitError
	refused := new(gateway.RefusedError)
	errors.As(err, &refused)
	switch {
	case errors.As(err, &ended):
		return ended.code, true
	case hasType[*access.UnknownError](err), refused.Status == http.StatusNotFound:
		return ExitNotFound, true
	case hasType[*access.NotReachableError](err), hasType[*access.NoMachinesError](err),
		refused.Status == http.StatusConflict:
		return ExitConflict, true
	case hasType[*commandTimeoutError](err):
		return ExitTimeout, true
	case remote.IsLost(err):
		return ExitUnreachable, true
	}
	return 0, false
}
