package render

import (
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// hasUnwantedDrift reports whether there is drift besides cordoned nodes, which people cordon on purpose.
func hasUnwantedDrift(drift []api.Drift) bool {
	return slices.ContainsFunc(drift, func(d api.Drift) bool {
		return d.Reason != api.DriftNodeCordoned && !d.Reason.IsChange()
	})
}

const (
	// maxEventsShown and maxRepairsShown limit how many of the latest describe shows.
	maxEventsShown  = 10
	maxRepairsShown = 20
)

// driftLines list drift, each with its next step on a line below, because messages are long. If the cluster's record
// has the same drift, its time is used.
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
			lasts = FormatDuration(now.Sub(since))
		}
		rows = append(rows, []string{ValueOrDash(printable.Line(d.Machine)), printable.Line(string(d.Reason)), lasts,
			ValueOrDash(printable.Line(d.Message))})
		below = append(below, labelledLine("next", d.Next))
	}
	return interleaveLines(AlignColumns(rows), below)
}

func repairLines(repairs []api.Repair, now time.Time) []string {
	if len(repairs) == 0 {
		return nil
	}
	rows := [][]string{{"STARTED", "ACTION", "MACHINE", "REASON", "TOOK", "RESULT", "MESSAGE"}}
	below := []string{""}
	for _, r := range repairs[max(len(repairs)-maxRepairsShown, 0):] {
		took, result := "-", "running"
		if !r.Ended.IsZero() {
			took, result = FormatDuration(r.Ended.Sub(r.At)), "done"
		}
		if r.Error != "" {
			result = "failed"
		}
		target := r.Action.Machine
		if target == "" {
			target = r.Action.Node
		}
		rows = append(rows, []string{FormatMoment(now, r.At), printable.Line(string(r.Action.Kind)),
			ValueOrDash(printable.Line(target)),
			printable.Line(string(r.Action.Reason)), took, result, ValueOrDash(printable.Line(r.Action.Message))})
		below = append(below, labelledLine("failed", r.Error))
	}
	return interleaveLines(AlignColumns(rows), below)
}

func eventLines(events []api.Event, now time.Time) []string {
	if len(events) == 0 {
		return nil
	}
	rows := [][]string{{"LAST SEEN", "COUNT", "TYPE", "MACHINE", "REASON", "MESSAGE"}}
	for _, e := range events[max(len(events)-maxEventsShown, 0):] {
		rows = append(rows, []string{formatAgeSince(now, e.Last), fmt.Sprint(e.Count), printable.Line(string(e.Type)),
			ValueOrDash(printable.Line(e.Machine)),
			printable.Line(e.Reason), printable.Line(e.Message)})
	}
	return AlignColumns(rows)
}

// formatPause says how long repairs have been paused, and how to resume them; empty if they are not.
func formatPause(c *api.Cluster, now time.Time) string {
	if c.Status.PausedAt.IsZero() {
		return ""
	}
	return fmt.Sprintf("paused for %s; to resume: skyctl resume reconcile %s",
		FormatDuration(now.Sub(c.Status.PausedAt)), c.Metadata.Name)
}

// repairCommandLine returns the command that repairs a cluster now, if it has something to repair.
func repairCommandLine(c *api.Cluster) []string {
	failed := c.Status.Failure
	lost := failed != nil && failed.Reason == string(api.DriftHeadLost)
	if c.Status.Phase == api.PhaseReady && hasUnwantedDrift(c.Status.Drift) || c.Status.Phase == api.PhaseError &&
		c.Status.WasReady() && !lost {
		return []string{"skyctl reconcile " + c.Metadata.Name + " --wait"}
	}
	return nil
}
