package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// clusterTable shows clusters; wide adds what a person looks up less often.
func clusterTable(clusters []api.Cluster, wide bool, now time.Time) *table {
	t := &table{head: []string{"NAME", "MANAGER", "LABELS", "RESOURCES", "STATUS", "AGE"}}
	if wide {
		t.head = append(t.head, "CLOUD", "REGION", "NODES", "VERSION", "PRICE/H", "COST", "ENDPOINT")
	}
	for i := range clusters {
		t.add(clusterRow(&clusters[i], wide, now)...)
	}
	return t
}

// watchedTable is a clusterTable that rows are to follow: its columns have room for what clusters usually come to show, so
// that they stay where they are.
func watchedTable(clusters []api.Cluster, wide bool, now time.Time) *table {
	t := clusterTable(clusters, wide, now)
	for i, usual := range []string{
		"recommendation-train", api.ManagerK8, "team: search", "memory: 1152.25 GB/1536.0 GB", string(api.PhaseReady) + " (drifted)", "59m",
		"docker", "ap-southeast-1", "250/250", "v1.35.10+rke2r1", "$1234.56", "$1234.56", "",
	}[:len(t.head)] {
		t.least = append(t.least, max(len(usual), len(t.head[i])+2))
	}
	return t
}

func clusterRow(c *api.Cluster, wide bool, now time.Time) []cell {
	row := []cell{
		line(c.Metadata.Name), line(c.Spec.Manager), labelLines(c.Metadata.Labels),
		resourceLines(c.Status.Resources), line(standing(c)), line(ageSince(now, c.Metadata.CreatedAt)),
	}
	if !wide {
		return row
	}
	cloud, region, price, spent := c.Spec.Cloud, c.Spec.Region, "-", "-"
	if p := c.Status.Placement; p != nil {
		cloud, region, price, spent = p.Cloud, p.Region, dollars(c.Status.CostPerHour(), p), costSoFar(c, p, now)
	}
	return append(row, line(orDash(cloud)), line(orDash(region)), line(nodes(c)), line(orDash(version(c))),
		line(price), line(spent), line(orDash(c.Status.Endpoint)))
}

// standing is a cluster's phase, with what a person should know besides.
func standing(c *api.Cluster) string {
	var besides []string
	if st := c.Status; differs(st.Drift) && (st.Phase == api.PhaseReady || st.Phase == api.PhaseError) {
		besides = append(besides, "drifted")
	}
	if unknown(c) != "" {
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

// differs says whether there is drift that is not somebody's wish.
func differs(drift []api.Drift) bool {
	return slices.ContainsFunc(drift, func(d api.Drift) bool { return d.Reason != api.DriftNodeCordoned })
}

// nodes is how many machines are ready of how many were asked for.
func nodes(c *api.Cluster) string {
	return fmt.Sprintf("%d/%d", inState(c, api.MachineReady), c.Spec.NumNodes)
}

func inState(c *api.Cluster, s api.MachineState) int {
	n := 0
	for _, m := range c.Status.Machines {
		if m.State == s {
			n++
		}
	}
	return n
}

func version(c *api.Cluster) string {
	if c.Status.Versions.RKE2 != "" {
		return c.Status.Versions.RKE2
	}
	return c.Status.Versions.Kubernetes
}

// placementTable shows what a dry run found, the first choice first.
func placementTable(placements []api.Placement, numNodes int) *table {
	t := &table{head: []string{"CHOICE", "CLOUD", "REGION", "ZONE", "INSTANCE", "NODES", "CPUS", "MEMORY", "DISK", "PRICE/H", "TOTAL/H"}}
	for i, p := range placements {
		disk := "-"
		if p.DiskGiB > 0 {
			disk = number(p.DiskGiB) + " GB"
		}
		t.add(line(fmt.Sprint(i+1)), line(p.Cloud), line(orDash(p.Region)), line(orDash(p.Zone)), line(orDash(p.InstanceType)),
			line(fmt.Sprint(numNodes)), line(number(p.CPUs)), line(number(p.MemoryGiB)+" GB"), line(disk),
			line(dollars(p.PricePerMachine, &p)), line(dollars(p.PriceTotal, &p)))
	}
	return t
}
