package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newReconcileCommand() *cobra.Command {
	r := &reconcileOptions{app: a}
	cmd := &cobra.Command{
		Use:   "reconcile [CLUSTER]",
		Short: "Compare clusters with what was asked for now, and repair what differs",
		Long: `Looks at all clusters now, or at the one you name, without waiting for the next sweep of the
schedule: its machines as the cloud lists them, its nodes, its versions and its credentials. It
says what is not as it was asked for, and what is done about it; repairs go on by themselves.

Naming a cluster asks for one more try at once: how often and how lately something was tried
before does not count, and a cluster that a repair left in ERROR is taken up again. With --wait
it ends once the cluster is in sync; with 1 where that fails or nothing can be done about it.`,
		Example: `  skyctl reconcile
  skyctl reconcile dev --wait
  skyctl reconcile dev -o json`,
		Args:              allowClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	r.output = addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON, render.AsYAML)
	cmd.Flags().BoolVar(&r.wait, "wait", false,
		"show the repairs until the cluster is in sync; Ctrl-C leaves the work running")
	cmd.Flags().Var(&r.timeout, "timeout", "how long --wait waits (default: as long as it takes)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), firstOrEmpty(args)) }
	return cmd
}

// reconcileOptions is one reconcile.
type reconcileOptions struct {
	*app
	wait    bool
	timeout durationValue
	output  *enumValue
}

func (r *reconcileOptions) run(ctx context.Context, cluster string) error {
	switch {
	case r.wait && cluster == "":
		return usageErrorf("--wait waits for one cluster: name it")
	case r.timeout.value > 0 && !r.wait:
		return usageErrorf("--timeout says how long --wait waits: give --wait too")
	}
	ops, err := r.connectClient(ctx)
	if err != nil {
		return err
	}
	var before *api.Cluster
	if r.wait {
		s, err := ops.ConnectStore(ctx)
		if err != nil {
			return err
		}
		if before, err = s.ReadCluster(ctx, cluster); err != nil {
			return err
		}
	}
	var found render.SweepReport
	title := "Looking at every cluster"
	if cluster != "" {
		title = "Looking at cluster " + cluster
	}
	err = r.runWithSpinner(title, r.output.isStructured(), func(s *terminal.Spinner) error {
		look := func() (err error) { found, err = sweepAndRead(ctx, ops, cluster); return err }
		if r.wait {
			err = ops.RetryWhileUnreachable(ctx, s.PrintNote, look)
		} else {
			err = look()
		}
		if err != nil {
			return err
		}
		s.KeepLine()
		r.warnHomeDoubt(ctx, ops)
		if r.output.isStructured() {
			return render.WriteStructured(r.env.Out, r.output.form(), found.SweepResult)
		}
		_, err := io.WriteString(r.env.Out, found.RenderPage(r.env.Now()))
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found.Failed) > 0:
		return errors.New("not everything could be looked at: run it again")
	case r.wait:
		return r.awaitRepairs(ctx, ops, before, found)
	case found.Only != "" && found.CountUnseen() > 0:
		return fmt.Errorf("the state of cluster %s is unknown: see above why", cluster)
	case found.CountUnseen() > 0:
		return fmt.Errorf("the state of %s is unknown: see above why",
			render.FormatCount(found.CountUnseen(), "cluster"))
	}
	return nil
}

// sweepAndRead looks at a cluster, or at all; then it reads them, for what the sweep has written about them.
func sweepAndRead(ctx context.Context, ops *client.Client, cluster string) (render.SweepReport, error) {
	found := render.SweepReport{Only: cluster, Clusters: map[string]api.Cluster{}}
	var err error
	if found.SweepResult, err = ops.SweepClusters(ctx,
		operation.SweepInput{Cluster: cluster, Again: cluster != ""}); err != nil {
		return found, err
	}
	if found.SchedulePaused, err = ops.IsSchedulePaused(ctx); err != nil {
		return found, err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return found, err
	}
	all, err := s.ListClusters(ctx)
	if err != nil && len(store.CorruptClusterNames(err)) == 0 {
		return found, err
	}
	if found.Corrupt = store.CorruptClusterNames(err); cluster != "" {
		found.Corrupt = nil
	}
	for _, c := range all {
		if cluster == "" || c.Metadata.Name == cluster {
			found.Clusters[c.Metadata.Name] = c
		}
	}
	return found, nil
}

// awaitRepairs follows the one cluster that was looked at.
func (r *reconcileOptions) awaitRepairs(ctx context.Context, ops *client.Client, before *api.Cluster,
	found render.SweepReport) error {
	name := found.Only
	var differs operation.DriftedCluster
	switch c, ok := found.Clusters[name]; {
	case len(found.Drifted) > 0:
		differs = found.Drifted[0]
	case !ok:
		return &client.ClusterDeletedError{Name: name}
	case render.UnknownReason(&c) != "":
		return &client.DriftError{Cluster: name, Reason: render.UnknownReason(&c)}
	case c.Status.Phase == api.PhaseReady:
		return nil
	default:
		differs = operation.DriftedCluster{Cluster: name, Phase: c.Status.Phase}
	}
	began := r.env.Now()
	p := terminal.StartProgress(r.env.Err, r.env.Now, "Repairing cluster", before)
	err := ops.AwaitInSync(ctx, before, differs, r.timeout.value, showProgress(p))
	switch {
	case err == nil:
		p.ReportSuccess()
		if r.output.isStructured() {
			return nil
		}
		what := "in sync"
		if differs.Phase == api.PhaseDeleting {
			what = "gone"
		}
		_, err = fmt.Fprintf(r.env.Out, "Cluster %s is %s after %s.\n", name, what,
			render.FormatDuration(r.env.Now().Sub(began)))
		return err
	case exitCode(err) == ExitInterrupted:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The work goes on. Look again with: skyctl get events %s -w, or skyctl describe cluster %s", name, name)}
	}
	p.ReportFailure(err, damageRemedies(err)...)
	var failed *client.OperationFailedError
	if errors.As(err, &failed) {
		printFailureLog(r.env.Err, failed)
	}
	fmt.Fprintf(r.env.Err, "  Look closer with: skyctl describe cluster %s\n", name)
	return &reportedError{err}
}
