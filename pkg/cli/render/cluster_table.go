package render

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// NewClusterTable shows clusters; wide adds what a person looks up less often.
func NewClusterTable(clusters []api.Cluster, wide bool, now time.Time) *Table {
	t := &Table{head: []string{"NAME", "MANAGER", "LABELS", "RESOURCES", "STATUS", "AGE"}}
	if wide {
		t.head = append(t.head, "CLOUD", "REGION", "NODES", "VERSION", "PRICE/H", "COST", "ENDPOINT")
	}
	for i := range clusters {
		t.addRow(ClusterRow(&clusters[i], wide, now)...)
	}
	return t
}

// NewWatchTable is a newClusterTable that rows are to follow: its columns have room for what clusters usually come to
// show, so that they stay where they are.
func NewWatchTable(clusters []api.Cluster, wide bool, now time.Time) *Table {
	t := NewClusterTable(clusters, wide, now)
	var widths []int
	for _, usual := range []string{
		"recommendation-train", api.ManagerK8, "team: search", "memory: 1152.25 GB/1536.0 GB", string(api.PhaseReady) +
			" (drifted)", "59m",
		"docker", "ap-southeast-1", "250/250", "v1.35.10+rke2r1", "$1234.56", "$1234.56", "",
	} {
		widths = append(widths, len(usual))
	}
	t.SetMinWidths(widths...)
	return t
}

// ClusterRow is the row of a cluster in NewClusterTable.
func ClusterRow(c *api.Cluster, wide bool, now time.Time) []Cell {
	row := []Cell{
		textCell(c.Metadata.Name), textCell(c.Spec.Manager), labelLines(c.Metadata.Labels),
		resourceLines(c.Status.Resources), textCell(formatStatus(c)),
		textCell(formatAgeSince(now, c.Metadata.CreatedAt)),
	}
	if !wide {
		return row
	}
	cloud, region, price, spent := c.Spec.Cloud, c.Spec.Region, "-", "-"
	if p := c.Status.Placement; p != nil {
		cloud, region, price, spent = p.Cloud, p.Region, FormatDollars(c.Status.CostPerHour(),
			p), formatCostAtPlacement(c, p, now)
	}
	return append(row, textCell(ValueOrDash(cloud)), textCell(ValueOrDash(region)), textCell(formatNodeCount(c)),
		textCell(ValueOrDash(clusterVersion(c))),
		textCell(price), textCell(spent), textCell(ValueOrDash(c.Status.Endpoint)))
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

// RowSignature is a row without what changes by itself as time goes by.
func RowSignature(c *api.Cluster, wide bool) string {
	still := *c
	still.Status.Machines = nil
	row := ClusterRow(&still, wide, c.Metadata.CreatedAt)
	return fmt.Sprint(row, nodeCountIfWide(wide, c))
}

func nodeCountIfWide(wide bool, c *api.Cluster) string {
	if wide {
		return formatNodeCount(c)
	}
	return ""
}
