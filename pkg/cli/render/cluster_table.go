package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// statusHeading is the heading of the column with the phases of clusters.
const statusHeading = "STATUS"

// NewClusterTable lists clusters. wide has one line for each, and adds columns that are needed less often.
func NewClusterTable(clusters []api.Cluster, wide bool, now time.Time) *Table {
	return newClusterTable(clusters, wide, now, nil)
}

func newClusterTable(clusters []api.Cluster, wide bool, now time.Time, notes func(*api.Cluster) []string) *Table {
	if notes == nil {
		notes = func(*api.Cluster) []string { return nil }
	}
	t := &Table{head: []string{"NAME", "MANAGER", "LABELS", "RESOURCES", statusHeading, "AGE"}}
	if wide {
		t.head = append(t.head, "CLOUD", "REGION", "NODES", "VERSION", "PRICE/H", "COST", "ENDPOINT")
	}
	for i := range clusters {
		t.addRow(ClusterRow(&clusters[i], wide, now, notes(&clusters[i])...)...)
	}
	return t
}

// NewWatchTable is NewClusterTable for a watch: its columns fit usual values, so rows that follow stay aligned. notes
// returns what a row adds to the status of its cluster; nil adds nothing.
func NewWatchTable(clusters []api.Cluster, wide bool, now time.Time, notes func(*api.Cluster) []string) *Table {
	t := newClusterTable(clusters, wide, now, notes)
	labels, resources := "team: search", "memory: 1152.25 GB/1536.0 GB"
	if wide {
		labels = "app: ranking, " + labels
		resources = "cpus: 190.5/192.0, " + resources + ", disk: 1152.25 GB/1536.0 GB, A100: 15.0/16.0"
	}
	var widths []int
	for _, usual := range []string{
		"recommendation-train", api.ManagerK8, labels, resources, string(api.PhaseReady) + " (drifted)", "59m",
		"docker", "ap-southeast-1", "250/250", "v1.35.10+rke2r1", "$1234.56", "$1234.56", "",
	} {
		widths = append(widths, len(usual))
	}
	t.SetMinWidths(widths...)
	return t
}

// ClusterRow is the row of a cluster in NewClusterTable, with notes added to its status.
func ClusterRow(c *api.Cluster, wide bool, now time.Time, notes ...string) []Cell {
	row := []Cell{
		textCell(c.Metadata.Name), textCell(c.Spec.Manager), labelLines(c.Metadata.Labels),
		resourceLines(c.Status.Resources, seedUnit), textCell(formatStatus(c, notes...)),
		textCell(formatAgeSince(now, c.Metadata.CreatedAt)),
	}
	if !wide {
		return row
	}
	for i := range row {
		row[i] = Cell{strings.Join(row[i], ", ")}
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

// formatNodeCount is ready over requested machines: 2/3.
func formatNodeCount(c *api.Cluster) string {
	return fmt.Sprintf("%d/%d", countReady(c), c.Spec.MachineCount())
}

func clusterVersion(c *api.Cluster) string {
	if c.Status.Versions.RKE2 != "" {
		return c.Status.Versions.RKE2
	}
	return c.Status.Versions.Kubernetes
}

// RowSignature is a row without the values that change with time only. Of a create that runs, it changes with every
// tenth of the way.
func RowSignature(c *api.Cluster, wide bool) string {
	still := *c
	still.Status.Machines = nil
	row := ClusterRow(&still, wide, c.Metadata.CreatedAt)
	percent, _ := CreatePercent(c)
	return fmt.Sprint(row, nodeCountIfWide(wide, c), percent/10)
}

func nodeCountIfWide(wide bool, c *api.Cluster) string {
	if wide {
		return formatNodeCount(c)
	}
	return ""
}
