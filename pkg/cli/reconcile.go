package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
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
	r.output = addOutputFlag(cmd, asTable, asWide, asJSON, asYAML)
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
	var found sweepReport
	title := "Looking at every cluster"
	if cluster != "" {
		title = "Looking at cluster " + cluster
	}
	err = r.runWithSpinner(title, r.output.isStructured(), func(s *spinner) error {
		look := func() (err error) { found, err = sweepAndRead(ctx, ops, cluster); return err }
		if r.wait {
			err = ops.RetryWhileUnreachable(ctx, s.printNote, look)
		} else {
			err = look()
		}
		if err != nil {
			return err
		}
		s.keepLine()
		r.warnHomeDoubt(ctx, ops)
		if r.output.isStructured() {
			return writeStructured(r.env.Out, r.output.form(), found.SweepResult)
		}
		_, err := io.WriteString(r.env.Out, found.renderPage(r.env.Now()))
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found.Failed) > 0:
		return errors.New("not everything could be looked at: run it again")
	case r.wait:
		return r.awaitRepairs(ctx, ops, before, found)
	case found.only != "" && found.countUnseen() > 0:
		return fmt.Errorf("the state of cluster %s is unknown: see above why", cluster)
	case found.countUnseen() > 0:
		return fmt.Errorf("the state of %s is unknown: see above why", formatCount(found.countUnseen(), "cluster"))
	}
	return nil
}

