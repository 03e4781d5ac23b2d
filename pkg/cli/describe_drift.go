package cli

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

const (
	// eventsDescribed and repairsDescribed are how many of the latest a description shows.
	eventsDescribed  = 10
	repairsDescribed = 20
)

// driftRows are drifts, each with what comes next about it below it: messages are long. Since when each is there may be known better by the cluster than by who tells of it.
func driftRows(known api.ClusterStatus, drift []api.Drift, now time.Time) []string {
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
			lasts = span(now.Sub(since))
		}
		rows = append(rows, []string{orDash(clean(d.Machine)), clean(string(d.Reason)), lasts, orDash(clean(d.Message))})
		below = append(below, labelled("next", d.Next))
	}
	return interleaved(columns(rows), below)
}

func labelled(what, text string) string {
	if text == "" {
		return ""
	}
	return "  " + what + ": " + clean(text)
}

// interleaved puts a line below each, where there is one.
func interleaved(lines, below []string) []string {
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
	for _, r := range repairs[max(len(repairs)-repairsDescribed, 0):] {
		took, result := "-", "not ended"
		if !r.Ended.IsZero() {
			took, result = span(r.Ended.Sub(r.At)), "done"
		}
		if r.Error != "" {
			result = "failed"
		}
		on := r.Action.Machine
		if on == "" {
			on = r.Action.Node
		}
		rows = append(rows, []string{r.At.UTC().Format(time.RFC3339), clean(string(r.Action.Kind)), orDash(clean(on)),
			clean(string(r.Action.Reason)), took, result, orDash(clean(r.Action.Message))})
		below = append(below, labelled("failed", r.Error))
	}
	return interleaved(columns(rows), below)
}

func eventLines(events []api.Event, now time.Time) []string {
	if len(events) == 0 {
		return nil
	}
	rows := [][]string{{"LAST SEEN", "COUNT", "TYPE", "MACHINE", "REASON", "MESSAGE"}}
	for _, e := range events[max(len(events)-eventsDescribed, 0):] {
		rows = append(rows, []string{ageSince(now, e.Last), fmt.Sprint(e.Count), clean(string(e.Type)), orDash(clean(e.Machine)),
			clean(e.Reason), clean(e.Message)})
	}
	return columns(rows)
}

// pausedFor says since when a cluster is not repaired, and how that ends; empty where it is.
func pausedFor(c *api.Cluster, now time.Time) string {
	if c.Status.PausedAt.IsZero() {
		return ""
	}
	return fmt.Sprintf("paused for %s; skyctl resume reconcile %s ends that", span(now.Sub(c.Status.PausedAt)), c.Metadata.Name)
}

// mend is the command that tries to repair a cluster now, where there is something to repair.
func mend(c *api.Cluster) []string {
	failed := c.Status.Failure
	lost := failed != nil && failed.Reason == string(api.DriftHeadLost)
	if c.Status.Phase == api.PhaseReady && differs(c.Status.Drift) || c.Status.Phase == api.PhaseError && c.Status.WasReady() && !lost {
		return []string{"skyctl reconcile " + c.Metadata.Name + " --wait"}
	}
	return nil
}
