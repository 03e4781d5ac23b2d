package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
)

// changeFlags are the flags that all commands have that change a cluster.
type changeFlags struct {
	wait, yes bool
	timeout   waitTimeoutValue
}

func (f *changeFlags) bindFlags(cmd *cobra.Command, until string) {
	cmd.Flags().BoolVar(&f.wait, "wait", false, "show the progress until "+until+"; Ctrl-C stops only the display")
	f.timeout.bindFlag(cmd)
}

// changeRequest is a change of a cluster that a person asks for.
type changeRequest struct {
	changeFlags
	cluster string
	// title is the line of the spinner: "Scaling cluster dev".
	title string
	// change changes what was read. It may be called several times. Its errors are *api.FieldErrors, or say what is
	// missing.
	change func(*api.Cluster) error
	// newPool is the pool that a cloud is asked about before it is recorded; empty asks none.
	newPool string
	// question returns what is asked before the change; empty asks nothing.
	question func(before *api.Cluster) string
	// recorded and same are printed once the change is recorded, or if there is nothing to change.
	recorded, same func(after *api.Cluster) string
	// note returns what a person has to know of the recorded change; empty, or a nil function, for nothing.
	note func(after *api.Cluster) string
	// output is -o, with which the changed cluster is written, or only a part of it; nil if the command has none.
	output *outputFlags
	part   *changedPart
	// goal is what --wait waits for, and reached is printed then.
	goal    func(after *api.Cluster) client.Goal
	reached func(now *api.Cluster) string
}

// runChange checks a change, records it, and waits for it with --wait.
func (a *app) runChange(ctx context.Context, r changeRequest) error {
	if err := r.timeout.refuseWithoutWait(r.wait); err != nil {
		return err
	}
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	changed, err := a.recordChange(ctx, ops, r)
	if err == nil && r.wait {
		err = a.awaitChange(ctx, ops, r, changed)
	}
	if err != nil {
		return err
	}
	return a.writeChanged(ctx, ops, r.output, changedClusters{clusters: []*api.Cluster{changed}, waited: r.wait,
		part: r.part})
}

// recordChange checks a change and records it.
func (a *app) recordChange(ctx context.Context, ops *client.Client, r changeRequest) (*api.Cluster, error) {
	var result client.ChangeResult
	err := a.runWithSpinner(r.title, false, func(s *terminal.Spinner) error {
		before, err := a.checkChange(ctx, ops, s, r)
		if err != nil {
			return err
		}
		if err := a.confirmChange(ctx, s, r, before); err != nil {
			return err
		}
		if result, err = ops.ChangeSpec(ctx, before, r.change); err != nil {
			return err
		}
		s.KeepLine()
		a.noteWhatDelays(result)
		if r.note != nil {
			if text := r.note(result.Cluster); text != "" {
				a.printNote(text)
			}
		}
		text := r.recorded
		if !result.Changed {
			text = r.same
		}
		return a.printResult("%s\n", text(result.Cluster))
	})
	return result.Cluster, err
}

// readForChange reads a cluster, and tries a change on a copy. Nothing is written.
func (a *app) readForChange(ctx context.Context, ops *client.Client, r changeRequest) (before, after *api.Cluster,
	err error) {
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	if before, err = s.ReadCluster(ctx, r.cluster); err != nil {
		return nil, nil, err
	}
	if why := before.RefuseSpecChange(); why != "" {
		return nil, nil, &store.UnchangeableError{Cluster: r.cluster, Phase: before.Status.Phase, Why: why}
	}
	tried := *before
	tried.Spec = before.Spec.Clone()
	tried.Status.Machines = slices.Clone(before.Status.Machines)
	tried.Status.Pools = slices.Clone(before.Status.Pools)
	return before, &tried, r.change(&tried)
}

// checkChange refuses what cannot work before anything is written: a bad request, a worker that would not carry it
// out, a pool that the region does not offer.
func (a *app) checkChange(ctx context.Context, ops *client.Client, s *terminal.Spinner,
	r changeRequest) (*api.Cluster, error) {
	before, after, err := a.readForChange(ctx, ops, r)
	if err != nil {
		return nil, err
	}
	_, err = a.planChange(ctx, ops, s, r, after)
	return before, err
}

// planChange asks the worker where a new pool gets its machines, or only which version it is.
func (a *app) planChange(ctx context.Context, ops *client.Client, s *terminal.Spinner, r changeRequest,
	after *api.Cluster) ([]api.Placement, error) {
	if p := after.Spec.FindPool(r.newPool); p != nil {
		return ops.PlanPool(ctx, after, *p, a.newOperationWorkerCheck(s))
	}
	return nil, a.checkOperationWorker(ctx, ops, s, after.Spec.ControlPlaneGroup())
}

