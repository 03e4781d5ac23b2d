package render

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// NewEventTable lists events in the order given.
func NewEventTable(events []api.Event, now time.Time) *Table {
	t := &Table{head: []string{"LAST SEEN", "COUNT", "TYPE", "CLUSTER", "MACHINE", "REASON", "MESSAGE"}}
	for _, e := range events {
		t.addRow(EventRow(e, now)...)
	}
	return t
}

// EventRow is the row of an event in NewEventTable.
func EventRow(e api.Event, now time.Time) []Cell {
	return []Cell{
		textCell(formatAgeSince(now, e.Last)), textCell(fmt.Sprint(e.Count)), textCell(string(e.Type)),
		textCell(ValueOrDash(e.Cluster)),
		textCell(ValueOrDash(e.Machine)), textCell(e.Reason), textCell(e.Message),
	}
}
