package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// NewOrphanTable lists orphans with the time at which each is terminated; inDoubt is true while none is.
func NewOrphanTable(orphans []api.Orphan, inDoubt bool, now time.Time) *Table {
	t := &Table{head: []string{"CLOUD", "NAME", "CLUSTER", "AGE", "PRICE/H", "STATE", "TERMINATED-AT"}}
	for _, o := range orphans {
		at := "never"
		switch {
		case inDoubt:
			at = "not while the home is in doubt"
		case o.Conflict != "":
			at = "only if you name it"
		case o.State == api.OrphanUnknown && o.TerminateAt.IsZero():
			at = "when its cloud answers"
		case !o.TerminateAt.IsZero():
			at = FormatMoment(now, o.TerminateAt)
		}
		born := o.CreatedAt
		if born.IsZero() {
			born = o.FirstSeen
		}
		price := "-" // free, or unknown
		if o.PricePerHour > 0 {
			price = FormatDollars(o.PricePerHour, &api.Placement{})
		}
		t.addRow(textCell(o.Cloud), textCell(o.Name), textCell(ValueOrDash(o.Cluster)),
			textCell(formatAgeSince(now, born)), textCell(price),
			textCell(ValueOrDash(o.State)), textCell(at))
	}
	return t
}

// ExplainKeptOrphans says why some orphans are not terminated automatically.
func ExplainKeptOrphans(orphans []api.Orphan) string {
	var b strings.Builder
	for _, o := range orphans {
		if o.Conflict != "" {
			fmt.Fprintf(&b, "Machine %s will not be terminated automatically: %s.\n  To terminate it: skyctl "+
				"delete orphans %s\n", printable.Line(o.Name), printable.Line(o.Conflict),
				printable.Line(OrphanDisplayName(o, orphans)))
		}
	}
	return b.String()
}

// OrphanDisplayName is the name of an orphan, or its id on the cloud if several have the same name.
func OrphanDisplayName(o api.Orphan, all []api.Orphan) string {
	twins := 0
	for _, other := range all {
		if other.Name == o.Name {
			twins++
		}
	}
	if twins > 1 && o.ID != "" {
		return o.ID
	}
	return o.Name
}
