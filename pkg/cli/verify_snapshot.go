package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

func (a *app) newVerifyCommand() *cobra.Command {
	return newCommandGroup("verify", "Prove that a snapshot can be restored",
		"Proves that a snapshot can be restored: see skyctl verify snapshot --help.",
		"  skyctl verify snapshot before-migration --cluster prod", a.newVerifySnapshotCommand())
}

// verifySnapshotOptions is one run of verify snapshot.
type verifySnapshotOptions struct {
	*app
	cluster string
	wait    bool
	timeout waitTimeoutValue
	output  *outputFlags
}

func (a *app) newVerifySnapshotCommand() *cobra.Command {
	o := &verifySnapshotOptions{app: a}
	cmd := &cobra.Command{
		Use:     "snapshot NAME --cluster CLUSTER",
		Aliases: listAliases("snapshot"),
		Short:   "Restore a snapshot apart, and count what is in it",
		Long: `Restores a snapshot on a throw-away Docker host that has no way out of its network. Only etcd and the
Kubernetes API start there, so no workload of the snapshot runs. skyd counts the keys of each kind,
compares them with those in the file, and removes the host. It needs a Docker engine where skyd runs.

The command waits for the result, and exits with 1 unless the snapshot is proven. skyctl get
snapshots shows the result too. With --wait=false it returns once the request is recorded.
Verifications run one at a time.`,
		Example: `  skyctl verify snapshot before-migration --cluster prod
  skyctl verify snapshot before-migration --cluster prod --wait=false`,
		Args:              requireSnapshotName,
		ValidArgsFunction: a.completeOneSnapshotName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireClusterFlag(cmd, o.cluster); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	a.bindSnapshotCluster(cmd, &o.cluster)
	cmd.Flags().BoolVar(&o.wait, "wait", true, "wait for the result; Ctrl-C stops only the wait")
	o.timeout.bindFlag(cmd)
	o.output = addChangedOutputFlags(cmd)
	return cmd
}

func (o *verifySnapshotOptions) run(ctx context.Context, name string) error {
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	ops, seen, err := o.readSnapshotFor(ctx, o.cluster, name)
	if err != nil {
		return err
	}
	var asked client.SnapshotRequest
	err = o.runWithSpinner("Requesting the verification of snapshot "+name, false, func(s *terminal.Spinner) error {
		if err := seen.RefuseCheck(); err != nil {
			return err
		}
		spec := api.ClusterSpec{}
		if seen.Spec != nil {
			spec = *seen.Spec
		}
		if err := o.requireSnapshotWorker(ctx, ops, s, spec); err != nil {
			return err
		}
		if asked, err = ops.VerifySnapshot(ctx, seen); err != nil {
			return err
		}
		s.KeepLine()
		o.noteUnstarted(asked.Unstarted, "skyd starts it once it can")
		text := "The verification of snapshot %s is requested.\n"
		if !asked.Changed {
			text = "The verification of snapshot %s was already requested.\n"
		}
		return o.printResult(text, name)
	})
	switch {
	case err != nil:
		return err
	case !o.wait:
		return o.writeSnapshot(o.output, asked.Snapshot)
	}
	return o.awaitResult(ctx, ops, asked.Snapshot)
}

// awaitResult waits for the end of a verification and prints its result. The error says that it is not proven.
func (o *verifySnapshotOptions) awaitResult(ctx context.Context, ops *client.Client, asked api.Snapshot) error {
	return o.awaitSnapshot("Verifying snapshot "+asked.Name, asked, func(s *terminal.Spinner) error {
		verified, err := ops.AwaitSnapshotVerified(ctx, asked, o.timeout.value, s.PrintNote)
		if err != nil {
			return err
		}
		result := render.DescribeCheck(verified.Check, o.env.Now())
		if verified.Check.Result != api.SnapshotProven {
			return errors.New("snapshot " + asked.Name + " is " + result)
		}
		s.KeepLine()
		return errors.Join(o.writeSnapshot(o.output, verified),
			o.printResult("Snapshot %s is %s.\n", asked.Name, result))
	})
}
