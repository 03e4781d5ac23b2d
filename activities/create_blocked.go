package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// RecordCreateBlocked records why a create can't start yet, if the failed step is retried: for people who wait for the
// create, and for its failure if the deadline passes first. It returns the step's error unchanged.
func RecordCreateBlocked(ctx context.Context, s *store.Store, c *api.Cluster, now time.Time, step error) error {
	var cause *temporal.ApplicationError
	if !errors.As(step, &cause) || cause.NonRetryable() || errors.Is(ctx.Err(), context.Canceled) {
		return step
	}
	// the step's own deadline may have passed
	writeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ProgressTimeout)
	defer cancel()
	blocked := api.Condition{Type: api.CreateBegun, Status: api.ConditionFalse, Reason: cause.Type(),
		Message: cause.Message()}
	_, _ = s.UpdateCluster(writeCtx, c.Ref(), func(c *api.Cluster) error {
		if c.Status.Phase != api.PhaseDeleting {
			c.Status.SetCondition(blocked, now)
		}
		return nil
	})
	e := NewEvent(c, "", api.EventWarning, blocked.Reason, blocked.Message+"; retrying")
	e.First, e.Last = now, now
	RecordEvent(writeCtx, s, e)
	return step
}

// ClearCreateBlocked removes what RecordCreateBlocked recorded.
func ClearCreateBlocked(ctx context.Context, s *store.Store, c *api.Cluster) error {
	if c.Status.FindCondition(api.CreateBegun) == nil {
		return nil
	}
	_, err := s.UpdateCluster(ctx, c.Ref(), func(c *api.Cluster) error {
		c.Status.RemoveCondition(api.CreateBegun)
		return nil
	})
	return err
}

// AddBlockedReason adds what held up a create to its failure, if the create timed out before it requested a machine.
func AddBlockedReason(f api.Failure, c *api.Cluster) api.Failure {
	blocked := c.Status.FindCondition(api.CreateBegun)
	if f.Reason == "Deadline" && f.Machine == "" && blocked != nil && blocked.Status == api.ConditionFalse {
		f.Message = fmt.Sprintf("%s; the last error was: %s", f.Message, blocked.Message)
	}
	return f
}
