package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) reconcileCommand() *cobra.Command {
	r := &reconciliation{app: a}
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
		Args:              maybeName,
		ValidArgsFunction: a.completeNames,
	}
	r.output = outputFlag(cmd, asTable, asWide, asJSON, asYAML)
	cmd.Flags().BoolVar(&r.wait, "wait", false, "show the repairs until the cluster is in sync; Ctrl-C leaves the work running")
	cmd.Flags().Var(&r.timeout, "timeout", "how long --wait waits (default: as long as it takes)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), first(args)) }
	return cmd
}

// reconciliation is one reconcile.
type reconciliation struct {
	*app
	wait    bool
	timeout duration
	output  *choice
}

func (r *reconciliation) run(ctx context.Context, cluster string) error {
	switch {
	case r.wait && cluster == "":
		return usagef("--wait waits for one cluster: name it")
	case r.timeout.value > 0 && !r.wait:
		return usagef("--timeout says how long --wait waits: give --wait too")
	}
	ops, err := r.connect(ctx)
	if err != nil {
		return err
	}
	var before *api.Cluster
	if r.wait {
		s, err := ops.Store(ctx)
		if err != nil {
			return err
		}
		if before, err = s.Get(ctx, cluster); err != nil {
			return err
		}
	}
	var found swept
	title := "Looking at every cluster"
	if cluster != "" {
		title = "Looking at cluster " + cluster
	}
	err = r.working(title, r.output.forMachines(), func(s *status) error {
		look := func() (err error) { found, err = sweep(ctx, ops, cluster); return err }
		if r.wait {
			err = ops.RideOut(ctx, s.note, look)
		} else {
			err = look()
		}
		if err != nil {
			return err
		}
		s.pause()
		r.noteDoubt(ctx, ops)
		if r.output.forMachines() {
			return encode(r.env.Out, r.output.value, found.SweepResult)
		}
		_, err := io.WriteString(r.env.Out, found.text(r.env.Now()))
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found.Failed) > 0:
		return errors.New("not everything could be looked at: run it again")
	case r.wait:
		return r.await(ctx, ops, before, found)
	case found.only != "" && found.unseen() > 0:
		return fmt.Errorf("the state of cluster %s is unknown: see above why", cluster)
	case found.unseen() > 0:
		return fmt.Errorf("the state of %s is unknown: see above why", count(found.unseen(), "cluster"))
	}
	return nil
}

// sweep looks at a cluster, or at all; then it reads them, for what the sweep has written about them.
func sweep(ctx context.Context, ops *operations.Client, cluster string) (swept, error) {
	found := swept{only: cluster, clusters: map[string]api.Cluster{}}
	var err error
	if found.SweepResult, err = ops.Sweep(ctx, api.SweepInput{Cluster: cluster, Again: cluster != ""}); err != nil {
		return found, err
	}
	if found.stopped, err = ops.Paused(ctx); err != nil {
		return found, err
	}
	s, err := ops.Store(ctx)
	if err != nil {
		return found, err
	}
	all, err := s.List(ctx)
	if err != nil && len(store.CorruptClusters(err)) == 0 {
		return found, err
	}
	if found.corrupt = store.CorruptClusters(err); cluster != "" {
		found.corrupt = nil
	}
	for _, c := range all {
		if cluster == "" || c.Metadata.Name == cluster {
			found.clusters[c.Metadata.Name] = c
		}
	}
	return found, nil
}

// await follows the one cluster that was looked at.
func (r *reconciliation) await(ctx context.Context, ops *operations.Client, before *api.Cluster, found swept) error {
	name := found.only
	var differs api.Drifted
	switch c, ok := found.clusters[name]; {
	case len(found.Drifted) > 0:
		differs = found.Drifted[0]
	case !ok:
		return &operations.GoneError{Name: name}
	case unknown(&c) != "":
		return &operations.DriftError{Cluster: name, Reason: unknown(&c)}
	case c.Status.Phase == api.PhaseReady:
		return nil
	default:
		differs = api.Drifted{Cluster: name, Phase: c.Status.Phase}
	}
	began := r.env.Now()
	p := r.startProgress("Repairing cluster", before)
	err := ops.AwaitInSync(ctx, before, differs, r.timeout.value, p.show)
	switch {
	case err == nil:
		p.succeed()
		if r.output.forMachines() {
			return nil
		}
		what := "in sync"
		if differs.Phase == api.PhaseDeleting {
			what = "gone"
		}
		_, err = fmt.Fprintf(r.env.Out, "Cluster %s is %s after %s.\n", name, what, span(r.env.Now().Sub(began)))
		return err
	case exitCode(err) == ExitInterrupted:
		p.stop()
		return &interruptedError{hint: fmt.Sprintf("The work goes on. Look again with: skyctl get events %s -w, or skyctl describe cluster %s", name, name)}
	}
	p.fail(err)
	var failed *operations.FailedError
	if errors.As(err, &failed) {
		writeFailure(r.env.Err, failed)
	}
	fmt.Fprintf(r.env.Err, "  Look closer with: skyctl describe cluster %s\n", name)
	return &shownError{err}
}

func (a *app) pauseCommand() *cobra.Command {
	return group("pause", "Leave clusters as they are for now, for maintenance", "Pauses what you name: see skyctl pause reconcile --help.",
		"  skyctl pause reconcile dev", a.pausing(pauseWords))
}

func (a *app) resumeCommand() *cobra.Command {
	return group("resume", "End what pause began", "Resumes what you name: see skyctl resume reconcile --help.",
		"  skyctl resume reconcile dev", a.pausing(resumeWords))
}

// pauseTexts are the words in which pause and resume differ.
type pauseTexts struct {
	short, long, example string
	do                   func(*operations.Client, context.Context, string) (bool, error)
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
	do:       (*operations.Client).Pause,
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
	do:       (*operations.Client).Resume,
	one:      "Cluster %[1]s is repaired again. The next sweep looks at it; skyctl reconcile %[1]s does so now.\n",
	oneAgain: "Cluster %[1]s was not paused.\n",
	all:      "The sweeps go on. Clusters that were paused by name stay paused.\n",
	allAgain: "The sweeps were not paused.\n",
	busy:     "A repair is under way: skyctl get events %s -w shows it.\n",
}

func (a *app) pausing(w pauseTexts) *cobra.Command {
	return &cobra.Command{
		Use: "reconcile [CLUSTER]", Short: w.short, Long: w.long, Example: w.example,
		Args: maybeName, ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			ops, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			name := first(args)
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
			if busy, err := ops.Repairing(cmd.Context(), name); err != nil || !busy {
				return nil // it is done all the same
			}
			_, err = fmt.Fprintf(a.env.Out, w.busy, name)
			return err
		},
	}
}
