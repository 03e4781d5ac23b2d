package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// PruneList are the clusters that a prune deletes.
type PruneList []PrunedCluster

// PrunedCluster is one of them. Prices are US dollars per hour.
type PrunedCluster struct {
	Name     string            `json:"name"`
	Phase    api.Phase         `json:"phase"`
	Labels   map[string]string `json:"labels,omitempty"`
	Machines []string          `json:"machines"`
	Price    float64           `json:"price_hour"`

	age, cost string
}

// NewPruneList returns the list of clusters that were read with their machines.
func NewPruneList(clusters []api.Cluster, now time.Time) PruneList {
	list := PruneList{}
	for i := range clusters {
		c := &clusters[i]
		p := PrunedCluster{Name: c.Metadata.Name, Phase: c.Status.Phase, Labels: c.Metadata.Labels,
			Machines: []string{},
			Price:    c.Status.CostPerHour(), age: formatAgeSince(now,
				c.Metadata.CreatedAt), cost: ValueOrDash(FormatTotalCost(c, now))}
		for _, m := range ExistingMachines(c) {
			p.Machines = append(p.Machines, m.Name)
		}
		list = append(list, p)
	}
	return list
}

// String is the list for people: each cluster with its machines and prices, and the sums.
func (l PruneList) String() string {
	if len(l) == 0 {
		return "Nothing to prune.\n"
	}
	t := &Table{head: []string{"PRUNE", "STATUS", "LABELS", "MACHINES", "PRICE/H", "COST", "AGE"}}
	machines, price := 0, 0.0
	for _, p := range l {
		machines += len(p.Machines)
		price += p.Price
		t.addRow(textCell(p.Name), textCell(string(p.Phase)), labelLines(p.Labels), machineNameLines(p.Machines),
			textCell(FormatDollars(p.Price, &api.Placement{})), textCell(p.cost), textCell(p.age))
	}
	return fmt.Sprintf("%s\nTo be deleted: %s with %s, %s per hour.\n", t, FormatCount(len(l), "cluster"),
		FormatCount(machines, "machine"), FormatDollars(price, &api.Placement{}))
}

// Names are the names of the clusters, with commas.
func (l PruneList) Names() string {
	var names []string
	for _, p := range l {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// machineNameLines lists the machines of a cluster, the first ones of many.
func machineNameLines(names []string) Cell {
	if len(names) == 0 {
		return textCell("-")
	}
	var c Cell
	for i, name := range names {
		if i == maxMachineLines-1 && len(names) > maxMachineLines {
			return append(c, textCell(fmt.Sprintf("and %d more", len(names)-i))...)
		}
		c = append(c, textCell(name)...)
	}
	return c
}
