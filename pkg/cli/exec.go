package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// maxParallel bounds --parallel: each machine takes a connection and some memory.
const maxParallel = 100

// selectionFlags choose machines of a cluster.
type selectionFlags struct{ access.Selection }

func (f *selectionFlags) bindFlags(a *app, cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.All, "all", false, "all machines of the cluster")
	cmd.Flags().StringSliceVar(&f.Pools, "pool", nil, "the machines of this pool; can be repeated")
	cmd.Flags().StringSliceVar(&f.Machines, "machine", nil, "this machine of the cluster; can be repeated")
	panicOnError(cmd.RegisterFlagCompletionFunc("pool", func(cmd *cobra.Command, args []string,
		_ string) ([]string, cobra.ShellCompDirective) {
		return a.completePoolsOfCluster(cmd, args, "")
	}))
	panicOnError(cmd.RegisterFlagCompletionFunc("machine", func(cmd *cobra.Command, args []string,
		_ string) ([]string, cobra.ShellCompDirective) {
		return a.completeMachinesOfCluster(cmd, firstOrEmpty(args))
	}))
	cmd.MarkFlagsMutuallyExclusive("all", "pool")
	cmd.MarkFlagsMutuallyExclusive("all", "machine")
}

// findTargets returns the machines that a name and the flags mean. The name of a machine is that machine alone.
func (f *selectionFlags) findTargets(ctx context.Context, login *access.Login, name string) ([]access.Target, error) {
	c, m, err := access.FindCluster(ctx, login.Store, name)
	switch {
	case err != nil:
		return nil, err
	case m != nil && f.IsSeveral():
		return nil, usageErrorf("%s is a machine: --all, --pool and --machine choose machines of a cluster", name)
	case m != nil:
		return []access.Target{{Cluster: c, Machine: *m}}, nil
	}
	return access.SelectTargets(c, f.Selection)
}

// execOptions is one run of exec.
type execOptions struct {
	*app
	selectionFlags
	parallel int
	timeout  commandTimeoutValue
	root     bool
	output   *outputFlags
}

func (a *app) newExecCommand() *cobra.Command {
	o := &execOptions{app: a}
	cmd := &cobra.Command{
		Use:   "exec CLUSTER|MACHINE [--all | --pool POOL | --machine MACHINE] -- COMMAND [ARG...]",
		Short: "Run a command on machines of a cluster, in parallel",
		Long: `Runs a command over SSH on machines of a cluster: on all, on those of a pool, on some, or on the head
alone. The login user runs it, or root with --root. It has no input. One argument is a line for the
machine's shell; of several, each is one word.

On several machines, each line of the output begins with the name of its machine, and the exit code
is 0 only if the command succeeded on all of them; a line on stderr names the others. On one machine
the exit code is that of the command. Ctrl-C and --timeout end the commands on the machines too.

-o json and -o yaml print the result of each machine with exit code, output and error; of the output
the last 1 MiB is kept.`,
		Example: `  skyctl exec dev --all -- uptime
  skyctl exec dev --pool gpu --root -- nvidia-smi -L
  skyctl exec dev --all --parallel 2 -- 'sudo apt-get update && sudo apt-get -y upgrade'
  skyctl exec sky-dev-2 -- cat /etc/os-release
  skyctl exec dev --all -o json -- uname -r`,
		ValidArgsFunction: a.completeClustersAndMachines,
	}
	o.bindFlags(a, cmd)
	cmd.Flags().IntVar(&o.parallel, "parallel", 10, "machines at the same time")
	o.timeout.bindFlag(cmd, 10*time.Minute, "longest duration of the command on each machine")
	cmd.Flags().BoolVar(&o.root, "root", false, "run the command as root")
	o.output = addOutputFlags(cmd)
	cmd.Flags().Lookup("output").Usage = "output format; table prints the output of the command as it arrives"
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
		case len(command) == 0:
			return usageErrorf("a command is missing: %s %s -- COMMAND", cmd.CommandPath(), names[0])
		case o.parallel < 1 || o.parallel > maxParallel:
			return &api.FieldError{Field: "parallel", Value: fmt.Sprint(o.parallel),
				Want: fmt.Sprintf("a number from 1 to %d", maxParallel)}
		}
		return a.withLogin(cmd.Context(), "running a command on "+names[0], func(login *access.Login) error {
			return o.run(cmd.Context(), login, names[0], command)
		})
	}
	return cmd
}

func (o *execOptions) run(ctx context.Context, login *access.Login, name string, command []string) error {
	targets, err := o.findTargets(ctx, login, name)
	if err != nil {
		return err
	}
	several := o.IsSeveral()
	machine, where := targets[0].Machine.Name, ""
	if several {
		machine, where = "", fmt.Sprintf(" on %s", countMachines(len(targets)))
	}
	o.recordAccess(ctx, login, targets[0].Cluster, machine, "ran "+access.DescribeCommand(command)+where+
		" with skyctl exec")
	run := access.FleetRun{Targets: targets, Parallel: o.parallel, Timeout: o.timeout.value,
		TimeoutError: &commandTimeoutError{o.timeout.value}, AsRoot: o.root, Line: remote.JoinArguments(command)}
	if !o.output.isStructured() {
		run.Stdout, run.Stderr = terminal.WithoutRewrite(o.env.Out), terminal.WithoutRewrite(o.env.Err)
		run.Prefix = several
	}
	results := run.RunAll(ctx, login)
	if o.output.isStructured() {
		list := access.NewResultList(results)
		if err := o.output.write(o.env.Out, list); err != nil {
			return err
		}
	}
	return o.reportResults(ctx, results, several)
}

// reportResults returns the error that sets the exit code.
func (o *execOptions) reportResults(ctx context.Context, results []access.Result, several bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !several {
		switch r := results[0]; {
		case r.Err != nil && o.output.isStructured():
			return &reportedError{r.Err}
		case r.Err != nil:
			return r.Err
		case r.ExitCode != 0:
			return &remoteExitError{r.ExitCode}
		}
		return nil
	}
	failed := access.DescribeFailures(results)
	if len(failed) == 0 {
		return nil
	}
	if !o.output.isStructured() {
		fmt.Fprintf(o.env.Err, "Failed on %d of %s: %s\n", len(failed), countMachines(len(results)),
			printable.Line(strings.Join(failed, ", ")))
	}
	return &reportedError{fmt.Errorf("the command failed on %s", countMachines(len(failed)))}
}

func countMachines(n int) string {
	if n == 1 {
		return "1 machine"
	}
	return fmt.Sprintf("%d machines", n)
}
