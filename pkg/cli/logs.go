package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

const (
	// machineLogTimeout bounds the reading of logs that are not followed.
	machineLogTimeout = 5 * time.Minute
	// maxFollowedMachines bounds the connections of logs.
	maxFollowedMachines = 50
)

// machineLogsOptions is one run of logs.
type machineLogsOptions struct {
	logsOptions
	selectionFlags
	unit string
}

func (a *app) newLogsCommand() *cobra.Command {
	o := &machineLogsOptions{logsOptions: logsOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "logs CLUSTER|MACHINE|server",
		Short: "Print a log of machines, or the server's",
		Long: `Prints a log of a machine, read over SSH: that of the head if you name a cluster, or of all machines or a
pool with --all and --pool; each line then begins with the name of its machine. Secrets that skyctl
knows are replaced with [hidden]. Without --since it prints the last 200 lines.

--unit chooses the log: rke2 (the journal of RKE2), kubelet, containerd, cloud-init, system (the whole
journal), or any systemd unit by its name.

skyctl logs server is skyctl server logs: what skyd did. A cluster of that name is cluster/server.`,
		Example: `  skyctl logs dev
  skyctl logs sky-dev-2 -f
  skyctl logs dev --all --since 10m
  skyctl logs dev --pool gpu --unit kubelet --tail 50
  skyctl logs sky-dev-2 --unit cloud-init
  skyctl logs server -f`,
		Args: func(cmd *cobra.Command, args []string) error {
			return requireOneArgFor(cmd, args, "a cluster, a machine, or server")
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
			names, directive := a.completeClustersAndMachines(cmd, args, part)
			if len(args) == 0 {
				names = append(names, "server\tskyd on this computer")
			}
			return names, directive
		},
	}
	o.logsOptions.bindFlags(cmd)
	o.selectionFlags.bindFlags(a, cmd)
	cmd.Flags().StringVarP(&o.unit, "unit", "u", access.LogUnits[0].Name, "log to print, or a systemd unit")
	var units []string
	for _, u := range access.LogUnits {
		units = append(units, u.Name+"\t"+u.About)
	}
	panicOnError(cmd.RegisterFlagCompletionFunc("unit",
		cobra.FixedCompletions(units, cobra.ShellCompDirectiveNoFileComp)))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		lines := o.countLines(cmd)
		if args[0] == "server" {
			if cmd.Flags().Changed("unit") || o.IsSeveral() {
				return usageErrorf("server is skyd's log on this computer: --unit, --all, --pool and --machine are " +
					"for clusters; a cluster of that name is cluster/server")
			}
			return o.logsOptions.run(cmd.Context(), lines)
		}
		return o.runOnMachines(cmd.Context(), args[0], lines)
	}
	return cmd
}

func (o *machineLogsOptions) runOnMachines(ctx context.Context, name string, lines int) error {
	if o.tail < 0 {
		return usageErrorf("--tail is %d: it should be 0 (all lines) or more", o.tail)
	}
	q := access.LogQuery{Unit: o.unit, Since: o.since.value, Lines: lines, Follow: o.follow}
	if field, want := q.Check(); field != "" {
		value := o.unit
		if field == "since" {
			value = o.since.String()
		}
		return &api.FieldError{Field: field, Value: value, Want: want}
	}
	return o.withLogin(ctx, "reading logs of "+name, func(login *access.Login) error {
		targets, err := o.findTargets(ctx, login, name)
		if err != nil {
			return err
		}
		if len(targets) > maxFollowedMachines && o.follow {
			return usageErrorf("--follow is for at most %d machines, not %d: choose some with --pool or --machine",
				maxFollowedMachines, len(targets))
		}
		readCtx := ctx
		if !o.follow {
			var cancel context.CancelFunc
			readCtx, cancel = context.WithTimeoutCause(ctx, machineLogTimeout, &codedError{code: ExitTimeout,
				err: fmt.Errorf("it took longer than %s; --tail and --since make it shorter", machineLogTimeout)})
			defer cancel()
		}
		errs := q.WriteLogs(readCtx, login, targets, maxFollowedMachines, o.IsSeveral(),
			terminal.WithoutRewrite(o.env.Out))
		if o.follow && ctx.Err() != nil {
			return &interruptedError{}
		}
		return errors.Join(errs...)
	})
}
