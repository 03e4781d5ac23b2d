package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/client"
)

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
