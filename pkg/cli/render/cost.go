package render

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// FormatTotalCost is the cost of a cluster so far; empty if it has cost nothing.
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

// SummarizeCluster says in which phase a cluster is, how many machines it has, their price and what they have cost.
func SummarizeCluster(c *api.Cluster, now time.Time) string {
	parts := []string{string(cmp.Or(c.Status.Phase, PhaseDamaged)), FormatCount(len(ExistingMachines(c)), "machine")}
	if price := c.Status.CostPerHour(); price > 0 {
		parts = append(parts, FormatDollars(price, &api.Placement{})+"/h")
	}
	if sum := FormatTotalCost(c, now); sum != "" {
		parts = append(parts, sum+" so far")
	}
	return strings.Join(parts, ", ")
}

// formatCostAtPlacement is the cost of a cluster so far. A ~ marks an estimate: the cloud did not report launch and end
// times.
func formatCostAtPlacement(c *api.Cluster, p *api.Placement, now time.Time) string {
	total := c.Status.CostSoFar(now)
	if total > 0 && c.Status.IsCostEstimated() {
		return "~" + FormatDollars(total, p)
	}
	return FormatDollars(total, p)
}

// powerOffLines list the machines with a power-off timer.
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
		lines = append(lines, fmt.Sprintf("%s at %s (%s)", m.Name, FormatMoment(now, m.PowerOffAt), when))
	}
	return lines
}
