package cli

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// spent is what a cluster has cost so far, for a person; empty where it has cost nothing.
func spent(c *api.Cluster, now time.Time) string {
	if c == nil {
		return ""
	}
	total := c.Status.CostSoFar(now)
	if total <= 0 {
		return ""
	}
	return dollars(total, &api.Placement{})
}

// powerOffLines are the machines that power themselves off unless their cluster becomes READY before.
func powerOffLines(c *api.Cluster, now time.Time) []string {
	var lines []string
	for _, m := range c.Status.Machines {
		if m.PowerOffAt.IsZero() || !m.State.MayExist() {
			continue
		}
		when := "in " + span(m.PowerOffAt.Sub(now))
		if !m.PowerOffAt.After(now) {
			when = span(now.Sub(m.PowerOffAt)) + " ago"
		}
		lines = append(lines, fmt.Sprintf("%s at %s (%s)", m.Name, m.PowerOffAt.UTC().Format(time.RFC3339), when))
	}
	return lines
}
