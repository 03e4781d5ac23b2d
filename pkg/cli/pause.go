package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/client"
)

func (a *app) newPauseCommand() *cobra.Command {
	return newCommandGroup("pause", "Pause repairs, for maintenance",
		"Pauses repairs: see skyctl pause reconcile --help.",
		"  skyctl pause reconcile dev", a.newReconcileSwitchCommand(pauseWords))
}

func (a *app) newResumeCommand() *cobra.Command {
	return newCommandGroup("resume", "Resume repairs",
		"Resumes repairs: see skyctl resume reconcile --help.",
		"  skyctl resume reconcile dev", a.newReconcileSwitchCommand(resumeWords))
}

// pauseTexts are the texts in which pause and resume differ.
type pauseTexts struct {
	short, long, example string
	do                   func(*client.Client, context.Context, string) (bool, error)
	// one and all are printed for one cluster and for all; oneAgain and allAgain if nothing changed.
	one, oneAgain, all, allAgain string
	// busy is printed with what the cluster's operation does, if one is running.
	busy string
}

var pauseWords = pauseTexts{
	short: "Stop repairs of a cluster, or of all",
	long: `Stops repairs of a cluster until you run skyctl resume reconcile. Sweeps still check it, so skyctl
get clusters shows drift. With -l it does so for each cluster that matches, with --all for each that
exists now. Without any of them it pauses the scheduled sweeps: no cluster is checked and no orphan is
terminated until you resume them. A repair that is running finishes first, but starts no further
action. Creates and deletes are not affected.`,
	example: "  skyctl pause reconcile dev\n  skyctl pause reconcile -l team=vision\n" +
		"  skyctl pause reconcile --all\n  skyctl pause reconcile",
	do:       (*client.Client).PauseReconcile,
	one:      "Repairs of cluster %[1]s are paused. To resume them: skyctl resume reconcile %[1]s\n",
	oneAgain: "Repairs of cluster %[1]s were already paused. To resume them: skyctl resume reconcile %[1]s\n",
	all:      "Sweeps are paused: no cluster is checked or repaired. To resume them: skyctl resume reconcile\n",
	allAgain: "Sweeps were already paused. To resume them: skyctl resume reconcile\n",
	busy:     "Still running, and finishes first: %s. To see it: skyctl get events %s -w\n",
}

var resumeWords = pauseTexts{
	short: "Resume repairs of a cluster, or of all",
	long: `Resumes repairs of a cluster after skyctl pause reconcile, or with -l of each that matches, with --all
of each that exists. Without any of them it resumes the scheduled sweeps; clusters that you paused one
by one stay paused.`,
	example: "  skyctl resume reconcile dev\n  skyctl resume reconcile -l team=vision\n" +
		"  skyctl resume reconcile --all\n  skyctl resume reconcile",
	do: (*client.Client).ResumeReconcile,
	one: "Repairs of cluster %[1]s are resumed. The next sweep checks it. To check it now: skyctl reconcile " +
		"%[1]s\n",
	oneAgain: "Repairs of cluster %[1]s were not paused.\n",
	all:      "Sweeps are resumed. Clusters that you paused by name stay paused.\n",
	allAgain: "Sweeps were not paused.\n",
	busy:     "Running: %s. To see it: skyctl get events %s -w\n",
}

func (a *app) newReconcileSwitchCommand(w pauseTexts) *cobra.Command {
	cmd := &cobra.Command{
		Use: "reconcile [CLUSTER | -l SELECTOR | --all]", Short: w.short, Long: w.long, Example: w.example,
		Args: allowClusterName, ValidArgsFunction: a.completeClusterNames,
	}
	selector, output := a.addSelectionFlags(cmd, "clusters"), addChangedOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := selector.refuseWithNames(args); err != nil {
			return err
		}
		if !selector.isSet() && len(args) == 0 && output.isStructured() {
			return usageErrorf("-o %s prints clusters, and needs the name of one, -l or --all", output.form())
		}
		return a.switchSelected(cmd.Context(), w, selector, firstOrEmpty(args), output)
	}
	return cmd
}

// switchSelected pauses or resumes repairs of the selected clusters, of the named one, or the scheduled sweeps if it is
// empty. It writes the clusters if -o asks for them.
func (a *app) switchSelected(ctx context.Context, w pauseTexts, selector *selectorValue, name string,
	output *outputFlags) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	if !selector.isSet() && name == "" {
		return a.switchReconcile(ctx, ops, w, "")
	}
	switched := changedClusters{isList: selector.isSet()}
	change := func(ctx context.Context, name string) error {
		if err := a.switchReconcile(ctx, ops, w, name); err != nil || !output.isStructured() {
			return err
		}
		s, err := ops.ConnectStore(ctx)
		if err != nil {
			return err
		}
		c, err := s.ReadCluster(ctx, name)
		if err == nil {
			switched.clusters = append(switched.clusters, c)
		}
		return err
	}
	if selector.isSet() {
		err = a.runForSelected(ctx, selector, change)
	} else {
		err = change(ctx, name)
	}
	return errors.Join(err, a.writeChanged(ctx, ops, output, switched))
}

// switchReconcile pauses or resumes repairs of a cluster or, if name is empty, the scheduled sweeps.
func (a *app) switchReconcile(ctx context.Context, ops *client.Client, w pauseTexts, name string) error {
	changed, err := w.do(ops, ctx, name)
	if err != nil {
		return err
	}
	text := map[bool]string{true: w.all, false: w.allAgain}[changed]
	if name != "" {
		text = fmt.Sprintf(map[bool]string{true: w.one, false: w.oneAgain}[changed], name)
	}
	if err := a.printResult("%s", text); err != nil || name == "" || a.hasStructuredOutput() {
		return err
	}
	doing, err := ops.DescribeRunningRepair(ctx, name)
	if err != nil || doing == "" {
		return nil // the pause itself succeeded
	}
	return a.printResult(w.busy, doing, name)
}
