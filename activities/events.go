package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// NewEvent returns an event about a cluster or one of its machines.
func NewEvent(c *api.Cluster, machine string, kind api.EventType, reason, message string) api.Event {
	return api.Event{
		Cluster: c.Metadata.Name, UID: c.Metadata.UID, Machine: machine, Type: kind, Reason: reason, Message: message,
	}
}

// RecordEvent records an event. If that fails the step goes on: an event only informs people.
func RecordEvent(ctx context.Context, s *store.Store, e api.Event) {
	e.Message = redact.Text(e.Message)
	if err := s.RecordEvent(ctx, e); err != nil && activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Warn("an event could not be recorded", "cluster", e.Cluster, "reason", e.Reason,
			"error",
			err)
	}
}

// FormatCount returns a count with its noun, such as "2 machines".
func FormatCount(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
