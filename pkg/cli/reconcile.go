package cli

import (
	"context"
	"errors"
	"fmt"

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
		Use:   "reconcile [CLUSTER | -l SELECTOR | --all]",
		Short: "Check clusters now, and repair drift",
		Long: `Checks all clusters now, or the one you name, without waiting for the next scheduled sweep: the
machines on the cloud, the nodes, their versions and the credentials. It prints the drift that it
finds and the planned repairs, which run in the background.

If you name a cluster, repairs start at once and ignore earlier attempts and back-off. A cluster
that a repair left in ERROR is repaired again. -l does so for each cluster that matches, and --all for
each that exists, one after the other and also after one that fails. With --wait the command returns
once the cluster is in sync. It exits with 1 if the repair fails or if skyctl cannot repair the drift.`,
		Example: `  skyctl reconcile
  skyctl reconcile dev --wait
  skyctl reconcile -l team=vision
  skyctl reconcile --all --wait
  skyctl reconcile dev -o json`,
		Args:              allowClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	r.output = addOutputFlags(cmd)
	cmd.Flags().BoolVar(&r.wait, "wait", false,
		"show the repairs until the cluster is in sync; Ctrl-C does not stop them")
	r.timeout.bindFlag(cmd)
	selector := a.addSelectionFlags(cmd, "clusters")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := selector.refuseWithNames(args); err != nil {
			return err
		}
		if !selector.isSet() {
			return r.run(cmd.Context(), firstOrEmpty(args))
		}
		return a.runForSelected(cmd.Context(), selector, r.run)
	}
	return cmd
}

// reconcileOptions is one run of reconcile.
type reconcileOptions struct {
	*app
	wait    bool
	timeout waitTimeoutValue
	output  *outputFlags
}

func (r *reconcileOptions) run(ctx context.Context, cluster string) error {
	if r.wait && cluster == "" {
		return usageErrorf("--wait needs the name of a cluster, -l or --all")
	}
	if err := r.timeout.refuseWithoutWait(r.wait); err != nil {
		return err
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
	title := "Checking every cluster"
	if cluster != "" {
		title = "Checking cluster " + cluster
	}
	err = r.runWithSpinner(title, r.output.isStructured(), func(s *terminal.Spinner) error {
		sweep := func() (err error) { found, err = sweepAndRead(ctx, ops, cluster); return err }
		if r.wait {
			err = ops.RetryWhileUnreachable(ctx, s.PrintNote, sweep)
		} else {
			err = r.sweepOnce(ctx, ops, s.PrintNote, sweep)
		}
		if err != nil {
			return err
		}
		s.KeepLine()
		r.warnHomeDoubt(ctx, ops)
		if r.output.isStructured() {
			return r.output.write(r.env.Out, found.SweepResult)
		}
		return terminal.WritePage(r.env.Out, found.RenderPage(r.env.Now()))
	})
	switch {
	case err != nil:
		return err
	case len(found.Failed) > 0:
		return errors.New("some clusters or clouds could not be checked; run the command again")
	case r.wait:
		return r.awaitRepairs(ctx, ops, before, found)
	case found.Only != "" && found.CountUnseen() > 0:
		return fmt.Errorf("the state of cluster %s is unknown, see above", cluster)
	case found.CountUnseen() > 0:
		return fmt.Errorf("the state of %s is unknown, see above",
			render.FormatCount(found.CountUnseen(), "cluster"))
	}
	return nil
}

// sweepOnce sweeps, and again if skyd restarts meanwhile. Servers that do not answer at first are not waited for.
func (r *reconcileOptions) sweepOnce(ctx context.Context, ops *client.Client, notice func(string),
	sweep func() error) error {
	if _, err := ops.ConnectStore(ctx); err != nil {
		return err
	}
	return ops.RetryDuringRestart(ctx, notice, sweep)
}

// sweepAndRead sweeps a cluster, or all, and then reads the clusters as the sweep left them.
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

// awaitRepairs follows the cluster that was checked.
func (r *reconcileOptions) awaitRepairs(ctx context.Context, ops *client.Client, before *api.Cluster,
	found render.SweepReport) error {
	name := found.Only
	var drifted operation.DriftedCluster
	switch c, ok := found.Clusters[name]; {
	case len(found.Drifted) > 0:
		drifted = found.Drifted[0]
	case !ok:
		return &client.ClusterDeletedError{Name: name}
	case render.UnknownReason(&c) != "":
		return &client.DriftError{Cluster: name, Reason: render.UnknownReason(&c)}
	case c.Status.Phase == api.PhaseReady, c.Status.Phase == api.PhaseStopped:
		return nil
	default:
		drifted = operation.DriftedCluster{Cluster: name, Phase: c.Status.Phase}
	}
	began := r.env.Now()
	p := r.startProgress("Repairing cluster", before)
	r.slow.showOn(p.ShowNotice)
	defer r.slow.showOn(nil)
	err := ops.AwaitInSync(ctx, before, drifted, r.timeout.value, showProgress(p))
	switch {
	case err == nil:
		p.ReportSuccess()
		if r.output.isStructured() {
			return nil
		}
		result := "in sync"
		if drifted.Phase == api.PhaseDeleting {
			result = "deleted"
		}
		_, err = fmt.Fprintf(r.env.Out, "Cluster %s is %s after %s.\n", name, result,
			render.FormatDuration(r.env.Now().Sub(began)))
		return err
	case exitCode(err) == ExitInterrupted:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The operation continues. To see it: skyctl get events %s -w, or skyctl describe cluster %s", name, name)}
	}
	if r.wantsJSONErrors() {
		p.StopDrawing()
		return err
	}
	p.ReportFailure(err, damageRemedies(err)...)
	if failed := client.AsOperationFailed(err); failed != nil {
		printFailureLog(r.env.Err, failed)
	}
	fmt.Fprintf(r.env.Err, "  For details: skyctl describe cluster %s\n", name)
	return &reportedError{err}
}
