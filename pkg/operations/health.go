package operations

import (
	"context"
	"strings"
)

// Part is one of the servers that operations need.
type Part struct {
	Name  string
	Where string
	Err   error // nil: it answers
}

// Health asks etcd, Temporal and the task queue whether they answer.
func (c *Client) Health(ctx context.Context) []Part {
	s, err := c.Store(ctx)
	if err == nil {
		_, err = s.Installation(ctx)
	}
	parts := []Part{{Name: "etcd", Where: strings.Join(c.cfg.Etcd.Endpoints, ", "), Err: err}}
	t, err := c.Temporal(ctx)
	parts = append(parts, Part{Name: "Temporal", Where: c.cfg.Temporal.Address, Err: err})
	if err != nil {
		return parts
	}
	listening, err := c.workersListening(ctx, t)
	if err == nil && !listening {
		err = c.noWorker("")
	}
	return append(parts, Part{Name: "worker", Where: "task queue " + c.cfg.Temporal.TaskQueue, Err: err})
}