// sweepAndRead looks at a cluster, or at all; then it reads them, for what the sweep has written about them.
func sweepAndRead(ctx context.Context, ops *client.Client, cluster string) (sweepReport, error) {
	found := sweepReport{only: cluster, clusters: map[string]api.Cluster{}}
	var err error
	if found.SweepResult, err = ops.SweepClusters(ctx,
		operation.SweepInput{Cluster: cluster, Again: cluster != ""}); err != nil {
		return found, err
	}
	if found.stopped, err = ops.IsSchedulePaused(ctx); err != nil {
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
	if found.corrupt = store.CorruptClusterNames(err); cluster != "" {
		found.corrupt = nil
	}
	for _, c := range all {
		if cluster == "" || c.Metadata.Name == cluster {
			found.clusters[c.Metadata.Name] = c
		}
	}
	return found, nil
}

// awaitRepairs follows the one cluster that was looked at.
func (r *reconcileOptions) awaitRepairs(ctx context.Context, ops *client.Client, before *api.Cluster,
	found sweepReport) error {
	name := found.only
	var differs operation.DriftedCluster
	switch c, ok := found.clusters[name]; {
	case len(found.Drifted) > 0:
		differs = found.Drifted[0]
	case !ok:
		return &client.ClusterDeletedError{Name: name}
	case unknownReason(&c) != "":
		return &client.DriftError{Cluster: name, Reason: unknownReason(&c)}
	case c.Status.Phase == api.PhaseReady:
		return nil
	default:
		differs = operation.DriftedCluster{Cluster: name, Phase: c.Status.Phase}
	}
	began := r.env.Now()
	p := startProgress(r.env.Err, r.env.Now, "Repairing cluster", before)
	err := ops.AwaitInSync(ctx, before, differs, r.timeout.value, showProgress(p))
	switch {
	case err == nil:
		p.reportSuccess()
		if r.output.isStructured() {
			return nil
		}
		what := "in sync"
		if differs.Phase == api.PhaseDeleting {
			what = "gone"
		}
		_, err = fmt.Fprintf(r.env.Out, "Cluster %s is %s after %s.\n", name, what,
			formatDuration(r.env.Now().Sub(began)))
		return err
	case exitCode(err) == ExitInterrupted:
		p.stopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The work goes on. Look again with: skyctl get events %s -w, or skyctl describe cluster %s", name, name)}
	}
	p.reportFailure(err, damageRemedies(err)...)
	var failed *client.OperationFailedError
	if errors.As(err, &failed) {
		printFailureLog(r.env.Err, failed)
	}
	fmt.Fprintf(r.env.Err, "  Look closer with: skyctl describe cluster %s\n", name)
	return &reportedError{err}
}

func (a *app) newPauseCommand() *cobra.Command {
	return newCommandGroup("pause", "Leave clusters as they are for now, for maintenance",
		"Pauses what you name: see skyctl pause reconcile --help.",
		"  skyctl pause reconcile dev", a.newReconcileSwitchCommand(pauseWords))
}

func (a *app) newResumeCommand() *cobra.Command {
	return newCommandGroup("resume", "End what pause began",
		"Resumes what you name: see skyctl resume reconcile --help.",
		"  skyctl resume reconcile dev", a.newReconcileSwitchCommand(resumeWords))
}

// pauseTexts are the words in which pause and resume differ.
type pauseTexts struct {
	short, long, example string
	do                   func(*client.Client, context.Context, string) (bool, error)
	// one and all are what was done, to a cluster and to all; again is what is said where that was so already.
	one, oneAgain, all, allAgain string
	// busy is said where a repair of the cluster is under way.
	busy string
}

var pauseWords = pauseTexts{
	short: "Keep a cluster, or all of them, from being repaired",
	long: `Keeps anything of a cluster from being repaired until skyctl resume reconcile; it is still looked
at, so that skyctl get clusters shows drift. Without a name the sweeps of the schedule are paused:
nothing is looked at, and no machine that belongs to no cluster is terminated, until they are
resumed. A repair that is under way ends first; what it finds then is left alone. Creates and
deletes are not held up.`,
	example:  "  skyctl pause reconcile dev\n  skyctl pause reconcile",
	do:       (*client.Client).PauseReconcile,
	one:      "Cluster %[1]s is not repaired until you run: skyctl resume reconcile %[1]s\n",
	oneAgain: "Cluster %[1]s was paused already; it is repaired again after: skyctl resume reconcile %[1]s\n",
	all:      "No cluster is looked at or repaired until you run: skyctl resume reconcile\n",
	allAgain: "The sweeps were paused already; they go on after: skyctl resume reconcile\n",
	busy:     "A repair is under way and ends first: skyctl get events %s -w shows it.\n",
}

var resumeWords = pauseTexts{
	short: "Let a cluster, or all of them, be repaired again",
	long: `Lets a cluster be repaired again after skyctl pause reconcile. Without a name the sweeps of the
schedule go on; clusters that were paused by name stay paused.`,
	example:  "  skyctl resume reconcile dev\n  skyctl resume reconcile",
	do:       (*client.Client).ResumeReconcile,
	one:      "Cluster %[1]s is repaired again. The next sweep looks at it; skyctl reconcile %[1]s does so now.\n",
	oneAgain: "Cluster %[1]s was not paused.\n",
	all:      "The sweeps go on. Clusters that were paused by name stay paused.\n",
	allAgain: "The sweeps were not paused.\n",
	busy:     "A repair is under way: skyctl get events %s -w shows it.\n",
}

func (a *app) newReconcileSwitchCommand(w pauseTexts) *cobra.Command {
	return &cobra.Command{
		Use: "reconcile [CLUSTER]", Short: w.short, Long: w.long, Example: w.example,
		Args: allowClusterName, ValidArgsFunction: a.completeClusterNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			ops, err := a.connectClient(cmd.Context())
			if err != nil {
				return err
			}
			name := firstOrEmpty(args)
			changed, err := w.do(ops, cmd.Context(), name)
			if err != nil {
				return err
			}
			text := map[bool]string{true: w.all, false: w.allAgain}[changed]
			if name != "" {
				text = fmt.Sprintf(map[bool]string{true: w.one, false: w.oneAgain}[changed], name)
			}
			if _, err := io.WriteString(a.env.Out, text); err != nil || name == "" {
				return err
			}
			if busy, err := ops.IsRepairing(cmd.Context(), name); err != nil || !busy {
				return nil // it is done all the same
			}
			_, err = fmt.Fprintf(a.env.Out, w.busy, name)
			return err
		},
	}
}
