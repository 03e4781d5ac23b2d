package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// newEvent is an event about a cluster, or about a machine of it.
func newEvent(c *api.Cluster, machine string, kind api.EventType, reason, message string) api.Event {
	return api.Event{
		Cluster: c.Metadata.Name, UID: c.Metadata.UID, Machine: machine, Type: kind, Reason: reason, Message: message,
	}
}

// recordEvent tells people of something. No step fails because it could not be told.
func recordEvent(ctx context.Context, s *store.Store, e api.Event) {
	e.Message = redact.Text(e.Message)
	if err := s.RecordEvent(ctx, e); err != nil && activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Warn("an event was not recorded", "cluster", e.Cluster, "reason", e.Reason, "error",
			err)
	}
}

func (a *Sweeps) recordEventNow(ctx context.Context, e api.Event) {
	e.First, e.Last = a.Now(), a.Now()
	recordEvent(ctx, a.Store, e)
}

func (a *Clusters) recordEventNow(ctx context.Context, e api.Event) {
	e.First, e.Last = a.Now(), a.Now()
	recordEvent(ctx, a.Store, e)
}