// checkOperationWorker refuses a worker that does not know the stored form of clusters, or what this version does with
// them.
func (a *app) checkOperationWorker(ctx context.Context, ops *client.Client, s *terminal.Spinner,
	spec api.GroupSpec) error {
	if !a.cfg.IsExternal() {
		return a.requireWorkerWithPools()
	}
	return ops.CheckWorker(ctx, spec, a.newOperationWorkerCheck(s))
}

// newOperationWorkerCheck judges the worker that answers for the others.
func (a *app) newOperationWorkerCheck(s *terminal.Spinner) func(*operation.WorkerInfo) error {
	return func(w *operation.WorkerInfo) error {
		if a.cfg.IsExternal() {
			s.KeepLine()
			if err := a.checkWorkerCompatibility(a.cfg, w); err != nil {
				return err
			}
		}
		return a.requireWorkerWithPools()
	}
}

// requireWorkerWithPools refuses an older worker, which does not change clusters.
func (a *app) requireWorkerWithPools() error {
	if a.worker == nil || a.worker.level >= api.ObjectLevel {
		return nil
	}
	return usageErrorf("%s is an older version that does not know %s; %s", a.worker.where,
		nameUnknownObjects(a.worker.level), a.worker.upgrade)
}

// nameUnknownObjects says what a worker of a level below api.ObjectLevel does not know.
func nameUnknownObjects(level int) string {
	switch {
	case level >= 7:
		return "clusters with a bastion of their own"
	case level >= 6:
		return "the settings of RKE2, of its network plugin and of its ingress controller"
	case level >= 5:
		return "snapshots, and clusters that are restored or stopped"
	case level >= 4:
		return "changes of machines and nodes by files"
	}
	return "clusters with pools"
}

// confirmChange asks before a change that needs it.
func (a *app) confirmChange(ctx context.Context, s *terminal.Spinner, r changeRequest, before *api.Cluster) error {
	if r.question == nil || r.yes {
		return nil
	}
	question := r.question(before)
	if question == "" {
		return nil
	}
	if !terminal.IsTerminal(a.env.In) {
		return usageErrorf("there is no terminal to answer the question %q, so use --yes; nothing was changed",
			question)
	}
	s.KeepLine()
	return a.requireConfirmation(ctx, question, "changed")
}

// noteWhatDelays says why a recorded change is not carried out at once.
func (a *app) noteWhatDelays(r client.ChangeResult) {
	c := r.Cluster
	name := c.Metadata.Name
	switch {
	case r.Unstarted != nil:
		a.printNote(fmt.Sprintf("the change is recorded and starts by itself, with the next sweep: %v", r.Unstarted))
	case !c.Status.PausedAt.IsZero():
		a.printNote(fmt.Sprintf("repairs of cluster %s are paused, so nothing is changed until you run skyctl resume "+
			"reconcile %[1]s", name))
	case c.Status.Phase == api.PhaseStopped:
		a.printNote(fmt.Sprintf("cluster %s is stopped; the change counts once it is started: skyctl start cluster "+
			"%[1]s",
			name))
	case c.Status.Restore != nil:
		a.printNote(fmt.Sprintf("cluster %s is being restored; the change follows once that has ended", name))
	case c.Status.Phase == api.PhaseInit || c.Status.Phase == api.PhaseProvisioning:
		a.printNote(fmt.Sprintf("cluster %s is still being created; the change follows once that has ended", name))
	}
}

func (a *app) awaitChange(ctx context.Context, ops *client.Client, r changeRequest, changed *api.Cluster) error {
	name := r.cluster
	p := a.startProgress("Changing cluster", changed)
	now, err := ops.AwaitChange(ctx, changed, r.goal(changed), r.timeout.value, showProgress(p))
	switch {
	case err == nil:
		p.ReportSuccess()
		return a.printResult("%s after %s.\n", r.reached(now), render.FormatDuration(p.Elapsed()))
	case exitCode(err) == ExitInterrupted:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf("The operation continues. To see it: skyctl get machines %s, or "+
			"skyctl describe cluster %[1]s", name)}
	case a.wantsJSONErrors():
		p.StopDrawing()
		return err
	}
	p.ReportFailure(err, damageRemedies(err)...)
	if failed := client.AsOperationFailed(err); failed != nil {
		printFailureLog(a.env.Err, failed)
	}
	fmt.Fprintf(a.env.Err, "  For details: skyctl describe cluster %s\n", name)
	return &reportedError{err}
}

// newPoolMissingError says which pools there are.
func newPoolMissingError(c *api.Cluster, pool string) error {
	names := "it has none"
	if len(c.Spec.Pools) > 0 {
		var all []string
		for _, p := range c.Spec.Pools {
			all = append(all, p.Name)
		}
		names = "its pools: " + strings.Join(all, ", ")
	}
	return &store.NotFoundError{Cluster: c.Metadata.Name, What: fmt.Sprintf("pool %s (%s)", pool, names)}
}
