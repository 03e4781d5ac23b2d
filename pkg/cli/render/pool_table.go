package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// NewPoolTable lists the pools of clusters, which were read with their machines. If these are several, it says of each
// pool which is its cluster.
func NewPoolTable(clusters []api.Cluster, now time.Time) *Table {
	t := &Table{head: []string{"NAME", "REPLICAS", "READY", "INSTANCE", "RESOURCES", "SPOT", "PRICE/H", "AGE"}}
	if len(clusters) > 1 {
		t.head = slices.Insert(t.head, 1, "CLUSTER")
	}
	for i := range clusters {
		for _, p := range clusters[i].Spec.Pools {
			row := newPoolRow(&clusters[i], p, now)
			cells := []Cell{textCell(row.name), textCell(row.replicas), textCell(row.ready), textCell(row.instance),
				textCell(row.resources), textCell(row.spot), textCell(row.price), textCell(row.age)}
			if len(clusters) > 1 {
				cells = slices.Insert(cells, 1, textCell(clusters[i].Metadata.Name))
			}
			t.addRow(cells...)
		}
	}
	return t
}

// poolRow is what is shown of a pool.
type poolRow struct{ name, replicas, ready, instance, resources, spot, price, age string }

func newPoolRow(c *api.Cluster, p api.Pool, now time.Time) poolRow {
	machines := MachinesOfPool(c, p.Name)
	price := 0.0
	var instances []string
	placed := api.Placement{}
	for _, m := range machines {
		if m.State.MayExist() {
			price += m.Placement.PricePerMachine
		}
		if m.Placement.Cloud != "" {
			placed = m.Placement
		}
		instances = addMissing(instances, m.Placement.InstanceType)
	}
	since := c.Metadata.CreatedAt
	for _, s := range c.Status.Pools {
		if s.Name == p.Name && !s.CreatedAt.IsZero() {
			since = s.CreatedAt
		}
	}
	replicas := fmt.Sprint(p.Replicas)
	if p.MinReplicas > 0 || p.MaxReplicas > 0 {
		most := "…"
		if p.MaxReplicas > 0 {
			most = fmt.Sprint(p.MaxReplicas)
		}
		replicas += fmt.Sprintf(" (%d-%s)", p.MinReplicas, most)
	}
	row := poolRow{name: p.Name, replicas: replicas, ready: fmt.Sprint(countPoolReady(c, p.Name)),
		instance: ValueOrDash(strings.Join(instances, ",")), resources: formatMachineResources(p.Machine, placed),
		spot: formatYesNo(p.Machine.UseSpot), price: "-", age: formatAgeSince(now, since)}
	if len(machines) > 0 {
		row.price = FormatDollars(price, &placed)
	}
	return row
}

// addMissing adds a text to a list, unless it is empty or there.
func addMissing(list []string, text string) []string {
	if text == "" {
		return list
	}
	for _, have := range list {
		if have == text {
			return list
		}
	}
	return append(list, text)
}

// MachinesOfPool are the recorded machines of a pool, those that leave included. A pool of "" is the control plane.
func MachinesOfPool(c *api.Cluster, pool string) []api.Machine {
	var all []api.Machine
	for _, m := range ExistingMachines(c) {
		if m.PoolName() == pool {
			all = append(all, m)
		}
	}
	return all
}

// formatMachineResources says what each machine of a pool has, or what is asked for while none has a placement.
func formatMachineResources(m api.MachineSpec, placed api.Placement) string {
	var parts []string
	if placed.CPUs > 0 {
		parts = append(parts, formatNumber(placed.CPUs)+" CPUs", formatNumber(placed.MemoryGiB)+" GiB")
	} else {
		if m.CPUs != "" {
			parts = append(parts, m.CPUs+" CPUs")
		}
		if m.Memory != "" {
			parts = append(parts, m.Memory+" GiB")
		}
	}
	if m.Accelerators != "" {
		parts = append(parts, m.Accelerators)
	}
	return ValueOrDash(strings.Join(parts, ", "))
}

