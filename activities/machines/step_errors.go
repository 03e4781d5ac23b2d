package machines

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// recordStepError is StepError for a step on a machine that is being launched or terminated. If the step is retried, it
// also records why, without resetting the time that people see.
func (a *Activities) recordStepError(ctx context.Context, step string, m activities.MachineRef, err error) error {
	err = activities.StepError(ctx, step, m.Name, err)
	trouble := retryMessage(ctx, err)
	if trouble == "" {
		return err
	}
	writeCtx, cancel := context.WithTimeout(ctx, activities.ProgressTimeout)
	defer cancel()
	// Ignored: a failed write only costs the message.
	_, _ = a.Store.UpdateMachine(writeCtx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetTrouble(step, trouble)
		return nil
	})
	return err
}

// recordReleaseError does the same for a delete of the cluster as a whole.
func (a *Activities) recordReleaseError(ctx context.Context, ref api.Ref, err error) error {
	err = activities.StepError(ctx, api.StepRelease, "", err)
	trouble := retryMessage(ctx, err)
	if trouble == "" {
		return err
	}
	writeCtx, cancel := context.WithTimeout(ctx, activities.ProgressTimeout)
	defer cancel()
	_, _ = a.Store.UpdateCluster(writeCtx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseDeleting {
			f := activities.FailureDetails(err)
			f.At = a.Now().Truncate(time.Second)
			c.Status.Failure = &f
		}
		return nil
	})
	return err
}

// retryMessage returns the message of an error whose step is retried; "" if it is not retried, or the activity was
// stopped.
func retryMessage(ctx context.Context, err error) string {
	var applied *temporal.ApplicationError
	if ctx.Err() != nil || !errors.As(err, &applied) || applied.NonRetryable() {
		return ""
	}
	return activities.FailureDetails(err).Message
}
