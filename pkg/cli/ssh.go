package cli

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// sshOptions is one run of ssh.
type sshOptions struct {
	*app
	timeout commandTimeoutValue
	tty     bool
	noInput bool
}

func (a *app) newSSHCommand() *cobra.Command {
	o := &sshOptions{app: a}
	cmd := &cobra.Command{
		Use:   "ssh CLUSTER|MACHINE [-- COMMAND [ARG...]]",
		Short: "Log in to a machine, or run one command there",
		Long: `Logs in to a machine over SSH: to the head if you name a cluster. You are the login user of its image,
who can use sudo. skyctl takes the cluster's key from its own records and keeps it in memory; it
accepts the machine's recorded host key only. No ssh program and no key file is needed, and your
own key agent is not forwarded.

With a command it runs that and exits with its exit code. One argument is a line for the machine's
shell; of several, each is one word, so nothing has to be quoted twice. Ctrl-C ends the command on
the machine too. The input is passed on, so in a loop over a list use -n.

An event of the cluster records who logged in (skyctl get events). skyctl exec runs a command on
several machines, and skyctl cp copies files.`,
		Example: `  skyctl ssh dev
  skyctl ssh sky-dev-2
  skyctl ssh sky-dev-2 -- sudo journalctl -u rke2-agent -n 20
  skyctl ssh dev -- 'df -h | grep /var'
  skyctl ssh dev -t -- sudo htop
  tar cz site | skyctl ssh dev -- tar xz -C /srv`,
		ValidArgsFunction: a.completeClustersAndMachines,
	}
	o.timeout.bindFlag(cmd, 24*time.Hour, "longest duration of a command without a terminal")
	cmd.Flags().BoolVarP(&o.tty, "tty", "t", false, "open a terminal for the command, as for a login")
	cmd.Flags().BoolVarP(&o.noInput, "no-stdin", "n", false, "give the command no input")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, command, err := splitCommand(cmd, args)
		if err == nil {
			err = requireOneArgFor(cmd, names, "a cluster or a machine")
		}
		if err == nil {
			err = refuseUser(names[0])
		}
		switch {
		case err != nil:
			return err
		case o.tty && o.noInput:
			return usageErrorf("--tty needs the input, which --no-stdin leaves out")
		case o.tty && !terminal.IsTerminal(a.env.In):
			return usageErrorf("--tty needs a terminal, and the input is none")
		}
		return a.withLogin(cmd.Context(), "logging in to "+names[0], func(login *access.Login) error {
			return o.run(cmd.Context(), login, names[0], command)
		})
	}
	return cmd
}

func (o *sshOptions) run(ctx context.Context, login *access.Login, name string, command []string) error {
	t, err := findTarget(ctx, login, name)
	if err != nil {
		return err
	}
	h, err := login.Connect(ctx, t)
	if err != nil {
		return err
	}
	onTerminal := len(command) == 0 && terminal.IsTerminal(o.env.In) || o.tty
	did := "ran " + access.DescribeCommand(command) + " with skyctl ssh"
	if len(command) == 0 {
		did = "logged in with skyctl ssh"
	}
	o.recordAccess(ctx, login, t.Cluster, t.Machine.Name, did)
	exit := 0
	if onTerminal {
		exit, err = o.runOnTerminal(ctx, h, command)
	} else {
		exit, err = o.runCommand(ctx, h, command)
	}
	if err == nil && exit != 0 {
		return &remoteExitError{exit}
	}
	return err
}

// runOnTerminal passes keys and sizes of the person's terminal to one on the machine.
func (o *sshOptions) runOnTerminal(ctx context.Context, h *remote.Host, command []string) (exit int, err error) {
	restore, err := terminal.EnterRawMode(o.env.In)
	if err != nil {
		return 0, err
	}
	defer restore()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resized := make(chan remote.WindowSize, 1)
	terminal.FollowSize(ctx, o.env.In, func(s terminal.Size) {
		select {
		case resized <- remote.WindowSize{Columns: s.Width, Rows: s.Height}:
		case <-ctx.Done():
		}
	})
	size := terminal.ReadSize(o.env.In)
	return h.RunTerminalSession(ctx, remote.TerminalSession{
		Line: remote.JoinArguments(command), Term: cmp.Or(o.env.Getenv("TERM"), "xterm"),
		Size:    remote.WindowSize{Columns: size.Width, Rows: size.Height},
		Resized: resized, Stdin: o.env.In, Stdout: terminal.UnfilteredWriter(o.env.Out),
		Stderr: terminal.UnfilteredWriter(o.env.Err),
	})
}

// runCommand runs a command, or a shell that reads its commands from the input.
func (o *sshOptions) runCommand(ctx context.Context, h *remote.Host, command []string) (exit int, err error) {
	ctx, cancel := o.timeout.withDeadline(ctx)
	defer cancel()
	var stdin io.Reader
	if !o.noInput {
		stdin = o.env.In
	}
	line := remote.JoinArguments(command)
	if line == "" {
		line = `exec "${SHELL:-sh}"`
	}
	return h.RunUserCommand(ctx, remote.UserCommand{Line: line, Stdin: stdin,
		Stdout: terminal.UnfilteredWriter(o.env.Out), Stderr: terminal.UnfilteredWriter(o.env.Err)})
}
