package render

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

// NewPlacementTable lists the placements of a dry run, the best first.
func NewPlacementTable(placements []api.Placement, numNodes int) *Table {
	t := &Table{head: []string{"CHOICE", "CLOUD", "REGION", "ZONE", "INSTANCE", "NODES", "CPUS", "MEMORY", "DISK",
		"PRICE/H", "TOTAL/H"}, keep: []string{"PRICE/H", "TOTAL/H"}}
	for i, p := range placements {
		disk := "-"
		if p.DiskGiB > 0 {
			disk = formatNumber(p.DiskGiB) + " GiB"
		}
		t.addRow(textCell(fmt.Sprint(i+1)), textCell(p.Cloud), textCell(ValueOrDash(p.Region)),
			textCell(ValueOrDash(p.Zone)), textCell(ValueOrDash(p.InstanceType)),
			textCell(fmt.Sprint(numNodes)), textCell(formatNumber(p.CPUs)), textCell(formatNumber(p.MemoryGiB)+" GiB"),
			textCell(disk),
			textCell(FormatDollars(p.PricePerMachine, &p)), textCell(FormatDollars(p.PriceTotal, &p)))
	}
	return t
}
