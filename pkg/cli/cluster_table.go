package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newClusterTable shows clusters; wide adds what a person looks up less often.
func newClusterTable(clusters []api.Cluster, wide bool, now time.Time) *table {
	t := &table{head: []string{"NAME", "MANAGER", "LABELS", "RESOURCES", "STATUS", "AGE"}}
	if wide {
		t.head = append(t.head, "CLOUD", "REGION", "NODES", "VERSION", "PRICE/H", "COST", "ENDPOINT")
	}
	for i := range clusters {
		t.addRow(clusterRow(&clusters[i], wide, now)...)
	}
	return t
}

// newWatchTable is a newClusterTable that rows are to follow: its columns have room for what clusters usually come to
// show, so that they stay where they are.
func newWatchTable(clusters []api.Cluster, wide bool, now time.Time) *table {
	t := newClusterTable(clusters, wide, now)
	var widths []int
	for _, usual := range []string{
		"recommendation-train", api.ManagerK8, "team: search", "memory: 1152.25 GB/1536.0 GB", string(api.PhaseReady) +
			" (drifted)", "59m",
		"docker", "ap-southeast-1", "250/250", "v1.35.10+rke2r1", "$1234.56", "$1234.56", "",
	} {
		widths = append(widths, len(usual))
	}
	t.setMinWidths(widths...)
	return t
}

func clusterRow(c *api.Cluster, wide bool, now time.Time) []cell {
	row := []cell{
		textCell(c.Metadata.Name), textCell(c.Spec.Manager), labelLines(c.Metadata.Labels),
		resourceLines(c.Status.Resources), textCell(formatStatus(c)),
		textCell(formatAgeSince(now, c.Metadata.CreatedAt)),
	}
	if !wide {
		return row
	}
	cloud, region, price, spent := c.Spec.Cloud, c.Spec.Region, "-", "-"
	if p := c.Status.Placement; p != nil {
		cloud, region, price, spent = p.Cloud, p.Region, formatDollars(c.Status.CostPerHour(),
			p), formatCostAtPlacement(c, p, now)
	}
	return append(row, textCell(valueOrDash(cloud)), textCell(valueOrDash(region)), textCell(formatNodeCount(c)),
		textCell(valueOrDash(clusterVersion(c))),
		textCell(price), textCell(spent), textCell(valueOrDash(c.Status.Endpoint)))
}

// formatStatus is a cluster's phase, with what a person should know besides.
func formatStatus(c *api.Cluster) string {
	var besides []string
	if st := c.Status; hasUnwantedDrift(st.Drift) && (st.Phase == api.PhaseReady || st.Phase == api.PhaseError) {
		besides = append(besides, "drifted")
	}
	if unknownReason(c) != "" {
		besides = append(besides, "unknown")
	}
	if !c.Status.PausedAt.IsZero() {
		besides = append(besides, "paused")
	}
	if besides == nil {
		return string(c.Status.Phase)
	}
	return fmt.Sprintf("%s (%s)", c.Status.Phase, strings.Join(besides, ", "))
}

// hasUnwantedDrift says whether there is drift that is not somebody's wish.
func hasUnwantedDrift(drift []api.Drift) bool {
	return slices.ContainsFunc(drift, func(d api.Drift) bool { return d.Reason != api.DriftNodeCordoned })
}

// formatNodeCount is how many machines are ready of how many were asked for.
func formatNodeCount(c *api.Cluster) string {
	return fmt.Sprintf("%d/%d", countInState(c, api.MachineReady), c.Spec.NumNodes)
}

func countInState(c *api.Cluster, s api.MachineState) int {
	n := 0
	for _, m := range c.Status.Machines {
		if m.State == s {
			n++
		}
	}
	return n
}

func clusterVersion(c *api.Cluster) string {
	if c.Status.Versions.RKE2 != "" {
		return c.Status.Versions.RKE2
	}
	return c.Status.Versions.Kubernetes
}

// newPlacementTable shows what a dry run found, the first choice first.
func newPlacementTable(placements []api.Placement, numNodes int) *table {
	t := &table{head: []string{"CHOICE", "CLOUD", "REGION", "ZONE", "INSTANCE", "NODES", "CPUS", "MEMORY", "DISK",
		"PRICE/H", "TOTAL/H"}}
	for i, p := range placements {
		disk := "-"
		if p.DiskGiB > 0 {
			disk = formatNumber(p.DiskGiB) + " GB"
		}
		t.addRow(textCell(fmt.Sprint(i+1)), textCell(p.Cloud), textCell(valueOrDash(p.Region)),
			textCell(valueOrDash(p.Zone)), textCell(valueOrDash(p.InstanceType)),
			textCell(fmt.Sprint(numNodes)), textCell(formatNumber(p.CPUs)), textCell(formatNumber(p.MemoryGiB)+" GB"),
			textCell(disk),
			textCell(formatDollars(p.PricePerMachine, &p)), textCell(formatDollars(p.PriceTotal, &p)))
	}
	return t
}
