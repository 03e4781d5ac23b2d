package render

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// FormatTotalCost is what a cluster has cost so far, for a person; empty where it has cost nothing.
func FormatTotalCost(c *api.Cluster, now time.Time) string {
	if c == nil {
		return ""
	}
	total := c.Status.CostSoFar(now)
	if total <= 0 {
		return ""
	}
	return formatCostAtPlacement(c, &api.Placement{}, now)
}

// formatCostAtPlacement is what a cluster has cost at a placement so far, with a mark where that counts with times that
// are not the cloud's own.
func formatCostAtPlacement(c *api.Cluster, p *api.Placement, now time.Time) string {
	total := c.Status.CostSoFar(now)
	if total > 0 && c.Status.IsCostEstimated() {
		return "~" + FormatDollars(total, p)
	}
	return FormatDollars(total, p)
}

// powerOffLines are the machines that power themselves off unless their cluster becomes READY before.
func powerOffLines(c *api.Cluster, now time.Time) []string {
	var lines []string
	for _, m := range c.Status.Machines {
		if m.PowerOffAt.IsZero() || !m.State.MayExist() {
			continue
		}
		when := "in " + FormatDuration(m.PowerOffAt.Sub(now))
		if !m.PowerOffAt.After(now) {
			when = FormatDuration(now.Sub(m.PowerOffAt)) + " ago"
		}
		lines = append(lines, fmt.Sprintf("%s at %s (%s)", m.Name, m.PowerOffAt.UTC().Format(time.RFC3339), when))
	}
	return lines
}