// NewMachineTable lists the machines of clusters.
func NewMachineTable(clusters []api.Cluster, now time.Time) *Table {
	t := &Table{head: []string{"NAME", "POOL", "ROLE", "STATE", "NODE", "ADDRESS", "INSTANCE", "ZONE", "PRICE/H",
		"VERSION", "AGE"}}
	for i := range clusters {
		for _, m := range ExistingMachines(&clusters[i]) {
			t.addRow(newMachineRow(&clusters[i], m, now)...)
		}
	}
	return t
}

func newMachineRow(c *api.Cluster, m api.Machine, now time.Time) []Cell {
	p := m.Placement
	price, version := "-", "-"
	if p.Cloud != "" {
		price = FormatDollars(p.PricePerMachine, &p)
	}
	if m.State == api.MachineReady {
		version = ValueOrDash(clusterVersion(c))
	}
	return []Cell{textCell(m.Name), textCell(ValueOrDash(m.PoolName())), textCell(string(m.Role)),
		textCell(formatMachineState(m)), textCell(ValueOrDash(m.NodeName)), textCell(ValueOrDash(m.Address)),
		textCell(ValueOrDash(p.InstanceType)), textCell(ValueOrDash(cmp.Or(p.Zone, p.Region))), textCell(price),
		textCell(version), textCell(formatAgeSince(now, cmp.Or(m.LaunchedAt, m.ReservedAt)))}
}

// formatMachineState is the state of a machine, with why it leaves or is replaced.
func formatMachineState(m api.Machine) string {
	switch {
	case m.Leaving != "":
		return fmt.Sprintf("%s (leaving: %s)", m.State, m.Leaving)
	case m.ReplaceAsked:
		return fmt.Sprintf("%s (to be replaced)", m.State)
	}
	return string(m.State)
}

// PoolView is the JSON form of a pool: what is asked for, and what is known of it.
type PoolView struct {
	api.Pool
	Ready    int      `json:"ready"`
	Machines []string `json:"machines"`
	// PricePerHour of its machines that may exist, in US dollars.
	PricePerHour float64               `json:"price_per_hour"`
	CreatedAt    time.Time             `json:"created_at,omitzero"`
	Attempts     []api.FailedPlacement `json:"attempts,omitempty"`
}

// PoolList is the JSON form of the pools of a cluster.
type PoolList struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Items      []PoolView `json:"items"`
}

// NewPoolList returns a PoolList of pools.
func NewPoolList(pools []PoolView) PoolList {
	return PoolList{api.APIVersion, "PoolList", append([]PoolView{}, pools...)}
}

// ListPools returns the pools of clusters that were read with their machines, in the order of NewPoolTable.
func ListPools(clusters []api.Cluster) []PoolView {
	var all []PoolView
	for i := range clusters {
		for _, p := range clusters[i].Spec.Pools {
			all = append(all, newPoolView(&clusters[i], p))
		}
	}
	return all
}

func newPoolView(c *api.Cluster, p api.Pool) PoolView {
	v := PoolView{Pool: p, Ready: countPoolReady(c, p.Name), Machines: []string{}, CreatedAt: c.Metadata.CreatedAt}
	for _, m := range MachinesOfPool(c, p.Name) {
		v.Machines = append(v.Machines, m.Name)
		if m.State.MayExist() {
			v.PricePerHour += m.Placement.PricePerMachine
		}
	}
	for _, s := range c.Status.Pools {
		if s.Name == p.Name {
			v.Attempts = s.Attempts
			if !s.CreatedAt.IsZero() {
				v.CreatedAt = s.CreatedAt
			}
		}
	}
	return v
}

// MachineList is the JSON form of the machines of a cluster.
type MachineList struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Items      []api.Machine `json:"items"`
}

// NewMachineList returns a MachineList of machines.
func NewMachineList(machines []api.Machine) MachineList {
	return MachineList{api.APIVersion, "MachineList", append([]api.Machine{}, machines...)}
}

// ListMachines returns the machines of clusters, in the order of NewMachineTable.
func ListMachines(clusters []api.Cluster) []api.Machine {
	var all []api.Machine
	for i := range clusters {
		all = append(all, ExistingMachines(&clusters[i])...)
	}
	return all
}
