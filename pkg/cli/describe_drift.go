package cli

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

const (
	// maxEventsShown and maxRepairsShown are how many of the latest a description shows.
	maxEventsShown  = 10
	maxRepairsShown = 20
)

// driftLines are drifts, each with what comes next about it below it: messages are long. Since when each is there may
// be known better by the cluster than by who tells of it.
func driftLines(known api.ClusterStatus, drift []api.Drift, now time.Time) []string {
	if len(drift) == 0 {
		return nil
	}
	rows := [][]string{{"MACHINE", "REASON", "FOR", "MESSAGE"}}
	below := []string{""}
	for _, d := range drift {
		since := d.Since
		for _, k := range known.Drift {
			if k.Machine == d.Machine && k.Reason == d.Reason {
				since = k.Since
			}
		}
		lasts := "-"
		if !since.IsZero() {
			lasts = formatDuration(now.Sub(since))
		}
		rows = append(rows, []string{valueOrDash(printable.Line(d.Machine)), printable.Line(string(d.Reason)), lasts,
			valueOrDash(printable.Line(d.Message))})
		below = append(below, labelledLine("next", d.Next))
	}
	return interleaveLines(alignColumns(rows), below)
}

func labelledLine(what, text string) string {
	if text == "" {
		return ""
	}
	return "  " + what + ": " + printable.Line(text)
}

// interleaveLines puts a line below each, where there is one.
func interleaveLines(lines, below []string) []string {
	var all []string
	for i, l := range lines {
		all = append(all, l)
		if below[i] != "" {
			all = append(all, below[i])
		}
	}
	return all
}

func repairLines(repairs []api.Repair) []string {
	if len(repairs) == 0 {
		return nil
	}
	rows := [][]string{{"BEGUN", "ACTION", "MACHINE", "REASON", "TOOK", "RESULT", "MESSAGE"}}
	below := []string{""}
	for _, r := range repairs[max(len(repairs)-maxRepairsShown, 0):] {
		took, result := "-", "not ended"
		if !r.Ended.IsZero() {
			took, result = formatDuration(r.Ended.Sub(r.At)), "done"
		}
		if r.Error != "" {
			result = "failed"
		}
		on := r.Action.Machine
		if on == "" {
			on = r.Action.Node
		}
		rows = append(rows, []string{r.At.UTC().Format(time.RFC3339), printable.Line(string(r.Action.Kind)),
			valueOrDash(printable.Line(on)),
			printable.Line(string(r.Action.Reason)), took, result, valueOrDash(printable.Line(r.Action.Message))})
		below = append(below, labelledLine("failed", r.Error))
	}
	return interleaveLines(alignColumns(rows), below)
}

func eventLines(events []api.Event, now time.Time) []string {
	if len(events) == 0 {
		return nil
	}
	rows := [][]string{{"LAST SEEN", "COUNT", "TYPE", "MACHINE", "REASON", "MESSAGE"}}
	for _, e := range events[max(len(events)-maxEventsShown, 0):] {
		rows = append(rows, []string{formatAgeSince(now, e.Last), fmt.Sprint(e.Count), printable.Line(string(e.Type)),
			valueOrDash(printable.Line(e.Machine)),
			printable.Line(e.Reason), printable.Line(e.Message)})
	}
	return alignColumns(rows)
}

// formatPause says since when a cluster is not repaired, and how that ends; empty where it is.
func formatPause(c *api.Cluster, now time.Time) string {
	if c.Status.PausedAt.IsZero() {
		return ""
	}
	return fmt.Sprintf("paused for %s; skyctl resume reconcile %s ends that",
		formatDuration(now.Sub(c.Status.PausedAt)), c.Metadata.Name)
}

// repairCommandLine is the command that tries to repair a cluster now, where there is something to repair.
func repairCommandLine(c *api.Cluster) []string {
	failed := c.Status.Failure
	lost := failed != nil && failed.Reason == string(api.DriftHeadLost)
	if c.Status.Phase == api.PhaseReady && hasUnwantedDrift(c.Status.Drift) || c.Status.Phase == api.PhaseError &&
		c.Status.WasReady() && !lost {
		return []string{"skyctl reconcile " + c.Metadata.Name + " --wait"}
	}
	return nil
}
