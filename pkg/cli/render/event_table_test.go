package render

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestEventTableIsOldestFirst(t *testing.T) {
	golden.Compare(t, "events.txt", NewEventTable(append(fixture.NewEvents(),
		api.Event{Type: api.EventWarning, Reason: string(api.DriftInvalid), Cluster: "odd",
			Message: "machine index 7 is out of range; skyctl does not change the cluster until this is fixed",
			Last:    fixture.Noon, Count: 12}), fixture.Noon).String())
	golden.Compare(t, "events-none.txt", NewEventTable(nil, fixture.Noon).String())
}
